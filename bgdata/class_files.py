"""Lists of classes as people give them: a CSV that groups WordNet ids, or the folders of a tree."""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bgdata.classes import ClassList
from bgdata.errors import InputError
from bgdata.hidden import is_hidden
from bgdata.prompts import imagenet_wnids
from bgdata.text import read_table

# In place of a list: the tree's own class folders.
FOLDERS = "folders"
# Of a tree of class folders: its splits as theirs are called, and where its masks lie.
SPLIT_OF = {"train": "train", "val": "val", "test": "val"}
MASKS = "masks"
COLUMNS = ("class", "wnid")
# ImageNet has no more; a class needs a folder, and a tar's header holds a name of 155 bytes before the last `/`.
_MOST_CLASSES = 1000
_LONGEST_NAME = 100
_NO_NAME = frozenset('/\\:*?"<>|\0')
_NAMED = 20


def read_class_csv(path: Path) -> ClassList:
    """The classes of a CSV (`class,wnid`), in the order in which they first appear; the list has the file's name.

    Raises InputError with a line for each mistake: a wnid in two classes or unknown to ImageNet, and those of
    `check_names`.
    """
    members: dict[str, list[str]] = {}
    for row in read_table(path, COLUMNS):
        members.setdefault(row["class"].strip(), []).append(row["wnid"].strip())
    _refuse(path, [*check_names(tuple(members)), *_wnid_mistakes(members)])
    return ClassList(path.stem, tuple(members), tuple(tuple(sorted(set(wnids))) for wnids in members.values()))


def folder_class_list(names: Sequence[str], *, where: Path) -> ClassList:
    """The class folders of a tree, sorted, as a list; a folder named by one of ImageNet's wnids has that wnid.

    Raises InputError with a line for each mistake of `check_names`.
    """
    known = set(imagenet_wnids())
    ordered = tuple(sorted(names))
    _refuse(where, list(check_names(ordered)))
    return ClassList(FOLDERS, ordered, tuple((name,) if name in known else () for name in ordered))


def list_class_folders(root: Path) -> ClassList:
    """The class folders of the tree at `root`, sorted, as a list.

    Raises InputError where there is no tree, it lacks a split or a class in one of its splits, or names are no classes.
    """
    return folder_class_list(class_folders(root.expanduser())[0], where=root)


def class_folders(root: Path) -> tuple[list[str], bool]:
    """The names of the class folders of a tree, sorted, and whether it is split; see `list_class_folders`."""
    if not root.is_dir():
        raise InputError(f"expected an ImageFolder tree in {root}, found no folder: set runtime.folder")
    splits = [name for name in subfolders(root) if name in SPLIT_OF]
    homes = [root / name for name in splits] or [root]
    found = {home: set(subfolders(home)) - {MASKS} for home in homes}
    if splits and {SPLIT_OF[name] for name in splits} != {"train", "val"}:
        raise InputError(f"{root} has {' and '.join(splits)}: expected train/ and val/ (or test/), or neither")
    _check_in_all(found)
    return sorted(set().union(*found.values())), bool(splits)


def _check_in_all(found: Mapping[Path, set[str]]) -> None:
    every = set().union(*found.values())
    lacking = [f"{home} has no folder {name!r}" for home, names in found.items() for name in sorted(every - names)]
    if lacking:
        listed = "\n".join(f"  {sentence}" for sentence in lacking[:20])
        folders = "1 class folder is" if len(lacking) == 1 else f"{len(lacking)} class folders are"
        raise InputError(f"{folders} missing; add photos there, or remove such a class everywhere:\n{listed}")


def subfolders(home: Path) -> list[str]:
    """The names of the folders in a folder, sorted, without hidden and system ones."""
    return sorted(path.name for path in home.iterdir() if path.is_dir() and not is_hidden(path.name))


def check_names(names: Sequence[str]) -> Iterator[str]:
    """A sentence for each mistake: fewer than 2 classes or more than 1,000, names that cannot be a folder on each
    system, and two that differ in their case or their coding alone.
    """
    if not 2 <= len(names) <= _MOST_CLASSES:
        yield f"it has {len(names)} {'class' if len(names) == 1 else 'classes'}, expected 2 to {_MOST_CLASSES}"
    seen: dict[str, str] = {}
    for name in names:
        if reason := _no_folder(name):
            yield f"the class {name!r} cannot be a folder: {reason}"
        other = seen.setdefault(unicodedata.normalize("NFC", name).casefold(), name)
        if other != name:
            yield f"the classes {other!r} and {name!r} differ in case or coding alone: some disks keep one of them"


def _no_folder(name: str) -> str | None:
    if not name:
        return "it is empty"
    if any(sign in _NO_NAME or unicodedata.category(sign) in ("Cc", "Cs") for sign in name):
        return 'it holds one of /\\:*?"<>| or a sign that cannot be printed'
    if name != name.strip() or name.startswith(".") or name.endswith("."):
        return "it begins or ends with a blank or a dot"
    if len(name.encode()) > _LONGEST_NAME:
        return f"it has {len(name.encode())} bytes, expected at most {_LONGEST_NAME}"
    return None


def _wnid_mistakes(members: dict[str, list[str]]) -> Iterator[str]:
    known = set(imagenet_wnids())
    owner: dict[str, str] = {}
    for name, wnids in members.items():
        for wnid in wnids:
            if wnid not in known:
                yield f"the class {name!r} has {wnid!r}, which is none of ImageNet's 1,000 wnids (as n02085620)"
            elif owner.setdefault(wnid, name) != name:
                yield f"{wnid} is in two classes, {owner[wnid]!r} and {name!r}"


def _refuse(place: Path, mistakes: list[str]) -> None:
    if not mistakes:
        return
    more = [f"  and {len(mistakes) - _NAMED} more"] if len(mistakes) > _NAMED else []
    count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
    listed = "\n".join([*(f"  {mistake}" for mistake in mistakes[:_NAMED]), *more])
    raise InputError(f"the classes of {place} have {count}:\n{listed}")
