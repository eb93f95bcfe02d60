"""Finds and lists ImageNet's photos, in the layouts in which its users have them on disk.

As Kaggle packs it:
    ILSVRC/Data/CLS-LOC/train/<wnid>/<wnid>_<n>.JPEG      ILSVRC/Annotations/CLS-LOC/train/<wnid>/<wnid>_<n>.xml
    ILSVRC/Data/CLS-LOC/val/ILSVRC2012_val_<n>.JPEG       ILSVRC/Annotations/CLS-LOC/val/ILSVRC2012_val_<n>.xml
    LOC_val_solution.csv                                  masks/{train/<wnid>,val}/<stem>.png (optional)
As torchvision reads it, without boxes: train/<wnid>/*.JPEG and val/<wnid>/*.JPEG.

In both, files of val may lie in folders of their classes or beside one another, may end in `.jpg` or another photo's
ending, and may carry their class in their names (`ILSVRC2012_val_00000293_n02106550.JPEG`, as on Hugging Face).
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from xml.etree import ElementTree

from bgdata.classes import ClassList
from bgdata.errors import InputError
from bgdata.foreign_images import IMAGE_ENDINGS
from bgdata.geometry import Box
from bgdata.ingest.candidates import (
    MASK_ENDINGS,
    Candidate,
    files_in,
    id_of,
    sort_candidates,
)
from bgdata.labels import IN9
from bgdata.text import read_table

SOLUTION = "LOC_val_solution.csv"
_LAYOUT = Path("CLS-LOC")
_WNID = re.compile(r"n\d{8}")
_NAMED = re.compile(r"(?P<stem>.+)_(?P<wnid>n\d{8})")
_VAL = re.compile(r"ILSVRC2012_val_(?P<number>\d+)")
# Edges beyond this are no pixels, and would overflow what is computed with them.
_LARGEST_EDGE = 1e6


@dataclass(frozen=True)
class IlsvrcTree:
    """Where a tree's parts lie: `home` holds Data/ and Annotations/; None for a part that did not come with it."""

    home: Path
    solution: Path | None
    masks: Path | None
    classes: ClassList = IN9

    @property
    def photos(self) -> Path:
        """The folder of `train/` and `val/`."""
        return self.home / "Data" / _LAYOUT

    @property
    def annotations(self) -> Path:
        """The folder of the XML files."""
        return self.home / "Annotations" / _LAYOUT

    @property
    def top(self) -> Path:
        """The folder from which paths are written down: the one that holds ILSVRC/."""
        return self.home.parent

    @property
    def other_files(self) -> tuple[Path, ...]:
        """The files that belong to no photo alone: the solution."""
        return (self.solution,) if self.solution else ()


@dataclass(frozen=True)
class ClassFolders:
    """Where the parts of a tree lie whose `home` holds `train/` and `val/` themselves."""

    home: Path
    solution: Path | None
    masks: Path | None
    classes: ClassList = IN9

    @property
    def photos(self) -> Path:
        """The folder of `train/` and `val/`."""
        return self.home

    @property
    def annotations(self) -> Path:
        """Where XML files would lie; usually there are none."""
        return self.home / "Annotations"

    @property
    def top(self) -> Path:
        """The folder from which paths are written down: itself."""
        return self.home

    @property
    def other_files(self) -> tuple[Path, ...]:
        """The files that belong to no photo alone: the solution."""
        return (self.solution,) if self.solution else ()


def find_tree(root: str | Path, classes: ClassList = IN9) -> IlsvrcTree | ClassFolders:
    """Find the parts of a tree whose root is the folder that holds `ILSVRC/`, that folder or one of those in it, or the
    folder that holds `train/` and `val/`.

    A leading `~` is the home folder. Raises InputError where there is none: what, where, and what to do.
    """
    root = Path(root).expanduser()
    homes = (root / "ILSVRC", root, root.parent, root.parent.parent)
    home = next((folder for folder in homes if _holds(folder, root)), None)
    if home is not None:
        places = [root, home.parent, home, root.parent]
        return IlsvrcTree(home, _solution(places), _masks((home.parent, home)), classes)
    if any((root / split).is_dir() for split in ("train", "val")):
        return ClassFolders(root, _solution([root, root.parent]), _masks([root]), classes)
    raise InputError(
        f"expected the ILSVRC tree in {root}, but neither {root}/ILSVRC/Data/CLS-LOC nor {root}/Data/CLS-LOC is a "
        "folder, nor train/ or val/: set runtime.imagenet in params.yaml, or the variable IMAGENET, to the folder that "
        "holds ILSVRC/"
    )


