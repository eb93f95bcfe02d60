"""A Ray cluster: a standing one, or one of this machine's own; and whether its machines can work for this driver."""

import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from logging import ERROR
from tempfile import TemporaryDirectory
from typing import Any

from bgdata.engines.worker import checkout
from bgdata.errors import InputError

_KEPT = ("MALLOC_", "GOMP_", "OMP_")
_OBJECTS = 100 << 20  # bytes of memory for objects: tasks answer counts, never images
_ANSWER = 5.0  # seconds in which a cluster answers
_FIRST_WORKER = 120.0  # seconds in which a machine starts one: Python and its packages may lie on slow storage


@contextmanager
def connected(address: str | None, *, cores: int) -> Iterator[None]:
    """Ray in the block: the cluster at `address`, or one of this machine's own (None) that lends `cores`.

    At its end the driver's workers end, and so does a cluster of its own.

    Raises InputError where none answers, or it has another version of Ray or Python.
    """
    with ExitStack() as opened:
        how: dict[str, Any] = {
            "logging_level": ERROR,
            "log_to_driver": False,
            "runtime_env": {"env_vars": _variables()},
        }
        if address is None:
            # Not in $TMPDIR: the path of a socket in it has 107 bytes at most.
            folder = opened.enter_context(TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True))
            how |= _own(folder, cores)
        # A lost worker is told of by the engine in one line; Ray has ten, and one for a try that nobody waits for.
        os.environ["RAY_IGNORE_UNHANDLED_ERRORS"] = "1"
        import ray

        ray._private.worker._worker_logs_enabled = False
        try:
            ray.init(**how if address is None else how | {"address": _reached(address)})
        except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            raise _not_connected(address, " ".join(str(error.__cause__ or error).split())) from error
        opened.callback(ray.shutdown)
        yield


def _variables() -> dict[str, str]:
    """The environment of workers: this checkout, whatever theirs is, how memory is kept (Makefile), and how long
    threads that wait may spin (`pipeline`).
    """
    kept = {name: value for name, value in os.environ.items() if name.startswith(_KEPT)}
    return kept | {"PYTHONPATH": str(checkout())}


def _own(folder: str, cores: int) -> dict[str, Any]:
    """How to start a cluster on loopback, with a password of its own."""
    os.environ |= {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        # Ray reads it when it is imported; without it, it takes 127.0.0.1 for the machine's own address.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        # As `local`'s processes: Ray's have 15, and beside other work they would hardly run.
        "RAY_worker_niceness": "0",
    }
    return {
        "address": "local",
        "num_cpus": cores,
        "include_dashboard": False,
        "object_store_memory": _OBJECTS,
        "_node_ip_address": "127.0.0.1",
        "_temp_dir": folder,
    }


def _reached(address: str) -> str:
    """The host:port of a cluster, where something listens: Ray itself would try for minutes."""
    from ray._private.services import canonicalize_bootstrap_address

    found = canonicalize_bootstrap_address(address)
    if found is None:
        raise ConnectionError("none was started on this machine")
    host, _, port = found.rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER).close()
    return found


def _not_connected(address: str | None, reason: str) -> InputError:
    if address is None:
        return InputError(f"Ray does not start on this machine ({reason}): mend that, or set runtime.engine to local")
    if "mismatch" in reason:
        return InputError(
            f"the cluster at {address} has another version of Ray or Python ({reason}): give all machines the packages "
            "of the driver"
        )
    return InputError(
        f"no Ray cluster answers at {address} ({reason}): start one, set runtime.ray.address to its host:port, or to "
        "null for one of this machine's own"
    )


def ask_machines(call: bytes) -> None:
    """Make a task on each machine of the cluster, so that mistakes are known before work starts.

    Raises InputError where a machine does not see the driver's folders, has other code, or starts no worker.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    from bgdata.engines._ray_crews import WORKER, working_nodes

    asking = ray.remote(num_cpus=0, max_retries=1)(WORKER.answer)
    asked = {}
    for node in working_nodes():
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        asked[asking.options(scheduling_strategy=there).remote(str(checkout()), call)] = node["NodeManagerHostname"]
    ready, late = ray.wait(list(asked), num_returns=len(asked), timeout=_FIRST_WORKER) if asked else ([], [])
    for ref in ready:
        try:
            raise_mistake(ray.get(ref))
        except ray.exceptions.RayError as error:
            raise InputError(
                f"{asked[ref]} of the cluster starts no worker ({type(error).__name__}): look into Ray's logs there"
            ) from error
    if late:
        raise InputError(
            f"{asked[late[0]]} of the cluster has started no worker in {_FIRST_WORKER:g} s: look into Ray's logs there"
        )


def raise_mistake(answer: Any) -> None:
    """Raise what a worker met, or the sentence of one that has no code to make an error of."""
    if isinstance(answer, str):
        raise InputError(answer)
    if isinstance(answer, Exception):
        raise answer
