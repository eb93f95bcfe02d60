"""Which of a file's tensors are a network's: every way to read them that fills it whole.

A file is one mapping of dotted paths to tensors, however its containers are nested. A reading is what those paths have
before the network's own names: a container's key (`state_dict`, `teacher`), a wrapper's prefix (`module.`), or both.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

import torch
from torch import Tensor

from models.weights.files import is_counter

# Wrappers of modules, also inside a network: torch.compile, FSDP, activation checkpointing.
WRAPPERS = frozenset({"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})
# With DataParallel's; a network may have a module of that name itself.
WRAPPERS_AND_PARALLEL = WRAPPERS | {"module"}
# A container is looked into so deep, and so often where it stands in several places: files may hold cycles.
_DEPTH, _VISITS = 8, 4


@dataclass(frozen=True)
class Reading:
    """Where a network's tensors stand: under a container's key ("": the top), with a prefix; by the network's names."""

    key: str
    prefix: str
    state: Mapping[str, Tensor] = field(repr=False)
    paths: frozenset[str] = field(repr=False)

    @property
    def root(self) -> str:
        """What the paths of its tensors begin with."""
        return (f"{self.key}." if self.key else "") + self.prefix


@dataclass(frozen=True)
class Choice:
    """Which reading the user means: the key of its container, its prefix; None where it was not said."""

    key: str | None = None
    prefix: str | None = None

    def means(self, reading: Reading) -> bool:
        """Whether a reading is among those that are meant; the dot after a prefix may be left out."""
        prefix = None if self.prefix is None else _without(self.prefix.rstrip("."), WRAPPERS)
        return self.key in (None, reading.key) and prefix in (None, reading.prefix.rstrip("."))

    def __str__(self) -> str:
        words = {"--key": self.key, "--prefix": self.prefix}
        return " ".join(f"{option} {value or repr('')}" for option, value in words.items() if value is not None)


# Whatever fits.
ANY = Choice()


def answer(reading: Reading, among: Collection[Reading]) -> Choice:
    """The shortest choice that means one reading alone of those that fit."""
    keyed, prefixed = Choice(key=reading.key), Choice(prefix=reading.prefix)
    first, second = (keyed, prefixed) if reading.key else (prefixed, keyed)
    both = Choice(reading.key, reading.prefix)
    return next((choice for choice in (first, second) if sum(map(choice.means, among)) == 1), both)


