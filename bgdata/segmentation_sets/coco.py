"""COCO: `annotations/instances_<split>.json` beside the folder `<split>/` of its photos."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool

from bgdata.errors import InputError
from bgdata.masks.rle import decode_polygons, decode_rle
from bgdata.segmentation_sets.base import Sample, Truth, check_samples, count_samples, read_image, truth_of

_CONTENTS: Mapping[str, Mapping[str, Any]] = {
    "images": {"id": int, "file_name": str, "height": int, "width": int},
    "categories": {"id": int, "name": str},
    "annotations": {"id": int, "image_id": int, "category_id": int, "segmentation": (list, dict)},
}


class CocoSet:
    """The instances of one split; the masks of a category in an image are joined, crowds included.

    Source: the format that cocodataset.org documents under "Data format"; pycocotools rasterises.

    Raises InputError where a file is missing, the json is not of that form, or a record names an unknown one.
    """

    clustered_by: Literal["image"] = "image"

    def __init__(self, root: Path, *, split: str | None = None) -> None:
        self._split = split or find_split(root)
        self._photos = root / self._split
        self._path = root / "annotations" / f"instances_{self._split}.json"
        contents = read_instances(self._path)
        self._images = {image["id"]: image for image in contents["images"]}
        self._annotations = self._by_sample(contents)
        _check_photos(self._photos, [self._images[image]["file_name"] for image, _ in self._annotations])
        self._keys = {self._sample(image, category): (image, category) for image, category in self._annotations}
        self.samples = tuple(self._keys)
        self.counts = count_samples(self.samples, images=len(self._images))
        check_samples(self.samples, self._path, images=len(self._images))

    @property
    def name(self) -> str:
        """`coco/<split>`."""
        return f"coco/{self._split}"

    def read(self, sample: Sample) -> Truth:
        """Decode the photo and join the masks; see `SegmentationSet`."""
        key = self._keys[sample]
        record = self._images[key[0]]
        size = (record["height"], record["width"])
        path = self._photos / record["file_name"]
        image = read_image(path)
        if image.shape[:2] != size:
            raise InputError(
                f"{path} is {image.shape[0]}x{image.shape[1]}, {self._path.name} says {size[0]}x{size[1]} (height x "
                "width): photos and annotations are of different releases; fetch both again"
            )
        return truth_of(image, self._mask(self._annotations[key], size))

    def _mask(self, annotations: Sequence[Mapping[str, Any]], size: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
        mask = np.zeros(size, bool)
        for annotation in annotations:
            shape = annotation["segmentation"]
            try:
                mask |= decode_rle(shape, size) if isinstance(shape, dict) else decode_polygons(shape, size)
            except InputError as error:
                raise InputError(f"{self._path}: annotation {annotation['id']}: {error}") from None
        return mask

    def _by_sample(self, contents: Mapping[str, Any]) -> dict[tuple[int, str], list[Mapping[str, Any]]]:
        """The annotations by image and category's name, in the order of the images, then of the names."""
        names = {category["id"]: category["name"] for category in contents["categories"]}
        found: dict[tuple[int, str], list[Mapping[str, Any]]] = {}
        for annotation in contents["annotations"]:
            for field, known in (("image_id", self._images), ("category_id", names)):
                if annotation[field] not in known:
                    raise InputError(
                        f"{self._path}: annotation {annotation['id']} names {field} {annotation[field]}, which the "
                        "file does not list: fetch the annotations again"
                    )
            key = (annotation["image_id"], names[annotation["category_id"]])
            found.setdefault(key, []).append(annotation)
        order = {image_id: position for position, image_id in enumerate(self._images)}
        return dict(sorted(found.items(), key=lambda item: (order[item[0][0]], item[0][1])))

    def _sample(self, image_id: int, category: str) -> Sample:
        stem = self._images[image_id]["file_name"].rpartition(".")[0]
        return Sample(id=f"{stem}/{category}", image_id=stem, category=category, cluster=stem)


def find_split(root: Path) -> str:
    """The split whose annotations and photos lie in `root`; of several, the first that begins with `val`.

    Raises InputError where there is none.
    """
    stems = (path.stem.removeprefix("instances_") for path in (root / "annotations").glob("instances_*.json"))
    splits = sorted((stem for stem in stems if (root / stem).is_dir()), key=lambda stem: (stem[:3] != "val", stem))
    if not splits:
        raise InputError(
            f"{root} is no COCO folder: expected annotations/instances_<split>.json and <split>/ with its photos, as "
            "the official archives unpack (val2017)"
        )
    return splits[0]


def read_instances(path: Path) -> dict[str, Any]:
    """Read an instances file, with all that this package uses in place.

    Raises InputError where it is not JSON, or a list, a record's field or its type is not as COCO has it.
    """
    try:
        contents = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"{path} is missing: unpack COCO's annotations there") from None
    except ValueError as error:
        raise InputError(f"{path} is not JSON ({error}): fetch it again") from None
    for name, fields in _CONTENTS.items():
        records = contents.get(name) if isinstance(contents, dict) else None
        if not isinstance(records, list):
            raise InputError(f"{path} has no list `{name}`: expected COCO's instances with {', '.join(_CONTENTS)}")
        for record in records:
            _check_record(record, fields, f"{path}: a record of `{name}`")
    return contents


def _check_record(record: Any, fields: Mapping[str, Any], what: str) -> None:
    for field, kind in fields.items():
        value = record.get(field) if isinstance(record, dict) else None
        if not isinstance(value, kind):
            words = json.dumps(record)[:120]
            raise InputError(f"{what} lacks `{field}`, or it is of the wrong type: {words}; fetch the file again")


def _check_photos(folder: Path, names: Sequence[str]) -> None:
    missing = sorted({name for name in names if not (folder / name).is_file()})
    if missing:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise InputError(f"{folder / missing[0]} is missing{more}: unpack all of the split's photos there")
