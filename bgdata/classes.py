"""A list of classes: their names in their order, and the WordNet ids that belong to each where there are any.

ImageNet-9 (`bgdata.labels`) is the default list, and one of many. Each set's manifest, each checkpoint and each result
holds its list; readers take it from there.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from bgdata.errors import InputError

_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


@dataclass(frozen=True)
class ClassList:
    """Classes in their order: a label is a place in it.

    `name` is for people (`in9`, a CSV's name, `folders`). `wnids` holds those of each class, sorted; an empty
    tuple where a class has none.
    """

    name: str
    names: tuple[str, ...]
    wnids: tuple[tuple[str, ...], ...]

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def folders(self) -> tuple[str, ...]:
        """The classes' folders, as the official release names them: `00_dog`; three digits from 101 classes on."""
        digits = max(2, len(str(len(self) - 1)))
        return tuple(f"{label:0{digits}d}_{name}" for label, name in enumerate(self.names))

    @cached_property
    def label_by_wnid(self) -> dict[str, int]:
        """The label of each wnid of the list."""
        return {wnid: label for label, members in enumerate(self.wnids) for wnid in members}

    @property
    def outside(self) -> str:
        """What a prediction beyond the last label is called."""
        return f"none of the {in_words(len(self))}"

    def member_name(self, label: int, stem: str, ending: str = "JPEG") -> str:
        """The name of an image in a set, as the official release has it: `00_dog/<stem>.JPEG`."""
        return f"{self.folders[label]}/{stem}.{ending}"

    @property
    def digest(self) -> str:
        """The list in 12 hexadecimal digits: names, order and wnids, not what people call it."""
        content = json.dumps([self.names, self.wnids], ensure_ascii=False)
        return hashlib.sha256(content.encode()).hexdigest()[:12]

    def same_as(self, other: "ClassList") -> bool:
        """Whether both have the same classes in the same order."""
        return (self.names, self.wnids) == (other.names, other.wnids)

    def describe(self) -> str:
        """In a few words: `in9 (9 classes: dog, bird, wheeled vehicle ...)`."""
        more = " ..." if len(self) > 3 else ""  # named to be told apart
        return f"{self.name} ({len(self)} classes: {', '.join(self.names[:3])}{more})"

    def to_record(self) -> dict[str, Any]:
        """As JSON, for manifests, checkpoints and results."""
        return {"name": self.name, "names": list(self.names), "wnids": [" ".join(members) for members in self.wnids]}


def read_class_list(record: Any, *, where: str) -> ClassList:
    """The list of a record (`ClassList.to_record`); None, which files from before there were lists have, is ImageNet-9.

    Raises InputError where it is no such record.
    """
    if record is None:
        from bgdata.labels import IN9  # here, as ImageNet-9's table is a list itself

        return IN9
    try:
        names = tuple(_text(name) for name in record["names"])
        wnids = tuple(tuple(_text(members).split()) for members in record["wnids"])
        if len(names) != len(wnids) or len(set(names)) < len(names) or not names:
            raise ValueError(f"{len(names)} names, {len(wnids)} groups of wnids")
        return ClassList(_text(record["name"]), names, wnids)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{where} holds a broken list of classes ({error}): make it again") from None


def check_same(lists: Mapping[str, ClassList]) -> ClassList:
    """The one list of all these places.

    Raises InputError that names two places and their lists where they differ.
    """
    places = iter(lists.items())
    first, classes = next(places)
    for place, other in places:
        if not classes.same_as(other):
            raise InputError(
                f"{first} has the classes {classes.describe()}, but {place} has {other.describe()}: give both of the "
                "same list of classes"
            )
    return classes


def in_words(number: int) -> str:
    """A small number as a word, a larger one in digits: 9 is `nine`, 37 is `37`."""
    return _NUMBERS[number] if number < len(_NUMBERS) else f"{number:,}"


def plain_class_list(name: str, names: Sequence[str]) -> ClassList:
    """A list of classes without wnids."""
    return ClassList(name, tuple(names), ((),) * len(names))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value
