"""Shifts of sets: corrupted images, and objects before other images' backgrounds, held to their laws."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bgdata.corrupt.corruptions import Corruption, corrupt_image
from bgdata.errors import InputError
from bgdata.geometry import mask_box
from bgdata.synthetic.layouts import write_scenes
from bgdata.transfer_sets.base import BACKGROUND, VOID, Instance, LabelledImage, TaskSet
from bgdata.transfer_sets.classification import ObjectCrops
from bgdata.transfer_sets.coco import CocoDetection
from bgdata.transfer_sets.semantic import PaintedObjects
from bgdata.transfer_sets.shifts import Corrupted, Fill, SwappedBackground, objects_mask, remove_objects
from tests.bgdata.transfer_folders import rectangle
from tests.conftest import ROOT

COCO8 = ROOT.parent / "shared" / "data" / "coco8"
FILLS: tuple[Fill, ...] = ("tiled", "telea")
# Grey levels: inpainting one colour gives that colour but for its rounding.
SLACK = {"tiled": 0, "telea": 3}
FOG = Corruption("fog", 3)
SIZES = ((60, 80), (80, 60), (50, 50), (70, 90))
# No background is of this colour.
OBJECT = (255, 0, 255)


@dataclass
class PlainSet:
    """Images in memory; counts how often each is read."""

    images: dict[str, LabelledImage]
    task: str = "detection"
    name: str = "plain/val"
    split: str = "val"
    categories: tuple[str, ...] = ("dog",)
    digest: str = "plain"
    read_ids: list[str] = field(default_factory=list)

    @property
    def ids(self) -> Sequence[str]:
        return tuple(self.images)

    def read(self, image_id: str) -> LabelledImage:
        self.read_ids.append(image_id)
        return self.images[image_id]


def colour(number: int) -> tuple[int, int, int]:
    return (10 + 20 * number, 200, 5)


def plain_set(count: int = 6, *, area: float = 0.4) -> PlainSet:
    """Each image has its own colour, and objects of a colour that no background has; the last has no object."""
    images = {}
    for number in range(count):
        height, width = SIZES[number % len(SIZES)]
        image = np.full((height, width, 3), colour(number), np.uint8)
        masks = [] if number == count - 1 else [rectangle(5, 5, 5 + round(area * width), 25, (height, width))]
        masks += [rectangle(12, 20, 30, 30, (height, width))] if number == 1 else []
        for mask in masks:
            image[mask] = OBJECT
        boxes = [mask_box(mask) or (0, 0, 0, 0) for mask in masks]
        instances = tuple(
            Instance(0, tuple(float(edge) for edge in box), mask, crowd=number == 2)  # type: ignore[arg-type]
            for box, mask in zip(boxes, masks, strict=True)
        )
        images[f"i{number}"] = LabelledImage(f"i{number}", image, instances)
    return PlainSet(images)


def furthest(pixels: np.ndarray, colour: tuple[int, ...]) -> int:
    return int(np.abs(pixels.astype(int) - colour).max())


def same_annotations(one: LabelledImage, other: LabelledImage) -> bool:
    return one.id == other.id and one.label == other.label and one.instances == other.instances


@pytest.fixture(params=FILLS)
def fill(request: pytest.FixtureRequest) -> Fill:
    return request.param


# Swapped backgrounds


def test_objects_stand_untouched_before_another_images_colour(fill: Fill) -> None:
    data = plain_set()
    swapped = SwappedBackground(data, 7, fill)
    assert isinstance(swapped, TaskSet)
    assert (swapped.name, swapped.ids, swapped.task) == ("plain/val/swapped_background", data.ids, "detection")
    for number, image_id in enumerate(data.ids):
        original, found = data.images[image_id], swapped.read(image_id)
        mask = objects_mask(original, data)
        assert same_annotations(original, found)
        np.testing.assert_array_equal(found.image[mask], original.image[mask])
        partner = int(swapped.partner(image_id)[1:])
        assert partner != number
        # One colour alone: no object of the partner is left, and nothing of the own background.
        assert furthest(found.image[~mask], colour(partner)) <= SLACK[fill]
    assert len({swapped.partner(image_id) for image_id in data.ids}) > 2


def test_the_same_seed_gives_the_same_bytes_whatever_the_order(fill: Fill) -> None:
    data = plain_set(9)
    swapped = SwappedBackground(data, 7, fill)
    forwards = {image_id: swapped.read(image_id).image.tobytes() for image_id in data.ids}
    again = SwappedBackground(data, 7, fill)
    backwards = {image_id: again.read(image_id).image.tobytes() for image_id in reversed(data.ids)}
    assert forwards == backwards
    assert again.digest == swapped.digest
    other = SwappedBackground(data, 8, fill)
    assert other.digest != swapped.digest
    assert [other.partner(image_id) for image_id in data.ids] != [swapped.partner(image_id) for image_id in data.ids]


def test_the_digest_is_of_set_seed_and_fill() -> None:
    data = plain_set()
    changed = [SwappedBackground(data, 0), SwappedBackground(data, 0, "telea"), SwappedBackground(data, 1)]
    changed += [SwappedBackground(replace(data, digest="other"), 0)]
    assert len({shift.digest for shift in changed}) == 4


def test_partners_that_show_enough_background_are_preferred() -> None:
    data = plain_set(7, area=0.9)
    crowded = {f"i{number}" for number in range(6)}
    for image_id in crowded:
        height, width = data.images[image_id].image.shape[:2]
        mask = rectangle(1, 1, width - 1, height - 4, (height, width))
        data.images[image_id] = replace(data.images[image_id], instances=(Instance(0, (1.0, 1.0, 2.0, 2.0), mask),))
    swapped = SwappedBackground(data, 3)
    assert {swapped.partner(image_id) for image_id in crowded} == {"i6"}
    assert swapped.partner("i6") in crowded


def test_at_most_eight_partners_are_read_for_an_image() -> None:
    data = plain_set(40)
    for image_id in data.ids:
        size = data.images[image_id].image.shape[:2]
        mask = np.ones(size, bool)
        data.images[image_id] = replace(data.images[image_id], instances=(Instance(0, (0.0, 0.0, 9.0, 9.0), mask),))
    with pytest.raises(
        InputError, match=r"plain/val: the objects of all 8 images that were drawn for i3 hide their who"
    ):
        SwappedBackground(data, 3).read("i3")
    assert len(data.read_ids) == 1 + 8
    assert len(set(data.read_ids)) == 1 + 8


def test_a_partner_without_a_strip_is_filled_by_telea() -> None:
    data = plain_set(2)
    height, width = data.images["i1"].image.shape[:2]
    # A cross from edge to edge: its box leaves no strip.
    mask = rectangle(0, 30, width, 40, (height, width)) | rectangle(20, 0, 30, height, (height, width))
    image = data.images["i1"].image.copy()
    image[:] = colour(1)
    image[mask] = OBJECT
    data.images["i1"] = LabelledImage("i1", image, (Instance(0, (0.0, 0.0, 9.0, 9.0), mask),))
    found = SwappedBackground(data, 3).read("i0")
    outside = ~objects_mask(data.images["i0"], data)
    assert furthest(found.image[outside], colour(1)) <= SLACK["telea"]


@given(
    box=st.tuples(st.integers(-10, 50), st.integers(-10, 50), st.integers(1, 40), st.integers(1, 40)),
    seed=st.integers(0, 99),
    fill=st.sampled_from(FILLS),
)
@settings(max_examples=60, deadline=None)
def test_what_stands_in_an_objects_place_does_not_depend_on_it(box: tuple[int, ...], seed: int, fill: Fill) -> None:
    x, y, width, height = box
    mask = rectangle(max(x, 0), max(y, 0), max(x + width, 0), max(y + height, 0))
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (*mask.shape, 3), dtype=np.uint8)
    other = image.copy()
    other[mask] = rng.integers(0, 256, (int(mask.sum()), 3))
    removed = remove_objects(image, mask, fill)
    np.testing.assert_array_equal(removed, remove_objects(other, mask, fill))
    assert removed.shape == image.shape
    far = np.ones(mask.shape, bool)
    reach = 3 if fill == "telea" else 64
    far[max(y - reach, 0) : max(y + height + reach, 0), max(x - reach, 0) : max(x + width + reach, 0)] = False
    np.testing.assert_array_equal(removed[far], image[far])


def test_an_image_without_objects_becomes_another_ones_background() -> None:
    data = plain_set()
    found = SwappedBackground(data, 1).read("i5")
    assert found.instances == ()
    assert len({tuple(pixel) for pixel in found.image.reshape(-1, 3).tolist()}) == 1


def test_one_image_alone_has_no_partner() -> None:
    data = plain_set(1)
    with pytest.raises(InputError, match=r"plain/val has one image alone: another one's background needs at least two"):
        SwappedBackground(data, 0)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("scenes")
    write_scenes(root, train=10, val=12, size=96, difficulty=0.3, seed=3)
    return root


def test_painted_sets_swap_as_their_objects_do(scenes: Path) -> None:
    objects = CocoDetection(scenes, split="val")
    painted = PaintedObjects(objects)
    swapped = {"objects": SwappedBackground(objects, 5), "painted": SwappedBackground(painted, 5)}
    for image_id in objects.ids:
        found = swapped["painted"].read(image_id)
        np.testing.assert_array_equal(found.image, swapped["objects"].read(image_id).image)
        np.testing.assert_array_equal(found.labels, painted.read(image_id).labels)


def test_void_stays_with_the_objects() -> None:
    data = plain_set(3)
    labelled = {}
    for image_id, one in data.images.items():
        labels = np.zeros(one.image.shape[:2], np.uint8)
        labels[10:20, 10:20], labels[20:22, 10:20] = 1, VOID
        labelled[image_id] = LabelledImage(image_id, one.image, labels=labels)
    painted = replace(data, images=labelled, task="segmentation", categories=(BACKGROUND, "dog"))
    found = SwappedBackground(painted, 0).read("i0")
    np.testing.assert_array_equal(found.image[10:22, 10:20], labelled["i0"].image[10:22, 10:20])
    np.testing.assert_array_equal(found.labels, labelled["i0"].labels)


def test_sets_without_objects_have_no_background_to_swap() -> None:
    data = plain_set()
    with pytest.raises(
        InputError, match=r"gives each pixel a class and none is background: backgrounds can be swapped"
    ):
        SwappedBackground(replace(data, task="segmentation", categories=("wall", "sky")), 0)
    bare = {image_id: replace(one, instances=(), label=0) for image_id, one in data.images.items()}
    with pytest.raises(
        InputError, match=r"plain/val, image i0 has no masks of objects: only sets of objects have backgr"
    ):
        SwappedBackground(replace(data, task="classification", images=bare), 0).read("i0")


def test_a_crop_never_gets_the_background_of_its_own_scene(scenes: Path) -> None:
    crops = ObjectCrops(CocoDetection(scenes, split="val"))
    assert len({crops.source(image_id) for image_id in crops.ids}) < len(crops.ids)
    swapped = SwappedBackground(crops, 5)
    for image_id in crops.ids:
        assert crops.source(swapped.partner(image_id)) != crops.source(image_id)
        original, found = crops.read(image_id), swapped.read(image_id)
        mask = objects_mask(original, crops)
        np.testing.assert_array_equal(found.image[mask], original.image[mask])
        assert (found.image[~mask] != original.image[~mask]).mean() > 0.5
        assert (found.label, len(found.instances)) == (original.label, len(original.instances))


@pytest.mark.skipif(not COCO8.is_dir(), reason="shared/data/coco8 is not on this machine")
def test_real_photos_swap_and_keep_objects_and_annotations(fill: Fill) -> None:
    data = CocoDetection(COCO8, split="val")
    swapped = SwappedBackground(data, 0, fill)
    for image_id in data.ids:
        original, found = data.read(image_id), swapped.read(image_id)
        mask = objects_mask(original, data)
        assert swapped.partner(image_id) != image_id
        np.testing.assert_array_equal(found.image[mask], original.image[mask])
        assert (found.image[~mask] != original.image[~mask]).mean() > 0.8
        for one, other in zip(original.instances, found.instances, strict=True):
            assert (one.label, one.box, one.crowd) == (other.label, other.box, other.crowd)
            np.testing.assert_array_equal(one.mask, other.mask)


# Corrupted


def test_corruption_is_at_the_images_own_size_and_by_its_id_alone() -> None:
    data = plain_set()
    corrupted = Corrupted(data, FOG, 4)
    assert isinstance(corrupted, TaskSet)
    assert corrupted.name == "plain/val/whole/fog/3"
    for image_id in reversed(data.ids):
        original, found = data.images[image_id], corrupted.read(image_id)
        assert same_annotations(original, found)
        expected = corrupt_image(original.image, FOG, seed=4, image_id=image_id)
        np.testing.assert_array_equal(found.image, expected)
        assert (found.image != original.image).any()


def test_a_region_is_of_the_objects() -> None:
    data = plain_set()
    inside = objects_mask(data.images["i1"], data)
    whole = Corrupted(data, FOG, 4).read("i1").image
    for region, changed in (("foreground", inside), ("background", ~inside)):
        found = Corrupted(data, Corruption("fog", 3, region), 4).read("i1").image
        np.testing.assert_array_equal(found[changed], whole[changed])
        np.testing.assert_array_equal(found[~changed], data.images["i1"].image[~changed])
    bare = replace(data, task="classification", images={"i5": data.images["i5"]})
    with pytest.raises(InputError, match=r"image i5 has no masks of objects"):
        Corrupted(bare, Corruption("fog", 3, "background"), 4).read("i5")


def test_an_image_too_small_is_named() -> None:
    data = plain_set(2)
    data.images["i1"] = LabelledImage("i1", np.zeros((31, 90, 3), np.uint8))
    with pytest.raises(
        InputError, match=r"plain/val, image i1: an image is 31x90 \(height x width\): corruptions need at least 32x32"
    ):
        Corrupted(data, FOG, 0).read("i1")


def test_shifts_wrap_one_another_and_their_digests_tell_all() -> None:
    data = plain_set()
    both = Corrupted(SwappedBackground(data, 2), FOG, 2)
    swapped = SwappedBackground(data, 2).read("i0").image
    np.testing.assert_array_equal(both.read("i0").image, corrupt_image(swapped, FOG, seed=2, image_id="i0"))
    shifts: list[TaskSet] = [Corrupted(data, FOG, 2), Corrupted(data, FOG, 3), both]
    shifts += [Corrupted(data, Corruption("fog", 2), 2), Corrupted(data, Corruption("fog", 3, "background"), 2)]
    assert len({shift.digest for shift in shifts}) == 5
