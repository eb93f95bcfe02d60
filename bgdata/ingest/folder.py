"""Reads an ImageFolder tree: a folder of photos for each class, already split or not.

train/<class>/**/*.jpg   val/ or test/<class>/**/*.jpg      split as it lies
<class>/**/*.jpg                                            split by `val_share`, by (seed, id); see `near_duplicates`
masks/<path of the photo>.png                               optional: a photo's mask, with any image's ending
boxes.csv (path,x0,y0,x1,y1)                                optional: boxes in pixels, x1 and y1 exclusive

Files have any of the endings that torchvision's ImageFolder reads.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bgdata.class_files import FOLDERS, MASKS, SPLIT_OF, class_folders, subfolders
from bgdata.classes import ClassList
from bgdata.errors import InputError
from bgdata.foreign_images import IMAGE_ENDINGS
from bgdata.geometry import Box
from bgdata.hidden import is_hidden
from bgdata.ingest.candidates import MASK_ENDINGS, Candidate, PhotoTree, sort_candidates
from bgdata.randomness import image_generator
from bgdata.text import read_table

BOXES = "boxes.csv"
# An id is the file's name, as far as a shard's names allow, and a hash of its path: no two photos can share one.
_STEM, _HASH = 27, 12
_NO_ID = re.compile(r"[^A-Za-z0-9-]+")


@dataclass(frozen=True)
class ValShare:
    """How a tree that is not split is: which share of its photos becomes val, by which seed."""

    share: float
    seed: int

    def split(self, image_id: str) -> str:
        """The split of a photo, from (seed, id) alone: more photos change no other one's."""
        drawn = image_generator(self.seed, image_id, "ingest.val_share").random()
        return "val" if drawn < self.share else "train"


@dataclass(frozen=True)
class FolderTree:
    """Where an ImageFolder tree lies, and its classes."""

    home: Path
    classes: ClassList
    is_split: bool

    @property
    def top(self) -> Path:
        """The folder from which paths are written down: itself."""
        return self.home

    @property
    def other_files(self) -> tuple[Path, ...]:
        """The files that belong to no photo alone: the boxes."""
        return (self.home / BOXES,) if (self.home / BOXES).is_file() else ()


def is_drawn(tree: PhotoTree) -> bool:
    """Whether the photos' splits are drawn, as the tree has none."""
    return isinstance(tree, FolderTree) and not tree.is_split


def find_folder_tree(root: Path, classes: ClassList) -> FolderTree:
    """The tree at `root` for a list of classes: folders are named by a class or by one of its wnids; others are left.

    Raises InputError as `list_class_folders` does, and where the list is of folders that are others now.
    """
    root = root.expanduser()
    names, is_split = class_folders(root)
    if classes.name == FOLDERS and names != list(classes.names):
        other = sorted(set(names) ^ set(classes.names))
        raise InputError(f"{root} has other class folders than when config ran, as {other[0]}: `dvc repro -f config`")
    return FolderTree(root, classes, is_split)


def list_folder_tree(tree: FolderTree, *, share: ValShare, gone: Sequence[Path] = ()) -> list[Candidate]:
    """All photos of the tree's classes, sorted by split and id; opens none. Photos that are `gone` have no file.

    A tree that is not split is, by its `share`.

    Raises InputError where there are none, or `boxes.csv` is broken or names no photo.
    """
    labels = {name: label for label, name in enumerate(tree.classes.names)} | tree.classes.label_by_wnid
    boxes = _read_boxes(tree.home / BOXES)
    masks = {path.with_suffix(""): path for path in walk_files(tree.home, PurePosixPath(MASKS), MASK_ENDINGS)}
    lost = {path.relative_to(tree.home).as_posix() for path in gone if path.suffix.lower() in IMAGE_ENDINGS}
    paths = [path for below in _places(tree) for path in walk_files(tree.home, below, IMAGE_ENDINGS)]
    photos = {path.as_posix(): path for path in paths} | {
        path: PurePosixPath(path) for path in lost if not path.startswith(f"{MASKS}/")
    }
    found = []
    for path, parts in photos.items():
        of_class = parts.parts[1] if tree.is_split else parts.parts[0]
        if of_class not in labels:
            continue
        image_id = path_id(parts)
        split = SPLIT_OF[parts.parts[0]] if tree.is_split else share.split(image_id)
        mask = masks.get(PurePosixPath(MASKS) / parts.with_suffix(""))
        found.append(
            Candidate(
                id=image_id,
                split=split,
                wnid=of_class if of_class in tree.classes.label_by_wnid else "",
                label=labels[of_class],
                stem=parts.stem,
                photo=None if path in lost else str(tree.home / path),
                annotation=None,
                mask=str(tree.home / mask) if mask else None,
                boxes=boxes.get(path),
            )
        )
    _check_found(tree, found, boxes, photos)
    return sort_candidates(found)


def _check_found(
    tree: FolderTree, found: Sequence[Candidate], boxes: Mapping[str, object], photos: Mapping[str, object]
) -> None:
    if not found:
        raise InputError(f"{tree.home} holds no photo of the classes {tree.classes.describe()}: see docs/imagenet.md")
    stray = sorted(boxes.keys() - photos.keys())
    if stray:
        raise InputError(
            f"{tree.home / BOXES} has boxes of {len(stray)} files that are no photo of the tree, as {stray[0]}: "
            "expected paths from its folder, as train/cat/1.jpg"
        )


def _places(tree: FolderTree) -> list[PurePosixPath]:
    homes = [PurePosixPath(name) for name in subfolders(tree.home) if name in SPLIT_OF] if tree.is_split else [None]
    return [
        PurePosixPath(name) if home is None else home / name
        for home in homes
        for name in subfolders(tree.home / (home or ""))
        if not (home is None and name == MASKS)
    ]


def walk_files(home: Path, below: PurePosixPath, endings: tuple[str, ...]) -> Iterator[PurePosixPath]:
    """The files below a folder, at any depth, as paths within `home`."""
    for path in sorted((home / below).rglob("*")):
        if path.suffix.lower() in endings and path.is_file():
            within = PurePosixPath(path.relative_to(home).as_posix())
            if not is_hidden(str(within)):
                yield within


def path_id(path: PurePosixPath) -> str:
    """The id of a photo by its path within its tree."""
    stem = _NO_ID.sub("-", path.stem).strip("-")[:_STEM]
    return f"{stem or 'photo'}-{hashlib.sha256(path.as_posix().encode()).hexdigest()[:_HASH]}"


def _read_boxes(path: Path) -> dict[str, tuple[Box, ...]]:
    if not path.is_file():
        return {}
    boxes: dict[str, tuple[Box, ...]] = {}
    edges = ("x0", "y0", "x1", "y1")
    for row in read_table(path, ("path", *edges)):
        try:
            box = Box(*(int(float(row[edge])) for edge in edges))
        except (ValueError, OverflowError):
            raise InputError(f"{path}: the box of {row['path']} is no four numbers: mend the line") from None
        if box.x0 >= box.x1 or box.y0 >= box.y1:
            raise InputError(
                f"{path}: the box {tuple(box)} of {row['path']} is empty: mend the line (x0 < x1, y0 < y1)"
            )
        boxes[row["path"]] = (*boxes.get(row["path"], ()), box)
    return boxes
