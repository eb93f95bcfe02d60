"""The segment run with a network: prompts, detections, one segmenter for all shards, and resume."""

import csv
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bgdata.errors import InputError
from bgdata.io import encode_jpeg
from bgdata.labels import CLASS_NAMES, IN9
from bgdata.masks.settings import CleanSettings, QualitySettings
from bgdata.shards import ImageSet, finish_set, write_shard
from models.segmenters import factory
from models.segmenters.base import Detection, Photo, Segmentation
from models.segmenters.run import DETECTIONS, segment_photos
from models.segmenters.settings import (
    SECTIONS,
    GroundingDinoSettings,
    Method,
    SamSettings,
    SegmentJob,
    UNetStudentSettings,
)
from tests.bgdata.conftest import BOX_COLUMNS, draw_photo
from tests.bgdata.conftest import write_sets as write_drawn

CLEAN = CleanSettings(min_piece=0.0, max_hole=0.0, largest_only=False)
QUALITY = QualitySettings(min_box_share=0.0, max_photo_share=1.0)
DINO = GroundingDinoSettings(
    model="groundingdino_swint_ogc",
    prompts="superclass",
    box_threshold=0.35,
    text_threshold=0.25,
    nms_iou=0.8,
    keep="all",
    min_overlap=0.5,
    precision="float32",
)
SAM = SamSettings(model="sam_vit_b", multimask=True, precision="float32")
JOB = SegmentJob(method="grounded_sam", grounding_dino=DINO, sam=SAM, clean=CLEAN, quality=QUALITY)


