"""Reads an ILSVRC tree, in the layout in which ImageNet's users have it on disk.

ILSVRC/Data/CLS-LOC/train/<wnid>/<wnid>_<n>.JPEG      ILSVRC/Annotations/CLS-LOC/train/<wnid>/<wnid>_<n>.xml
ILSVRC/Data/CLS-LOC/val/ILSVRC2012_val_<n>.JPEG       ILSVRC/Annotations/CLS-LOC/val/ILSVRC2012_val_<n>.xml
LOC_val_solution.csv                                  masks/{train/<wnid>,val}/<stem>.png (optional)
"""

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from bgdata.errors import InputError
from bgdata.geometry import Box
from bgdata.ingest.candidates import Candidate, files_by_stem, id_of, sort_candidates
from bgdata.labels import in9_label_by_wnid

SOLUTION = "LOC_val_solution.csv"
_LAYOUT = Path("CLS-LOC")


@dataclass(frozen=True)
class IlsvrcTree:
    """Where a tree's parts lie: `home` holds Data/ and Annotations/; `masks` is None where no masks came with it."""

    home: Path
    solution: Path
    masks: Path | None

    @property
    def photos(self) -> Path:
        """The folder of `train/` and `val/`."""
        return self.home / "Data" / _LAYOUT

    @property
    def annotations(self) -> Path:
        """The folder of the XML files."""
        return self.home / "Annotations" / _LAYOUT

    @property
    def other_files(self) -> tuple[Path, ...]:
        """The files that belong to no photo alone: the solution."""
        return (self.solution,)

    def relative(self, path: str | Path) -> str:
        """A file's path from the folder that holds ILSVRC/: the same wherever the tree lies."""
        return os.path.relpath(path, self.home.parent)


def find_tree(root: str | Path) -> IlsvrcTree:
    """Find the parts of an ILSVRC tree whose root is the folder that holds `ILSVRC/`, or that folder itself.

    A leading `~` is the home folder. Raises InputError where something is missing: what, where, and what to do.
    """
    root = Path(root).expanduser()
    home = next((folder for folder in (root / "ILSVRC", root) if (folder / "Data" / _LAYOUT).is_dir()), None)
    if home is None:
        raise InputError(
            f"expected the ILSVRC tree in {root}, but neither {root}/ILSVRC/Data/CLS-LOC nor {root}/Data/CLS-LOC is a "
            "folder: set runtime.imagenet in params.yaml, or the variable IMAGENET, to the folder that holds ILSVRC/"
        )
    places = [root, home.parent, home, root.parent]
    solution = next((place / SOLUTION for place in places if (place / SOLUTION).is_file()), None)
    if solution is None:
        raise InputError(
            f"expected {SOLUTION} (the classes of the validation photos) in {root}, {root.parent} or {home}, found "
            "none: copy it there from Kaggle's ImageNet download, or set runtime.imagenet or IMAGENET to another folder"
        )
    masks = next((place / "masks" for place in (home.parent, home) if (place / "masks").is_dir()), None)
    return IlsvrcTree(home=home, solution=solution, masks=masks)


def list_candidates(tree: IlsvrcTree) -> list[Candidate]:
    """All photos of the nine classes that the tree has or annotates, sorted by split and id; opens none of them.

    Raises InputError where two of them would get one id, or an id is longer than a shard can hold.
    """
    return sort_candidates([*_train(tree), *_val(tree)])


def _train(tree: IlsvrcTree) -> Iterator[Candidate]:
    for wnid, label in in9_label_by_wnid().items():
        photos = files_by_stem(tree.photos / "train" / wnid, ".jpeg")
        annotations = files_by_stem(tree.annotations / "train" / wnid, ".xml")
        masks = files_by_stem(tree.masks / "train" / wnid, ".png") if tree.masks else {}
        for stem in photos.keys() | annotations.keys():
            paths = photos.get(stem), annotations.get(stem), masks.get(stem)
            yield Candidate(id_of(stem, wnid), "train", wnid, label, stem, *paths)


def _val(tree: IlsvrcTree) -> Iterator[Candidate]:
    photos = files_by_stem(tree.photos / "val", ".jpeg")
    annotations = files_by_stem(tree.annotations / "val", ".xml")
    masks = files_by_stem(tree.masks / "val", ".png") if tree.masks else {}
    labels = in9_label_by_wnid()
    for stem, wnid in read_solution(tree.solution).items():
        if wnid in labels:
            image_id = f"{wnid}_{stem.rpartition('_')[2]}"
            paths = photos.get(stem), annotations.get(stem), masks.get(stem)
            yield Candidate(image_id, "val", wnid, labels[wnid], stem, *paths)


def read_solution(path: Path) -> dict[str, str]:
    """The wnid of each validation photo, by its file's stem.

    Raises InputError where the file is not Kaggle's (`ImageId,PredictionString`, the string beginning with the wnid).
    """
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        if not {"ImageId", "PredictionString"} <= set(reader.fieldnames or ()):
            raise InputError(
                f"expected the columns ImageId,PredictionString in {path}, got {','.join(reader.fieldnames or ())}: "
                "take the file from Kaggle's ImageNet download"
            )
        return {row["ImageId"]: (row["PredictionString"] or "").partition(" ")[0] for row in reader}


def parse_annotation(data: bytes) -> tuple[tuple[int, int], list[Box]]:
    """The photo's size (height, width) and its boxes, of a VOC-style annotation; `xmax`, `ymax` are read as exclusive.

    Raises ValueError where it is none (broken XML, or a number or an element missing).
    """
    try:
        tree = ElementTree.fromstring(data)
        height, width = (int(_text(tree, f"size/{name}")) for name in ("height", "width"))
        edges = ("xmin", "ymin", "xmax", "ymax")
        boxes = [Box(*(int(float(_text(box, edge))) for edge in edges)) for box in tree.iterfind("object/bndbox")]
    except (ElementTree.ParseError, ValueError, OverflowError) as error:
        raise ValueError(f"not an annotation: {error}") from error
    return (height, width), boxes


def _text(element: ElementTree.Element, path: str) -> str:
    text = element.findtext(path)
    if text is None:
        raise ValueError(f"it has no {path}")
    return text
