"""An S3 server on loopback, and a wire to it that counts, is cut, or is mended."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BUCKET = "sets"
_UNCHECKED = 4  # requests before keys are checked: those that make the user and the bucket


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Server:
    """moto's server: a user with a key, and a bucket."""

    port: int
    process: subprocess.Popen[bytes]
    key: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, service: str, **key: str) -> Any:
        import boto3

        return boto3.client(service, endpoint_url=self.url, region_name="us-east-1", **(key or self.key))

    def objects(self) -> dict[str, int]:
        """The bucket's objects with their sizes."""
        pages = self.client("s3").get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        return {each["Key"]: each["Size"] for page in pages for each in page.get("Contents", ())}


@contextmanager
def server(log: Path, port: int | None = None) -> Iterator[Server]:
    """Start a server with a bucket and a user who may do everything; then keys are checked."""
    port = port or free_port()
    with log.open("a") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            env=os.environ | {"INITIAL_NO_AUTH_ACTION_COUNT": str(_UNCHECKED)},
            stdout=out,
            stderr=out,
        )
    try:
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        made = Server(port, process)
        unchecked = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
        iam = made.client("iam", **unchecked)
        iam.create_user(UserName="me")
        key = iam.create_access_key(UserName="me")["AccessKey"]
        allowed = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
        iam.put_user_policy(UserName="me", PolicyName="all", PolicyDocument=json.dumps(allowed))
        made.client("s3", **unchecked).create_bucket(Bucket=BUCKET)
        made.key = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
        yield made
    finally:
        process.kill()
        process.wait()


class Wire:
    """A port that leads to another; `sent` counts the bytes towards it, and after `cut_after` of them it is cut."""

    def __init__(self, to: int) -> None:
        self._to, self.sent, self.cut_after = to, 0, None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.cut_after: int | None
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def is_cut(self) -> bool:
        return self.cut_after is not None and self.sent >= self.cut_after

    def close(self) -> None:
        self._listener.close()

    def _listen(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                if self.is_cut:
                    raise ConnectionError
                far = socket.create_connection(("127.0.0.1", self._to))
            except OSError:
                near.close()
                continue
            for source, sink, counts in ((near, far, True), (far, near, False)):
                threading.Thread(target=self._carry, args=(source, sink, counts), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket, counts: bool) -> None:
        try:
            while (data := source.recv(1 << 16)) and not self.is_cut:
                sink.sendall(data)
                self.sent += len(data) if counts else 0
        except OSError:
            pass
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)  # a close alone leaves the other direction's thread waiting
        source.close()