def _holds(home: Path, root: Path) -> bool:
    """Whether Data/CLS-LOC lies in `home`, and is not somebody else's beside `root`."""
    photos = home / "Data" / _LAYOUT
    return photos.is_dir() and (home in (root / "ILSVRC", root) or photos.is_relative_to(root))


def _solution(places: Iterable[Path]) -> Path | None:
    return next((place / SOLUTION for place in places if (place / SOLUTION).is_file()), None)


def _masks(places: Iterable[Path]) -> Path | None:
    return next((place / "masks" for place in places if (place / "masks").is_dir()), None)


def list_candidates(tree: IlsvrcTree | ClassFolders, *, gone: Sequence[Path] = ()) -> list[Candidate]:
    """All photos of the classes that the tree has or annotates, sorted by split and id; opens none of them.

    Photos that are `gone` are listed without a file. Raises InputError where a photo has no class or two, two
    photos would get one id, an id is longer than a shard can hold, or there are none.
    """
    val = read_solution(tree.solution) if tree.solution else {}
    found = [*_list_split(tree, "train", {}, gone), *_list_split(tree, "val", val, gone)]
    if not found:
        raise InputError(
            f"expected photos of the {len(tree.classes.label_by_wnid)} synsets of {tree.classes.describe()} in "
            f"{tree.photos}, as train/n02085620/n02085620_7.JPEG, found none: name the folders by their wnids"
        )
    return sort_candidates(found)


class _File(NamedTuple):
    """A file of a split: its class (None: nothing says it), its stem without the class's, and its path."""

    wnid: str | None
    stem: str
    path: str


def _list_split(
    tree: IlsvrcTree | ClassFolders, split: str, classes: Mapping[str, str], gone: Sequence[Path]
) -> Iterator[Candidate]:
    unread: dict[str | None, InputError] = {}
    wnids = (*tree.classes.label_by_wnid,)
    photos = _files(tree.photos / split, wnids, IMAGE_ENDINGS, classes, gone=gone, unread=unread)
    annotations = _by_name(_files(tree.annotations / split, wnids, (".xml",), classes))
    masks = _by_name(_files(tree.masks / split, wnids, MASK_ENDINGS, classes)) if tree.masks else {}
    listed = {(wnid, stem) for stem, wnid in classes.items()} | {key for key in annotations if key[0]}
    missing = listed - {(photo.wnid, photo.stem) for photo in photos}
    for wnid, error in unread.items():
        if not any(wnid in (None, key[0]) for key in missing):
            raise error
    if not unread:
        _check_classes(photos, tree, split)
    labels, lost = tree.classes.label_by_wnid, {"", *map(str, gone)}
    for wnid, stem, photo in [*photos, *(_File(wnid, stem, "") for wnid, stem in missing)]:
        if wnid in labels:
            annotation, mask = (found.get((wnid, stem)) or found.get((None, stem)) for found in (annotations, masks))
            number = _VAL.fullmatch(stem)
            image_id = f"{wnid}_{number['number']}" if number else id_of(stem, wnid)
            there = None if photo in lost else photo
            yield Candidate(image_id, split, wnid, labels[wnid], stem, there, annotation, mask)


def _files(
    folder: Path,
    wnids: Sequence[str],
    endings: tuple[str, ...],
    classes: Mapping[str, str],
    *,
    gone: Sequence[Path] = (),
    unread: dict[str | None, InputError] | None = None,
) -> list[_File]:
    """The files in a split's folder and in those of its classes.

    Folders that cannot be read go into `unread`, by their wnid; where it is not given, they are an InputError.
    """
    lost: dict[Path, list[str]] = {}
    for path in gone:
        if path.suffix.lower() in endings:
            lost.setdefault(path.parent, []).append(str(path))
    files = []
    for below in (None, *wnids):
        place = folder / (below or "")
        try:
            paths = files_in(place, endings)
        except InputError as error:
            if unread is None:
                raise
            unread[below] = error
            paths = []
        files += [_file(path, below, classes) for path in [*paths, *lost.get(place, ())]]
    return files


