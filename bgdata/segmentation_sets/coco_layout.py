"""Where COCO's annotations and photos lie: as cocodataset.org, Roboflow, CVAT, Label Studio and FiftyOne leave them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bgdata.errors import InputError

_ROBOFLOW = "_annotations.coco.json"
# File and folder of the photos, beside each other.
_WHOLE = {"result.json": "images", "labels.json": "data"}


@dataclass(frozen=True)
class CocoLayout:
    """One split: its name, its annotations, and the folders below which its photos lie, the likeliest first."""

    split: str
    annotations: Path
    photos: tuple[Path, ...]


def find_layout(root: Path, *, split: str | None = None) -> CocoLayout:
    """The split whose annotations and photos lie in `root`; of several, the first that begins with `val`.

    Raises InputError where there is none.
    """
    found = sorted(_layouts(root), key=lambda one: (one.split[:3].lower() != "val", one.split, one.annotations))
    chosen = [one for one in found if split in (None, one.split)]
    if chosen:
        return chosen[0]
    if split is not None and root.is_dir():
        others = ", ".join(one.split for one in found) or "none"
        raise InputError(
            f"{root}/annotations/instances_{split}.json is missing, or its photos: unpack COCO's annotations there, or "
            f"take a split that is there ({others})"
        )
    raise InputError(
        f"{root} is no COCO folder: expected annotations/instances_<split>.json and <split>/ with its photos, as the "
        f"official archives unpack (val2017), or images/; <split>/{_ROBOFLOW} (Roboflow); or result.json and images/ "
        "(Label Studio)"
    )


def find_part(root: Path, part: str) -> CocoLayout:
    """The split whose name begins with `part` (`train` or `val`), the first of several.

    Raises InputError where there is none.
    """
    layouts = sorted(_layouts(root), key=lambda one: (one.split, one.annotations))
    for layout in layouts:
        if layout.split.lower().startswith(part):
            return layout
    if not layouts:
        return find_layout(root)
    raise InputError(
        f"{root} has no split {part} (it has {', '.join(one.split for one in layouts)}): unpack COCO's "
        f"annotations/instances_{part}2017.json and {part}2017/ there"
    )


def _layouts(root: Path) -> Iterator[CocoLayout]:
    for path in (root / "annotations").glob("instances_*.json"):
        split = path.stem.removeprefix("instances_")
        folders = [root / split, root / "images" / split, root / "images"]
        photos = tuple(folder for folder in folders if folder.is_dir())
        if photos:
            yield CocoLayout(split, path, photos[:1] if photos[0] == folders[0] else photos)
    for path in [root / _ROBOFLOW, *root.glob(f"*/{_ROBOFLOW}")]:
        if path.is_file():
            yield CocoLayout(path.parent.name, path, (path.parent,))
    for name, folder in _WHOLE.items():
        if (root / name).is_file() and (root / folder).is_dir():
            yield CocoLayout(Path(name).stem, root / name, (root, root / folder))
