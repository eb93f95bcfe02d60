"""Pickles of training scripts, read without running code: what stands beside the tensors becomes inert.

PyTorch's restricted unpickler does the work. It calls only what it is told by name, and it is told this file's
stand-ins: for numpy's scalars, arrays and generators, paths, times, argparse's options and enums. A file that names
anything else is refused by that name.
"""

import builtins
import io
import pickletools
import re
import sys
import zipfile
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from models.weights.kinds import zip_names

# Pickles in a file of the format before zips: magic number, version, system, content, keys of the bytes that follow.
_LEGACY_PICKLES = 5

# Whose values nobody needs.
_INERT = re.compile(
    r"numpy\.(_core|core)\.(multiarray\.(scalar|_reconstruct)|numeric\._frombuffer)|numpy\.(dtype|ndarray)"
    r"|numpy\.dtypes\.\w+|numpy\.(bool_?|u?int\w*|float\w*|complex\w*|u?longlong|c?longdouble|str_|bytes_|object_|void)"
    r"|numpy\.(datetime64|timedelta64)|numpy\.random\._pickle\.\w+"
    r"|numpy\.random\.(_mt19937\.MT19937|_pcg64\.PCG64(DXSM)?|_philox\.Philox|_sfc64\.SFC64)"
    r"|numpy\.random\.bit_generator\.(SeedSequence|__pyx_unpickle_SeedSequence)"
    r"|pathlib(\._local)?\.(Pure)?(Posix|Windows)?Path|argparse\.Namespace|types\.SimpleNamespace"
    r"|datetime\.(datetime|date|time|timedelta|timezone)|time\.struct_time|decimal\.Decimal|fractions\.Fraction"
    r"|dill\.(_dill|dill)\.(_create_array|_create_dtypemeta|_load_type)"
    r"|uuid\.(UUID|SafeUUID)|torch\.torch_version\.TorchVersion|builtins\.(range|slice)"
)
# What PyTorch's own unpickler knows besides what is torch's.
_CORE = ("collections.OrderedDict", "collections.Counter", "_codecs.encode")
_CORE_BUILTINS = ("builtins.bytearray", "builtins.set", "builtins.complex")
_CLASS = re.compile(r"(?P<top>\w+)(\.\w+)*?\.[A-Z]\w*")


class Leftover:
    """Stands for an object that weights do not need: takes whatever it is made from, and keeps nothing."""

    def __init__(self, *_: object) -> None: ...

    def __setstate__(self, _: object) -> None: ...

    def __repr__(self) -> str:
        return "leftover"


class EnumStandIn:
    """Stands for a class outside Python's library, which a file may call as enums are: with one plain value."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, *values: object) -> Leftover:
        """A member.

        Raises TypeError where the file calls it otherwise: then it is no enum.
        """
        if len(values) != 1 or not isinstance(values[0], str | int | float | tuple | None):
            raise TypeError(f"{self.name} was called with {len(values)} values")
        return Leftover()


class Pickled(NamedTuple):
    """What a pickle names: its protocol, the classes and functions, and that which its content itself is one of."""

    protocol: int
    names: tuple[str, ...]
    top: str | None


def stand_in(name: str) -> Callable[..., Any] | None:
    """What stands for a name in a pickle; None where the file is to be refused by it, or PyTorch knows it."""
    if name in _CONTAINERS:
        return _CONTAINERS[name]
    if _INERT.fullmatch(name):
        return Leftover
    found = _CLASS.fullmatch(name)
    foreign = found is not None and found["top"] not in ("torch", *sys.stdlib_module_names)
    return EnumStandIn(name) if foreign else None


def refused_names(names: Iterable[str]) -> list[str]:
    """Those of the names for which nothing stands; PyTorch judges its own."""
    return [
        name
        for name in names
        if stand_in(name) is None and name not in _CORE + _CORE_BUILTINS and not name.startswith("torch.")
    ]


def scan_pickle(path: Path) -> Pickled | None:
    """What the pickle of a file names, without loading it; None where there is none, or it is broken."""
    try:
        if (names := zip_names(path)) is None:
            with path.open("rb") as file:
                return _scan(file, pickles=_LEGACY_PICKLES)
        with zipfile.ZipFile(path) as archive:
            member = next(name for name in names if name.endswith("data.pkl"))
            return _scan(io.BytesIO(archive.read(member)), pickles=1)
    except Exception:  # damaged pickles raise whatever their bytes lead to
        return None


def _scan(file: Any, *, pickles: int) -> Pickled:
    """The names in up to so many pickles, one after the other."""
    protocol, names, top = _operations(file)
    for _ in range(pickles - 1):
        try:
            further = _operations(file)
        except Exception:  # the end, or the tensors' bytes
            break
        protocol, names, top = max(protocol, further[0]), names | further[1], top or further[2]
    return Pickled(protocol, tuple(names), top)


def _operations(file: Any) -> tuple[int, dict[str, None], str | None]:
    """The protocol of one pickle, its names in order, and the one that it begins with.

    Raises ValueError where it is none.
    """
    protocol, first, top = 0, "", None
    names: dict[str, None] = {}
    # From protocol 4 on, a name is two strings that were said before, or said earlier and remembered.
    said: list[Any] = []
    memo: dict[int, Any] = {}
    for place, (operation, argument, _) in enumerate(pickletools.genops(file)):
        first = operation.name if place == 1 else first
        if operation.name == "PROTO":
            protocol = int(argument or 0)
        elif operation.name == "MEMOIZE":
            memo[len(memo)] = said[-1] if said else None
        elif operation.name in ("GLOBAL", "INST", "STACK_GLOBAL"):
            named = _current_name(*(str(argument).split(" ", 1) if argument else said[-2:]))
            names[named] = None
            said.append(None)
            # The content is an object of the class, which the format before zips puts into a tuple with its source.
            top = named if len(names) == 1 and first in ("GLOBAL", "MARK") else top
        elif operation.name in ("BINGET", "LONG_BINGET"):
            said.append(memo.get(int(argument or 0)))
        else:
            said.append(argument if isinstance(argument, str) else None)
    return protocol, names, top


def _current_name(module: object, name: object) -> str:
    """A name as Python 3 has it: pickles of protocol 2 say what Python 2 called it."""
    place = (str(module), str(name))
    return ".".join(NAME_MAPPING.get(place, (IMPORT_MAPPING.get(place[0], place[0]), place[1])))


def _plain_dict(*arguments: Any) -> dict[Any, Any]:
    """A defaultdict without what makes its defaults."""
    return dict(arguments[1]) if len(arguments) > 1 else {}


def _plain_list(values: Iterable[Any] = (), *_: object) -> list[Any]:
    """A deque without its length."""
    return list(values)


def _nested_class(owner: object, _: str) -> EnumStandIn:
    """What stands for a class inside a class, or for a member by its name.

    Raises TypeError where a file asks for an attribute of anything else.
    """
    if not isinstance(owner, EnumStandIn):
        raise TypeError(f"builtins.getattr of {type(owner).__name__}")
    return owner


# Which may hold weights, or make names.
_CONTAINERS: dict[str, Callable[..., Any]] = {
    "collections.defaultdict": _plain_dict,
    "collections.deque": _plain_list,
    "builtins.getattr": _nested_class,
    "builtins.frozenset": frozenset,
    # As pickles name types: the default of a defaultdict, the type of an option of argparse's.
    **{
        f"builtins.{kind}": getattr(builtins, kind)
        for kind in ("list", "dict", "tuple", "bytes", "int", "float", "str", "bool")
    },
}
