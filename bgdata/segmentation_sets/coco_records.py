"""The records of a COCO file, of any tool: what can be used of them, and what cannot, by reason."""

import json
import math
import posixpath
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bgdata.errors import InputError
from bgdata.masks.rle import check_polygons, check_run_lengths
from bgdata.segmentation_sets.unusable import Unusable

_LISTS = ("images", "categories", "annotations")


@dataclass(frozen=True)
class CocoImage:
    """A photo of the file: its id and name as the file has it, and its size (height, width)."""

    id: str
    file_name: str
    size: tuple[int, int]


@dataclass(frozen=True)
class CocoShape:
    """What one annotation draws: polygons, or run lengths."""

    item: str
    segmentation: Any


@dataclass(frozen=True)
class CocoAnnotation:
    """One annotation of use: its photo (id), its category (name), what it draws, and its record in the file."""

    image: str
    category: str
    shape: CocoShape
    record: Mapping[str, Any]


@dataclass(frozen=True)
class CocoAnnotations:
    """A file's photos by id, its categories' names in its order, its annotations of use in its order, and what is
    unusable of its `total` records. The truth of the photos and categories in `not_whole` lacks an annotation, as does
    that of the photos in `incomplete`, whatever its category is.
    """

    images: Mapping[str, CocoImage]
    categories: tuple[str, ...]
    found: Sequence[CocoAnnotation]
    not_whole: set[tuple[str, str]]
    incomplete: set[str]
    unusable: list[Unusable]
    total: int


@dataclass(frozen=True)
class CocoRecords:
    """A file's photos, the shapes by photo (id) and category (name), and what is unusable of its `total` records."""

    images: Mapping[str, CocoImage]
    shapes: Mapping[tuple[str, str], Sequence[CocoShape]]
    unusable: Sequence[Unusable]
    total: int


class _Bad(Exception):
    """An annotation of no use: `args` are the reason and a sentence."""


def read_contents(path: Path) -> dict[str, list[Any]]:
    """Read the three lists of a COCO file (UTF-8, with or without a byte order mark).

    Raises InputError where it is missing, no JSON, or lacks one of them.
    """
    try:
        contents = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InputError(f"{path} is missing: unpack COCO's annotations there") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON ({error}): fetch it again") from None
    for name in _LISTS:
        if not isinstance(contents, dict) or not isinstance(contents.get(name), list):
            raise InputError(f"{path} has no list `{name}`: expected COCO's instances with {', '.join(_LISTS)}")
    return {name: contents[name] for name in _LISTS}


def sift_records(
    contents: Mapping[str, Sequence[Any]], measure: Callable[[str], tuple[int, int] | None]
) -> CocoRecords:
    """Sort a file's annotations by photo and category, in the order of the photos, then of the categories' names.

    Where one annotation of a category in a photo is of no use, the truth there is not whole: none of them is taken.
    `measure`: see `sift_annotations`.
    """
    sifted = sift_annotations(contents, measure)
    shapes: dict[tuple[str, str], list[CocoShape]] = {}
    for one in sifted.found:
        if (one.image, one.category) not in sifted.not_whole:
            shapes.setdefault((one.image, one.category), []).append(one.shape)
    order = {image: position for position, image in enumerate(sifted.images)}
    in_order = dict(sorted(shapes.items(), key=lambda entry: (order[entry[0][0]], entry[0][1])))
    return CocoRecords(sifted.images, in_order, sifted.unusable, sifted.total)


def sift_annotations(
    contents: Mapping[str, Sequence[Any]], measure: Callable[[str], tuple[int, int] | None]
) -> CocoAnnotations:
    """Tell a file's annotations of use from those of none.

    Ids are compared as text (7 is "7"). `measure` gives the size of a photo on disk whose record has none; None where
    it cannot be read.
    """
    images, ambiguous, unusable = _images(contents["images"], measure)
    names = _categories(contents["categories"])
    found: list[CocoAnnotation] = []
    not_whole: set[tuple[str, str]] = set()
    incomplete: set[str] = set()
    for number, record in enumerate(contents["annotations"]):
        item = f"annotation {record['id']}" if isinstance(record, dict) and "id" in record else f"annotation #{number}"
        try:
            image, category = _places(record, images, names, ambiguous)
        except _Bad as bad:
            unusable.append(Unusable(item, *bad.args))
            incomplete |= (
                {key for key in [identify(record.get("image_id"))] if key} if isinstance(record, dict) else set()
            )
            continue
        try:
            shape = CocoShape(item, _segmentation(record.get("segmentation"), image.size))
            found.append(CocoAnnotation(image.id, category, shape, record))
        except _Bad as bad:
            unusable.append(Unusable(item, *bad.args))
            not_whole.add((image.id, category))
    categories = tuple(dict.fromkeys(name for name in names.values() if name is not None))
    total = len(contents["images"]) + len(contents["annotations"])
    incomplete |= {image for image, _ in not_whole}
    return CocoAnnotations(images, categories, found, not_whole, incomplete, unusable, total)


