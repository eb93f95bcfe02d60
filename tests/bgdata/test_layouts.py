"""The drawn sets in their three layouts give through the readers what was drawn."""

import hashlib
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from bgdata.io import decode_mask, decode_palette
from bgdata.labels import CLASS_NAMES
from bgdata.segmentation_sets.base import SegmentationSet
from bgdata.segmentation_sets.coco import CocoSet
from bgdata.segmentation_sets.davis import DavisSet
from bgdata.segmentation_sets.voc import VOID, VocSet
from bgdata.synthetic.ensemble import Ensemble, draw_group, draw_walk
from bgdata.synthetic.layouts import LAYOUTS, write_scenes
from bgdata.synthetic.objects import KINDS

DRAWN = {"images": 11, "size": 96, "difficulty": 0.3, "seed": 5}
READERS = {"coco": CocoSet, "voc": VocSet, "davis": DavisSet}


def digests(root: Path) -> dict[str, str]:
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with each of the three sets."""
    folder = tmp_path_factory.mktemp("drawn")
    for name, write in LAYOUTS.items():
        write(folder / name, **DRAWN)
    return folder


@pytest.fixture(params=sorted(READERS))
def data(request: pytest.FixtureRequest, drawn: Path) -> SegmentationSet:
    return READERS[request.param](drawn / request.param)


def test_the_readers_read_it_all(data: SegmentationSet) -> None:
    assert data.counts["images"] == 11
    assert data.counts["images_without_object"] == (1 if data.name.startswith("coco") else 0)
    assert {sample.category for sample in data.samples} <= set(CLASS_NAMES)
    for sample in data.samples:
        truth = data.read(sample)
        assert min(truth.mask.shape) == 96
        assert 0.004 < truth.mask.mean() < 0.4


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_the_bytes_depend_on_the_arguments_alone(drawn: Path, tmp_path: Path, name: str) -> None:
    LAYOUTS[name](tmp_path / "again", **DRAWN)
    assert digests(tmp_path / "again") == digests(drawn / name)
    LAYOUTS[name](tmp_path / "other", **DRAWN | {"seed": 6, "images": 6})
    assert not set(digests(tmp_path / "other").values()) & {
        digest for place, digest in digests(drawn / name).items() if place.endswith(".jpg")
    }


def cast(number: int) -> list[int]:
    """The positions in KINDS of the n-th photo's objects, counted apart from the writer."""
    first = 2 * (number % 9) + number // 9 % 2
    second = {3: 2 * ((number + 4) % 9) + (number + 4) // 9 % 2, 4: first}.get(number % 5)
    return [first] if second is None else [first, second]


def group(name: str, number: int) -> tuple[list[str], Ensemble]:
    kinds = [KINDS[position] for position in cast(number)]
    scene = draw_group(kinds, name=f"{name}.{number}", size=96, difficulty=0.3, seed=5)
    return [CLASS_NAMES[kind.label] for kind in kinds], scene


def test_cocos_masks_are_the_drawn_ones_to_the_pixel(drawn: Path) -> None:
    data = CocoSet(drawn / "coco")
    found = {(sample.image_id, sample.category): data.read(sample).mask for sample in data.samples}
    for number in range(10):
        categories, scene = group("coco", number)
        for category in set(categories):
            masks = [mask for mask, of in zip(scene.masks, categories, strict=True) if of == category]
            mask = found.pop((f"{number + 1:012d}", category))
            np.testing.assert_array_equal(mask, np.logical_or.reduce(masks))
    assert not found


def test_coco_holds_polygons_both_run_lengths_and_a_crowd(drawn: Path) -> None:
    contents = json.loads((drawn / "coco/annotations/instances_val2017.json").read_text())
    shapes = [(annotation["iscrowd"], annotation["segmentation"]) for annotation in contents["annotations"]]
    kinds = Counter(
        (crowd, "polygon" if isinstance(shape, list) else type(shape["counts"]).__name__) for crowd, shape in shapes
    )
    assert set(kinds) == {(0, "polygon"), (0, "str"), (1, "list")}
    assert kinds[1, "list"] == 1


def test_vocs_void_parts_each_object_from_the_rest(drawn: Path) -> None:
    data = VocSet(drawn / "voc")
    samples = {(sample.image_id, sample.category): data.read(sample) for sample in data.samples}
    for number in range(11):
        categories, scene = group("voc", number)
        indices = decode_palette(
            (drawn / f"voc/VOCdevkit/VOC2012/SegmentationClass/2012_{number + 1:06d}.png").read_bytes()
        )
        for category in set(categories):
            masks = [mask for mask, of in zip(scene.masks, categories, strict=True) if of == category]
            truth = samples[f"2012_{number + 1:06d}", category]
            np.testing.assert_array_equal(truth.mask, np.logical_or.reduce(masks) & (indices != VOID))
        for index in set(np.unique(indices).tolist()) - {0, VOID}:
            rows, columns = np.nonzero(indices == index)
            inner = (rows > 0) & (rows < indices.shape[0] - 1)
            assert np.isin(indices[rows[inner] - 1, columns[inner]], (index, VOID)).all()


def test_davis_moves_one_object_over_one_scenery(drawn: Path) -> None:
    data = DavisSet(drawn / "davis")
    assert Counter(sample.cluster for sample in data.samples) == {
        "labrador-retriever-1": 6,
        "robin-2": 5,
    }
    assert {sample.category for sample in data.samples} == {"dog", "bird"}
    frames = [data.read(sample) for sample in data.samples if sample.cluster == "robin-2"]
    walk = list(draw_walk(KINDS[2], steps=5, name="davis.1", size=96, difficulty=0.3, seed=5))
    for frame, drawn_frame in zip(frames, walk, strict=True):
        np.testing.assert_array_equal(frame.mask, drawn_frame.masks[0])
    first, last = walk[0], walk[-1]
    assert np.nonzero(last.masks[0])[1].mean() - np.nonzero(first.masks[0])[1].mean() > 20
    # Far from the object and its shadow nothing changes: same scenery, light and camera.
    np.testing.assert_array_equal(first.image[:10], last.image[:10])
    mask = decode_mask((drawn / "davis/DAVIS/Annotations/480p/robin-2/00000.png").read_bytes())
    np.testing.assert_array_equal(mask, first.masks[0])


def test_several_processes_draw_the_same_bytes(tmp_path: Path) -> None:
    for workers in (1, 2):
        write_scenes(tmp_path / str(workers), train=12, val=10, size=64, difficulty=0.1, seed=3, workers=workers)
    one, two = (
        {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        for root in (tmp_path / "1", tmp_path / "2")
    )
    assert one == two
    assert len(one) == 24