def _file(path: str, folder: str | None, classes: Mapping[str, str]) -> _File:
    """A file and its class: by its folder, its name's end and `classes`, which must agree; else by its name's start."""
    stem = Path(path).stem
    named = _NAMED.fullmatch(stem)
    stem = named["stem"] if named else stem
    said = {wnid for wnid in (folder, named and named["wnid"], classes.get(stem)) if wnid}
    if len(said) > 1:
        raise InputError(
            f"{path} is of two classes, {' and '.join(sorted(said))}, by its folder, its name or {SOLUTION}: mend or "
            "remove what is wrong"
        )
    begins = _WNID.match(stem)
    return _File(next(iter(said), begins and begins.group()), stem, path)


def _by_name(files: Iterable[_File]) -> dict[tuple[str | None, str], str]:
    return {(file.wnid, file.stem): file.path for file in files}


def _check_classes(photos: Sequence[_File], tree: IlsvrcTree | ClassFolders, split: str) -> None:
    """Raise InputError where nothing says the class of a photo, or val has neither photos nor a solution."""
    unknown = [photo.path for photo in photos if photo.wnid is None]
    if split == "val" and tree.solution is None and (unknown or not photos):
        raise InputError(
            f"expected {SOLUTION} (the classes of the validation photos) in {tree.top} or {tree.home}, or folders "
            f"named by wnids in {tree.photos / split}, found none: copy it there from Kaggle's ImageNet download, or "
            "set runtime.imagenet or IMAGENET to another folder"
        )
    if unknown:
        where = f"a wnid's folder nor {tree.solution} names" if tree.solution else "a wnid's folder nor a name tells"
        raise InputError(
            f"{len(unknown)} of {len(photos)} photos in {tree.photos / split} have no class, as {unknown[0]}: neither "
            f"{where} it; take the whole file, or move them away"
        )


def read_solution(path: Path) -> dict[str, str]:
    """The wnid of each validation photo, by its file's stem; lines that begin with `#` are passed over.

    Raises InputError where the file is not Kaggle's (`ImageId,PredictionString`, the string beginning with the wnid).
    """
    classes = {}
    # All that counts in it is ASCII: notes in another coding do no harm.
    for row in read_table(path, ("ImageId", "PredictionString"), comment="#", fallback="latin-1"):
        wnid = row["PredictionString"].partition(" ")[0]
        if not _WNID.fullmatch(wnid):
            raise InputError(
                f"{path}: {row['ImageId']} is of the class {wnid!r}, expected a wnid as n02106550: take the file from "
                "Kaggle's ImageNet download"
            )
        classes[_stem(row["ImageId"].strip())] = wnid
    return classes


def _stem(name: str) -> str:
    """A photo's name without a photo's ending, folders or its class."""
    path = PurePosixPath(name)
    stem = path.stem if path.suffix.lower() in IMAGE_ENDINGS else path.name
    named = _NAMED.fullmatch(stem)
    return named["stem"] if named else stem


def parse_annotation(data: bytes) -> tuple[tuple[int, int], list[Box]]:
    """The photo's size (height, width) and its boxes, of a VOC-style annotation; `xmax`, `ymax` are read as exclusive.

    Raises ValueError where it is none (broken XML, a number or an element missing, entities of its own: they may stand
    for more than memory holds).
    """
    try:
        # Without zeros: in UTF-16 as well.
        if b"<!ENTITY" in data.replace(b"\0", b""):
            raise ValueError("it declares entities")
        tree = ElementTree.fromstring(data)
        height, width = (_pixels(tree, f"size/{name}") for name in ("height", "width"))
        edges = ("xmin", "ymin", "xmax", "ymax")
        boxes = [Box(*(_pixels(box, edge) for edge in edges)) for box in tree.iterfind("object/bndbox")]
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise ValueError(f"not an annotation: {error}") from error
    return (height, width), boxes


def _pixels(element: ElementTree.Element, path: str) -> int:
    text = element.findtext(path)
    if text is None:
        raise ValueError(f"it has no {path}")
    number = float(text)
    if not abs(number) <= _LARGEST_EDGE:  # not a number, too
        raise ValueError(f"its {path} is {text}")
    return int(number)