def identify(value: Any) -> str | None:
    """An id as text: 7, 7.0 and "7" are the same; None of what is no id."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip() if isinstance(value, int | str) and not isinstance(value, bool) else None


def name_stems(images: Mapping[str, CocoImage]) -> dict[str, str]:
    """What photos are called, by id: their file's name without its ending, where no other photo is called so."""
    names = {key: image.file_name.replace("\\", "/").removeprefix("./") for key, image in images.items()}
    stems = {key: posixpath.splitext(name)[0] or key for key, name in names.items()}
    count, same = Counter(stems.values()), Counter(names.values())
    return {
        key: stem if count[stem] == 1 else names[key] if same[names[key]] == 1 else f"{names[key]}#{key}"
        for key, stem in stems.items()
    }


def _images(
    records: Sequence[Any], measure: Callable[[str], tuple[int, int] | None]
) -> tuple[dict[str, CocoImage], set[str], list[Unusable]]:
    """The photos by id, the ids that stand for several, and the records of no use."""
    images: dict[str, CocoImage] = {}
    ambiguous: set[str] = set()
    unusable: list[Unusable] = []
    for number, record in enumerate(records):
        key = identify(record.get("id")) if isinstance(record, dict) else None
        name = record.get("file_name") if isinstance(record, dict) else None
        size = _size(record, measure) if key is not None and isinstance(name, str) and name.strip() else None
        if key is None or name is None or size is None:
            words = json.dumps(record)[:80]
            unusable.append(
                Unusable(f"image #{number}", "broken_image", f"expected id, file_name and size, got {words}")
            )
        elif key in images and images[key].file_name != name:
            ambiguous.add(key)
        else:
            images[key] = CocoImage(key, name, size)
    return images, ambiguous, unusable


def _size(record: Mapping[str, Any], measure: Callable[[str], tuple[int, int] | None]) -> tuple[int, int] | None:
    """The size (height, width) that a record says, the photo's own where it says none; None where it is impossible."""
    said = [record.get("height"), record.get("width")]
    if said == [None, None]:
        return measure(record["file_name"])
    try:
        height, width = (float(side) for side in said)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    whole = height >= 1 and width >= 1 and math.isfinite(height * width) and not (height % 1 or width % 1)
    return (int(height), int(width)) if whole else None


def _categories(records: Sequence[Any]) -> dict[str, str | None]:
    """The categories' names by id; None for an id that stands for several."""
    names: dict[str, str | None] = {}
    for record in records:
        key = identify(record.get("id")) if isinstance(record, dict) else None
        name = record.get("name") if isinstance(record, dict) else None
        if key is not None and isinstance(name, str) and name.strip():
            names[key] = name if names.get(key, name) == name else None
    return names


def _places(
    record: Any, images: Mapping[str, CocoImage], names: Mapping[str, str | None], ambiguous: set[str]
) -> tuple[CocoImage, str]:
    """The photo and the category's name of an annotation."""
    if not isinstance(record, dict):
        raise _Bad("broken_record", f"expected an object, got {json.dumps(record)[:60]}")
    image, category = identify(record.get("image_id")), identify(record.get("category_id"))
    if image is None or image not in images:
        raise _Bad(
            "unknown_image", f"names image_id {record.get('image_id')}, which the file does not list with name and size"
        )
    if image in ambiguous:
        raise _Bad("ambiguous_image", f"names image_id {image}, which stands for several photos")
    if category is None or category not in names:
        raise _Bad("unknown_category", f"names category_id {record.get('category_id')}, which the file does not list")
    name = names[category]
    if name is None:
        raise _Bad("ambiguous_category", f"names category_id {category}, which stands for several categories")
    return images[image], name


def _segmentation(shape: Any, size: tuple[int, int]) -> Any:
    """The polygons or run lengths of an annotation, in COCO's own form."""
    if shape in (None, [], {}, ""):
        raise _Bad("no_segmentation", "has no segmentation (a box alone is no mask)")
    if isinstance(shape, dict):
        try:
            check_run_lengths(shape, size)
        except InputError as error:
            raise _Bad("wrong_run_lengths", str(error)) from None
        return shape
    if not isinstance(shape, list):
        raise _Bad("broken_record", f"expected polygons or run lengths, got {json.dumps(shape)[:60]}")
    # Some tools write a single polygon without the list around it.
    polygons = shape if isinstance(shape[0], list) else [shape]
    try:
        check_polygons(polygons, size)
    except InputError as error:
        raise _Bad("broken_polygon", str(error)) from None
    if all(_is_outside(polygon, size) for polygon in polygons):
        raise _Bad("outside_photo", f"lies outside its photo of {size[0]}x{size[1]} (height x width)")
    return polygons


def _is_outside(polygon: Sequence[Any], size: tuple[int, int]) -> bool:
    xs, ys = polygon[0::2], polygon[1::2]
    return max(xs) <= 0 or max(ys) <= 0 or min(xs) >= size[1] or min(ys) >= size[0]