@dataclass
class LeftHalf:
    """Finds the left half of every photo, and nothing in some."""

    missing: Sequence[str] = ()
    dies_at: str | None = None
    name: str = "grounded_sam"
    batches: list[list[str]] = field(default_factory=list)
    prompts: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def segment(self, photos: Sequence[Photo]) -> list[Segmentation]:
        self.batches.append([photo.id for photo in photos])
        if self.dies_at in self.batches[-1]:
            raise KeyboardInterrupt
        self.prompts |= {photo.id: photo.prompt for photo in photos}
        return [self._segment(photo) for photo in photos]

    def _segment(self, photo: Photo) -> Segmentation:
        if photo.id in self.missing:
            return Segmentation(None, reason="no_detection")
        height, width = photo.image.shape[:2]
        mask = np.zeros((height, width), bool)
        mask[:, : width // 2] = True
        kept = Detection((0.0, 0.0, width / 2, float(height)), photo.prompt[0], 0.75, 0.9)
        return Segmentation(mask, 0.75, detections=(kept, Detection((1.0, 2.0, 3.0, 4.5), photo.prompt[0], 0.5)))


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    photos = [draw_photo(label, split, n) for split in ("train", "val") for label in (0, 2) for n in range(3)]
    return write_drawn(tmp_path_factory.mktemp("sets"), photos)


def use(segmenter: LeftHalf, patch: pytest.MonkeyPatch) -> list[int]:
    """Let the factory build this one; returns the list to which each building adds."""
    built: list[int] = []
    builder = lambda *_: built.append(1) or segmenter  # noqa: E731
    patch.setitem(factory._BUILDERS, "grounded_sam", builder)
    return built


def run(sets: tuple[Path, Path], work: Path, *, job: SegmentJob = JOB, batch: int = 2) -> dict[str, Any]:
    return segment_photos(*sets, work, settings=job, seed=0, workers=4, means=factory.Means(batch=batch))


def test_one_network_serves_all_shards_in_batches_and_is_asked_for_the_class(
    sets: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segmenter = LeftHalf()
    built = use(segmenter, monkeypatch)
    manifest = run(sets, tmp_path, batch=4)
    assert len(built) == 1
    assert [len(batch) for batch in segmenter.batches] == [4, 2, 4, 2]
    assert manifest["images"]["train"] == {"00_dog": 3, "02_wheeled vehicle": 3}
    with ImageSet(sets[0]) as photos:
        assert segmenter.prompts == {row.id: (CLASS_NAMES[row.label],) for row in photos.rows}


def test_by_hypernyms_a_synset_is_asked_for_as_one_and_other_photos_by_their_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wnids = {0: "n02088238", 2: ""}
    drawn = [draw_photo(label, split, n) for split in ("train", "val") for label in wnids for n in range(2)]
    drawn = [dataclasses.replace(one, row=dataclasses.replace(one.row, wnid=wnids[one.row.label])) for one in drawn]
    asked: dict[str, set[tuple[str, ...]]] = {}
    for prompts in ("hypernyms", "superclass"):
        segmenter = LeftHalf()
        use(segmenter, monkeypatch)
        job = JOB.model_copy(update={"grounding_dino": DINO.model_copy(update={"prompts": prompts})})
        run(write_drawn(tmp_path / prompts, drawn), tmp_path / f"{prompts}-masks", job=job)
        asked[prompts] = set(segmenter.prompts.values())
    explained = ("a basset, a type of hound", "a basset, a type of hunting dog")
    assert asked == {"hypernyms": {explained, ("wheeled vehicle",)}, "superclass": {("dog",), ("wheeled vehicle",)}}


def test_detections_and_reasons_are_recorded(
    sets: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(LeftHalf(missing=["n00000000_train1"]), monkeypatch)
    manifest = run(sets, tmp_path)
    assert manifest["rejected"] == {"no_detection": 1}
    with (tmp_path / "masks" / DETECTIONS).open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 11 and {row["phrase"] for row in rows} == {"dog", "wheeled vehicle"}
    of_one = [row for row in rows if row["id"] == "n00000002_val0"]
    assert [row["mask_score"] for row in of_one] == ["0.9000", ""]
    assert [of_one[1][edge] for edge in ("x0", "y0", "x1", "y1")] == ["1.0", "2.0", "3.0", "4.5"]
    assert {row["split"] for row in of_one} == {"val"}


def test_a_killed_run_goes_on_at_its_shard_to_the_same_bytes(
    sets: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(LeftHalf(), monkeypatch)
    run(sets, tmp_path / "whole")
    use(LeftHalf(dies_at="n00000002_val0"), monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        run(sets, tmp_path / "killed")
    again = LeftHalf()
    use(again, monkeypatch)
    run(sets, tmp_path / "killed")
    assert all("val" in image_id for batch in again.batches for image_id in batch)
    for path in (tmp_path / "whole" / "masks").glob("*.*"):
        assert path.read_bytes() == (tmp_path / "killed" / "masks" / path.name).read_bytes(), path.name


def test_what_is_finished_builds_no_network(
    sets: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(LeftHalf(), monkeypatch)
    run(sets, tmp_path)
    built = use(LeftHalf(), monkeypatch)
    run(sets, tmp_path)
    assert not built


def test_a_split_may_be_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(LeftHalf(), monkeypatch)
    manifest = run(write_val_only(tmp_path / "sets"), tmp_path / "work")
    assert manifest["images"] == {"train": {}, "val": {"00_dog": 2}}


def write_val_only(folder: Path) -> tuple[Path, Path]:
    drawn = [draw_photo(0, "val", number) for number in range(2)]
    write_shard(folder / "photos", "val-00000.tar", [(photo.row, encode_jpeg(photo.image, 95)) for photo in drawn])
    finish_set(folder / "photos", classes=IN9, columns=BOX_COLUMNS)
    (folder / "given").mkdir()
    finish_set(folder / "given", classes=IN9)
    return folder / "photos", folder / "given"


@pytest.mark.parametrize("method", sorted(set(SECTIONS) - {"given"}))
def test_a_missing_section_is_named(method: Method) -> None:
    job = SegmentJob(method=method, clean=CLEAN, quality=QUALITY)
    with pytest.raises(InputError, match=f"segment.method is `{method}`, but segment.{SECTIONS[method][0]} is missing"):
        factory.build_segmenter(job, seed=0)


def test_a_unet_without_checkpoint_says_where_to_take_one() -> None:
    job = SegmentJob(method="unet", unet=UNetStudentSettings(checkpoint=None), clean=CLEAN, quality=QUALITY)
    with pytest.raises(InputError, match=r"set segment\.unet\.checkpoint to a copy of a runs/unet/model\.pt"):
        factory.build_segmenter(job, seed=0)
