"""The choice among masks by leak: whole objects win, by a score counted by hand; each score is its mask's alone."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bgdata.classes import ClassList, plain_class_list
from bgdata.errors import InputError
from bgdata.geometry import Box, resize_pixels
from bgdata.io import decode_mask
from bgdata.labels import IN9
from bgdata.masks.rle import decode_rle
from bgdata.masks.settings import QualitySettings
from bgdata.shards import ImageSet
from models.classifiers.judged import Judged
from models.segmenters import factory
from models.segmenters.base import Candidate, Photo, Segmentation
from models.segmenters.leak_choice import LeakChoice, leak_score, load_leak_choice
from models.segmenters.run import CANDIDATES, segment_photos
from models.segmenters.settings import ChooseSettings, ChoosingClassifier
from tests.bgdata.conftest import draw_photo, write_sets
from tests.models.test_segment_run import JOB

TWO = plain_class_list("two", ["red thing", "other thing"])
NAMED = ChoosingClassifier(arch="resnet18", weights=None, checkpoint=None, entry=None, in9=True)
CHOOSE = ChooseSettings(
    by="leak", keep=4, classifier=NAMED, size=32, grey_levels=5, share=0.1, share_weight=2.0, order_weight=0.1
)
ENTRY = "tests.models.test_leak_choice:build"
BY_ENTRY = CHOOSE.model_copy(update={"classifier": NAMED.model_copy(update={"entry": ENTRY})})
LEAK = JOB.model_copy(update={"choose": CHOOSE})
CPU = torch.device("cpu")
SIZE = (60, 80)


class SeesRed(nn.Module):
    """The more of the image is red, the surer of the first class; nothing red: of the second."""

    def forward(self, images: Tensor) -> Tensor:
        red = (images[:, 0] - images[:, 1:].amax(1)).clamp_min(0).mean((1, 2))
        return torch.stack([60 * red - 3, torch.zeros_like(red)], 1)


def rectangle(y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[y0:y1, x0:x1] = True
    return mask


OBJECT = rectangle(20, 40, 30, 50)
HALF = rectangle(20, 40, 30, 40)
WITH_BACKGROUND = OBJECT | rectangle(0, 60, 0, 30)


def red_thing() -> Photo:
    image = np.full((*SIZE, 3), (20, 140, 60), np.uint8)
    image[OBJECT] = (230, 10, 10)
    return Photo("red", 0, "", image, Box(30, 20, 50, 40))


def chooser(**changed: Any) -> LeakChoice:
    model = Judged(SeesRed(), class_list=TWO, classes=2)
    return LeakChoice(model, CHOOSE.model_copy(update=changed), device=CPU)


def answer(*masks: np.ndarray) -> Segmentation:
    return Segmentation(masks[0], 0.5, candidates=tuple(Candidate(mask, "any", 0.5) for mask in masks))


@pytest.mark.parametrize("spoilt", [HALF, WITH_BACKGROUND], ids=["half", "with background"])
@pytest.mark.parametrize("order_weight", [0.0, 0.1])
def test_the_whole_object_wins_wherever_it_stands(spoilt: np.ndarray, order_weight: float) -> None:
    for masks, place in (((spoilt, OBJECT), "1"), ((OBJECT, spoilt), "0")):
        chosen = chooser(order_weight=order_weight).choose(red_thing(), answer(*masks), LEAK)
        assert np.array_equal(chosen.answer.mask, OBJECT)
        assert chosen.cells["candidate"] == place
        assert [row["chosen"] for row in chosen.candidates] == [int(place == "0"), int(place == "1")]


def test_what_each_part_of_the_score_sees() -> None:
    whole, half, more = chooser().score(red_thing(), [OBJECT, HALF, WITH_BACKGROUND])
    assert half.foreground < whole.foreground
    assert half.background > 2 * whole.background
    assert more.background == pytest.approx(whole.background, abs=1e-3)
    assert (whole.share, half.share, more.share) == (400 / 4800, 200 / 4800, 2200 / 4800)
    assert more.total < whole.total
    without = chooser(share_weight=0.0, order_weight=0.0).score(red_thing(), [WITH_BACKGROUND, OBJECT])
    assert without[0].total == pytest.approx(without[1].total, abs=0.2)


def test_a_score_counted_by_hand() -> None:
    # log 0.5 + log 0.75 + 2 log 0.8 + 0.1 log 0.5
    assert leak_score(0.5, 0.25, share=0.3, order=0.5, settings=CHOOSE) == pytest.approx(-1.4964312)
    assert leak_score(1.0, 0.0, share=0.1, order=0.0, settings=CHOOSE) == 0
    off = CHOOSE.model_copy(update={"share_weight": 0.0, "order_weight": 0.0})
    assert leak_score(0.5, 0.25, share=1.0, order=0.9, settings=off) == pytest.approx(-0.9808293)
    assert np.isfinite(leak_score(0.0, 1.0, share=1.0, order=0.9, settings=CHOOSE.model_copy(update={"share": 0.0})))


class SeesLight(nn.Module):
    """The lighter the image, the surer of the first class."""

    def forward(self, images: Tensor) -> Tensor:
        light = images.mean((1, 2, 3))
        return torch.stack([4 * light, torch.zeros_like(light)], 1)


def test_the_foreground_counts_by_the_mean_over_the_greys_and_the_hole_is_filled() -> None:
    image = np.full((32, 32, 3), 51, np.uint8)
    image[8:24, 8:24] = 255
    object_mask = (image == 255).all(2)
    model = LeakChoice(Judged(SeesLight(), class_list=TWO, classes=2), CHOOSE, device=CPU)
    (found,) = model.score(Photo("light", 0, "", image, None), [object_mask])
    lights = [0.25 + 0.75 * grey for grey in (0, 0.25, 0.5, 0.75, 1)]
    assert found.foreground == pytest.approx(np.mean([1 / (1 + np.exp(-4 * light)) for light in lights]), abs=1e-6)
    assert found.background == pytest.approx(1 / (1 + np.exp(-4 * 0.2)), abs=2e-3)  # Telea's rounding


def test_a_mask_of_all_leaves_a_grey_background() -> None:
    photo = red_thing()
    (found,) = chooser().score(photo, [np.ones(SIZE, bool)])
    seen = resize_pixels(photo.image, (32, 32))
    red = SeesRed()(torch.from_numpy(seen).permute(2, 0, 1)[None].float() / 255)
    assert found.foreground == pytest.approx(float(red.softmax(1)[0, 0]), abs=1e-6)
    assert found.background == pytest.approx(1 / (1 + np.exp(3)))


def test_of_equals_the_first_and_rejects_are_not_looked_at() -> None:
    job = LEAK.model_copy(update={"quality": QualitySettings(min_box_share=0.1, max_photo_share=0.4)})
    twice = chooser(order_weight=0.0).choose(red_thing(), answer(OBJECT, OBJECT.copy()), job)
    assert twice.cells["candidate"] == "0"
    saved = chooser().choose(red_thing(), answer(WITH_BACKGROUND, HALF), job)
    assert np.array_equal(saved.answer.mask, HALF)
    assert [(row["reason"], row["chosen"], bool(row["leak_score"])) for row in saved.candidates] == [
        ("too_large", 0, False),
        ("", 1, True),
    ]
    none = chooser().choose(red_thing(), answer(WITH_BACKGROUND), job)
    assert (none.answer.mask, none.answer.reason, none.cells["candidate"]) == (None, "too_large", "")
    nothing = chooser().choose(red_thing(), Segmentation(None, reason="no_detection"), job)
    assert (nothing.answer.reason, nothing.candidates) == ("no_detection", [])


def test_a_score_is_its_masks_alone() -> None:
    model = chooser(order_weight=0.0)
    together = model.score(red_thing(), [HALF, None, OBJECT, WITH_BACKGROUND])
    alone = [model.score(red_thing(), [mask])[0] for mask in (HALF, OBJECT, WITH_BACKGROUND)]
    assert [together[0], *together[2:]] == alone
    assert together[1] is None


@dataclass
class Offers:
    """The photo's left half; or its middle, or all of it."""

    count: int
    name: str = "grounded_sam"

    def segment(self, photos: Sequence[Photo]) -> list[Segmentation]:
        return [self._segment(photo.image.shape[:2]) for photo in photos]

    def _segment(self, size: tuple[int, int]) -> Segmentation:
        left, middle, most = (np.zeros(size, bool) for _ in range(3))
        left[:, : size[1] // 2] = middle[15:-15, 15:-15] = most[:, 2:] = True
        candidates = tuple(Candidate(mask, of, 0.5) for mask, of in ((left, "all"), (middle, "box 1"), (most, "box 2")))
        return Segmentation(left, 0.75, candidates=candidates[: self.count])


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    photos = [draw_photo(label, split, n) for split in ("train", "val") for label in (0, 2) for n in range(3)]
    return write_sets(tmp_path_factory.mktemp("sets"), photos)


def segment(
    sets: tuple[Path, Path], work: Path, patch: pytest.MonkeyPatch, *, choose: ChooseSettings | None, batch: int = 2
) -> dict[str, Any]:
    job = JOB.model_copy(update={"choose": choose})
    patch.setitem(factory._BUILDERS, "grounded_sam", lambda settings, *_: Offers(factory._candidates(settings)))
    return segment_photos(*sets, work, settings=job, seed=0, workers=1, means=factory.Means(batch=batch))


def build() -> nn.Module:
    """For `entry`: nine random sums of what four by four squares hold."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(48, 9))


def test_all_candidates_are_kept_and_counted(
    sets: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = segment(sets, tmp_path, monkeypatch, choose=BY_ENTRY)
    with (tmp_path / "masks" / CANDIDATES).open() as file:
        rows = list(csv.DictReader(file))
    chosen = {row["id"]: row for row in rows if row["chosen"] == "1"}
    others = sum(row["candidate"] != "0" for row in chosen.values())
    assert manifest["chosen"] == {"candidates": 36, "photos_with_several": 12, "other_than_by_score": others}
    assert others > 0
    assert manifest["settings"]["choose"]["by"] == "leak"
    with ImageSet(tmp_path / "masks") as masks:
        assert len(masks.rows) == len(chosen) == 12
        for row in masks.rows:
            taken = chosen[row.id]
            size = (int(taken["height"]), int(taken["width"]))
            mask = decode_rle({"size": list(size), "counts": taken["counts"]}, size)
            assert np.array_equal(decode_mask(masks.read(row)), mask)
            assert (row.extra["candidate"], row.extra["leak_score"]) == (taken["candidate"], taken["leak_score"])
            rivals = [float(one["leak_score"]) for one in rows if one["id"] == row.id]
            assert float(taken["leak_score"]) == max(rivals)


def test_batches_change_nothing(sets: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for batch in (1, 5):
        segment(sets, tmp_path / str(batch), monkeypatch, choose=BY_ENTRY, batch=batch)
    files = list((tmp_path / "1" / "masks").glob("*.*"))
    assert {path.name for path in files} >= {CANDIDATES, "index.csv", "train-00000.tar", "val-00000.tar"}
    for path in files:
        assert path.read_bytes() == (tmp_path / "5" / "masks" / path.name).read_bytes(), path.name


def test_by_score_is_as_without_the_section(
    sets: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment(sets, tmp_path / "without", monkeypatch, choose=None)
    manifest = segment(sets, tmp_path / "by_score", monkeypatch, choose=CHOOSE.model_copy(update={"by": "score"}))
    assert "chosen" not in manifest
    names = {path.name for path in (tmp_path / "without" / "masks").glob("*.*")}
    assert CANDIDATES not in names
    assert names == {path.name for path in (tmp_path / "by_score" / "masks").glob("*.*")}
    for name in names - {"manifest.json"}:  # which holds the settings
        assert (tmp_path / "without/masks" / name).read_bytes() == (tmp_path / "by_score/masks" / name).read_bytes()


@pytest.mark.parametrize(
    ("changed", "classes", "words"),
    [
        ({"checkpoint": "gone.pt"}, IN9, r"segment\.choose\.classifier: .*gone\.pt"),
        ({"in9": False, "entry": ENTRY}, TWO, r"segment\.choose\.classifier: .*has no wnids for 'red thing'"),
        ({"arch": "resnet8000"}, IN9, r"segment\.choose\.classifier: .*resnet8000"),
    ],
)
def test_a_classifier_that_does_not_serve_is_one_sentence(
    changed: dict[str, Any], classes: ClassList, words: str
) -> None:
    settings = CHOOSE.model_copy(update={"classifier": NAMED.model_copy(update=changed)})
    with pytest.raises(InputError, match=words):
        load_leak_choice(settings, classes, device="cpu")


def test_a_classifier_of_other_outputs_is_said_when_it_answers() -> None:
    """Nine outputs for a list of two."""
    model = load_leak_choice(BY_ENTRY, TWO, device="cpu")
    with pytest.raises(InputError, match="the model gives 9 outputs an image, expected 2"):
        model.score(replace(red_thing(), label=0), [OBJECT])