class TensorFile:
    """The tensors in a file's content by their paths, wrappers left out, and the container that each stands in."""

    def __init__(self, content: Any, wrappers: Collection[str] = WRAPPERS) -> None:
        self.tensors: dict[str, Tensor] = {}
        self.homes: dict[str, str] = {}
        for home, name, value in _leaves(content, "", _DEPTH, Counter()):
            whole = f"{home}.{name}" if home else name
            short = _without(whole, wrappers)
            path = whole if short in self.homes else short
            self.homes[path] = home
            if isinstance(value, Tensor):
                self.tensors[path] = value

    def state_dicts(self) -> dict[str, int]:
        """The containers that hold tensors under dotted names, by their keys; how many tensors, the most first."""
        homes = {home for path, home in self.homes.items() if path in self.tensors and "." in _inside(path, home)}
        counts = Counter(self.homes[path] for path in self.tensors if self.homes[path] in homes)
        return dict(counts.most_common())

    def is_list(self) -> bool:
        """Whether it holds tensors by number alone."""
        return all(path.rpartition(".")[2].isdigit() for path in self.tensors)

    def readings(self, expected: Mapping[str, Tensor], *, free: Collection[str] = ()) -> list[Reading]:
        """All readings that hold every tensor of a network, in its shape; those in `free` may have another.

        Counters of batch norms may be missing.
        """
        needed = {name: value.shape for name, value in expected.items() if not is_counter(name)}
        longest = max(needed, key=len)
        roots = [path.removesuffix(longest) for path in self.tensors if path.endswith(longest)]
        return [
            self._reading(root, expected)
            for root in roots
            if all(
                (found := self.tensors.get(root + name)) is not None and (name in free or found.shape == shape)
                for name, shape in needed.items()
            )
        ]

    def closest(self, expected: Collection[str], choice: Choice) -> Reading | None:
        """Of the readings that are meant, that in which most names are the network's, with all that stands there."""
        votes = Counter(root for path in self.tensors for root in _roots_of(path, expected))
        votes.update(dict.fromkeys((self._common_root(home) for home in self.state_dicts()), 0))
        readings = (self._reading(root) for root, _ in votes.most_common())
        return next((reading for reading in readings if choice.means(reading)), None)

    def left_over(self, reading: Reading, taken: Collection[str]) -> list[str]:
        """What is not `taken`: further entries beside a reading's own, and other containers that are state dicts."""
        own = {self.homes[path] for path in taken}
        rest: dict[str, list[str]] = {}
        for path, home in self.homes.items():
            if path not in taken and home in own:
                rest.setdefault(_first_apart(path, reading.root), []).append(path)
            elif home not in own and path in self.tensors and "." in _inside(path, home):
                rest.setdefault(home, []).append(path)
        return [paths[0] if len(paths) == 1 else f"{name}.* ({len(paths)})" for name, paths in sorted(rest.items())]

    def _common_root(self, key: str) -> str:
        """What all paths in a container begin with."""
        folders = [path.split(".")[:-1] for path in self.tensors if self.homes[path] == key]
        return "".join(
            f"{parts[0]}." for parts in takewhile(lambda parts: len({*parts}) == 1, zip(*folders, strict=False))
        )

    def _reading(self, root: str, expected: Collection[str] | None = None) -> Reading:
        """What stands at a root: the expected names, or all in its container."""
        keys = {home for home in self.homes.values() if root.startswith(f"{home}.")}
        key = max(keys, key=len, default="")
        if expected is None:
            paths = [path for path, home in self.homes.items() if home == key and path.startswith(root)]
            expected = [path.removeprefix(root) for path in paths]
        state = {name: self.tensors[root + name] for name in expected if root + name in self.tensors}
        return Reading(key, _inside(root, key), state, frozenset(root + name for name in state))


def distinct(readings: Collection[Reading]) -> list[list[Reading]]:
    """Readings in groups of equal weights, one of each in front."""
    groups: list[list[Reading]] = []
    for reading in readings:
        group = next((group for group in groups if _equal(group[0], reading)), None)
        if group is None:
            groups.append([reading])
        else:
            group.append(reading)
    return groups


def _equal(one: Reading, other: Reading) -> bool:
    pairs = ((value, other.state[name]) for name, value in one.state.items() if not is_counter(name))
    return all(a.shape == b.shape and a.dtype == b.dtype and torch.equal(a, b) for a, b in pairs)


def _leaves(node: Any, path: str, depth: int, visits: Counter[int]) -> Iterator[tuple[str, str, object]]:
    """(container, name, value) of all tensors, and with None of what else stands under a dotted name."""
    visits[id(node)] += 1
    if visits[id(node)] > _VISITS:
        return
    for key, value in node.items() if isinstance(node, Mapping) else enumerate(node):
        name, weight = str(key), _is_weight(value)
        if isinstance(value, Mapping | list | tuple) and depth > 0:
            yield from _leaves(value, f"{path}.{name}" if path else name, depth - 1, visits)
        if weight or "." in name:
            yield path, name, value if weight else None


def _is_weight(value: object) -> bool:
    return isinstance(value, Tensor) and value.layout == torch.strided and not (value.is_meta or value.is_quantized)


def _roots_of(path: str, names: Collection[str]) -> Iterator[str]:
    parts = path.split(".")
    for cut in range(len(parts)):
        if ".".join(parts[cut:]) in names:
            yield "".join(f"{part}." for part in parts[:cut])


def _first_apart(path: str, root: str) -> str:
    """A path up to where it leaves a root."""
    parts = path.split(".")
    return next((s for cut in range(1, len(parts)) if not root.startswith((s := ".".join(parts[:cut])) + ".")), path)


def _inside(path: str, home: str) -> str:
    """What follows a container's key in a path."""
    return path.removeprefix(f"{home}.") if home else path


def _without(path: str, wrappers: Collection[str]) -> str:
    return ".".join(part for part in path.split(".") if part not in wrappers)
