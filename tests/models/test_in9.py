from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bgdata import pixels
from bgdata.compose.names import MIXED, VARIANTS
from bgdata.errors import InputError
from bgdata.io import decode_image
from bgdata.labels import CLASS_FOLDERS, CLASS_NAMES, IN9
from bgdata.shards import ImageSet
from bgdata.sources import open_sources
from models.classifiers.classifier import build_classifier
from models.classifiers.judged import judged_classifier
from models.devices import resolve_device, resolve_precision
from models.evaluation.groups import MIN_GROUP, worst_group
from models.evaluation.in9 import Judgement, bg_gap, group_score, in9_score, judge_variants, transitions
from tests.releases import draw_release

CPU = torch.device("cpu")


def judge(
    sets: Path, *, batch: int, variants: tuple[str, ...] = VARIANTS, cache: Path | None = None
) -> dict[str, Judgement]:
    model = judged_classifier(build_classifier("resnet10", input_size=32, seed=1, classes=9), IN9)
    run = {"device": CPU, "eval_batch": batch, "workers": 2, "cache": cache}
    return judge_variants(model, open_sources(sets, variants), split="val", **run)


def judgement(labels: list[int], predicted: list[int]) -> Judgement:
    both = np.array(labels), np.array(predicted)
    return Judgement(
        [f"p{index}" for index in range(len(labels))], *both, both[1], np.full(len(labels), 0.5, np.float32), IN9
    )


def test_variants_are_judged_as_one_image_at_a_time_would_be(sets: Path) -> None:
    score = in9_score(judge(sets, batch=5), among_nine=False)
    assert tuple(score["variants"]) == VARIANTS
    classifier = build_classifier("resnet10", input_size=32, seed=1, classes=9).eval()
    with ImageSet(sets / "only_bg_t") as images, torch.inference_mode():
        correct = 0
        for row in images.split("val"):
            image = torch.from_numpy(decode_image(images.read(row))).permute(2, 0, 1)[None].float() / 255
            correct += int(classifier(image).argmax()) == row.label
    variant = score["variants"]["only_bg_t"]
    assert variant["correct"] == correct
    assert variant["count"] == 18
    assert variant["accuracy"] == pytest.approx(correct / 18)
    assert variant["interval"][0] <= variant["accuracy"] <= variant["interval"][1]
    assert list(variant["per_class"]) == list(CLASS_FOLDERS)
    assert sum(row["correct"] for row in variant["per_class"].values()) == correct
    assert all(row["count"] == 2 for row in variant["per_class"].values())
    confusion = np.array(variant["confusion"])
    assert confusion.shape == (9, 9)
    assert confusion.trace() == correct
    assert (confusion.sum(1) == 2).all()
    assert variant["worst_class"]["accuracy"] == min(row["accuracy"] for row in variant["per_class"].values())
    assert score["bg_gap"] == pytest.approx(score["bg_gap_paired"]["gap"])


def test_batch_size_changes_nothing(sets: Path) -> None:
    one, other = (in9_score(judge(sets, batch=batch), among_nine=False) for batch in (1, 64))
    assert one == other


def test_a_part_of_the_variants_has_no_gap(sets: Path) -> None:
    score = in9_score(judge(sets, batch=64, variants=("original", "only_fg")), among_nine=False)
    assert tuple(score["variants"]) == ("original", "only_fg")
    assert score["bg_gap"] is None
    assert list(score["transitions"]) == ["original to only_fg"]


def test_the_gap_is_same_minus_rand() -> None:
    judgements = {
        "mixed_same": judgement([0, 1, 2, 3], [0, 1, 2, 4]),
        "mixed_rand": judgement([0, 1, 2, 3], [0, 2, 2, 4]),
    }
    assert bg_gap(judgements) == 0.25


@pytest.mark.parametrize("seed", range(5))
def test_the_worst_group_is_that_of_a_count_one_by_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels, backgrounds = rng.integers(0, 3, 300), rng.integers(0, 5, 300)
    correct = rng.random(300) < 0.6
    worst = worst_group(labels, backgrounds, correct, classes=IN9)
    groups: dict[tuple[int, int], list[bool]] = {}
    for label, background, hit in zip(labels, backgrounds, correct, strict=True):
        groups.setdefault((int(label), int(background)), []).append(bool(hit))
    enough = {pair: hits for pair, hits in groups.items() if len(hits) >= MIN_GROUP}
    assert worst is not None
    assert 0 < worst["too_small"] == len(groups) - len(enough)
    assert worst["groups"] == len(enough)
    assert worst["accuracy"] == min(sum(hits) / len(hits) for hits in enough.values())
    hits = enough[CLASS_NAMES.index(worst["class"]), CLASS_NAMES.index(worst["background"])]
    assert (worst["correct"], worst["count"]) == (sum(hits), len(hits))
    assert worst["interval"][0] <= worst["accuracy"] <= worst["interval"][1]


def test_groups_are_of_the_mixed_variants_together() -> None:
    """Fifteen insects on fish in each of two sets make one group; in one set alone there are too few."""
    five = {name: judgement([5] * 15, [5] * 5 + [0] * 10) for name in MIXED}
    behind = {"mixed_same": 5, "mixed_rand": 8, "mixed_next": 8}
    mixed = {name: replace(five[name], backgrounds=np.full(15, label)) for name, label in behind.items()}
    score = group_score(mixed)
    assert score is not None
    assert (score["class"], score["background"], score["correct"], score["count"]) == ("insect", "fish", 10, 30)
    assert (score["groups"], score["too_small"]) == (1, 1)
    assert group_score(mixed | {"mixed_next": five["mixed_next"]}) is None  # a set that names no backgrounds
    assert group_score({name: mixed[name] for name in MIXED[:2]}) is None
    few = {name: replace(one, backgrounds=np.arange(15) % 9) for name, one in five.items()}
    assert group_score(few) is None


def test_transitions_follow_a_photo() -> None:
    moved = transitions(judgement([0, 0, 1, 2], [0, 0, 2, 9]), judgement([0, 0, 1, 2], [0, 3, 1, 9]))
    assert {key: moved[key] for key in ("photos", "kept_right", "lost", "won", "kept_wrong")} == {
        "photos": 4,
        "kept_right": 1,
        "lost": 1,
        "won": 1,
        "kept_wrong": 1,
    }
    assert moved["predictions"][0][3] == moved["predictions"][2][1] == moved["predictions"][9][9] == 1
    assert np.sum(moved["predictions"]) == 4


def test_a_missing_variant_is_a_sentence(tmp_path: Path, sets: Path) -> None:
    with pytest.raises(InputError, match="is no ImageNet-9 release"):
        judge(tmp_path, batch=4)
    with pytest.raises(InputError, match=r"part has no mixed_next \(it has original\)"):
        (tmp_path / "part").mkdir()
        (tmp_path / "part/original").symlink_to(sets / "original")
        open_sources(tmp_path / "part", ("original", "mixed_next"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens without CUDA")
def test_devices_that_are_not_there_get_a_sentence() -> None:
    assert resolve_device("auto") == CPU
    with pytest.raises(InputError, match=r"runtime.device is cuda, and PyTorch .* sees 0 CUDA devices"):
        resolve_device("cuda")
    with pytest.raises(InputError, match="expected auto, cpu, cuda"):
        resolve_device("gpu")
    assert resolve_precision("float32", CPU) == torch.float32
    assert resolve_precision("bfloat16", CPU) == torch.bfloat16


def test_variants_of_different_photos_are_compared_where_both_have_them() -> None:
    same, rand = judgement([0, 1, 2, 3], [0, 1, 2, 4]), judgement([0, 1, 2, 3], [0, 2, 2, 4])
    fewer = Judgement(rand.ids[1:], rand.labels[1:], rand.predicted[1:], rand.among_nine[1:], rand.confidence[1:], IN9)
    score = in9_score({"mixed_same": same, "mixed_rand": fewer}, among_nine=False)
    assert score["photos_missing"] == {"mixed_rand": 1}
    assert score["bg_gap"] == pytest.approx(1 / 3)  # 2 of 3 and 1 of 3; of all there were 3 of 4
    assert score["bg_gap_paired"]["pairs"] == 3
    assert score["bg_gap_paired"]["gap"] == pytest.approx(score["bg_gap"])
    assert "photos_missing" not in in9_score({"mixed_same": same, "mixed_rand": rand}, among_nine=False)
    others = replace(rand, ids=[f"q{index}" for index in range(4)])
    apart = in9_score({"mixed_same": same, "mixed_rand": others}, among_nine=False)
    assert apart["photos_missing"] == {"mixed_same": 4, "mixed_rand": 4}
    assert apart["bg_gap"] is None


def test_a_cache_changes_nothing_and_is_decoded_once(
    sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = in9_score(judge(sets, batch=64), among_nine=False)
    assert in9_score(judge(sets, batch=64, cache=tmp_path), among_nine=False) == expected
    decoded: list[bytes] = []
    monkeypatch.setattr(pixels, "decode_image", lambda data, **how: decoded.append(data) or decode_image(data, **how))
    assert in9_score(judge(sets, batch=64, cache=tmp_path), among_nine=False) == expected
    assert len(decoded) == len(VARIANTS)  # the first of each, which says how large they are


def test_two_images_of_one_photo_are_named(tmp_path: Path) -> None:
    draw_release(tmp_path, names=("original",), side=32)
    first = tmp_path / "original/val/00_dog/n00000000_1.JPEG"
    first.with_suffix(".jpg").write_bytes(first.read_bytes())
    with pytest.raises(InputError, match=r"two images of one photo, .*00_dog/n00000000_1.JPEG and .*n00000000_1.jpg"):
        judge(tmp_path, batch=4, variants=("original",))


def test_a_further_set_that_names_its_backgrounds_has_a_worst_group() -> None:
    """40 photos of class 0 and 1 on each other's backgrounds: class 1 on 0 is right half the time."""
    labels = np.repeat([0, 1], 20)
    backgrounds = 1 - labels
    predicted = np.where(np.arange(40) < 30, labels, 8)
    judged = Judgement(
        [str(n) for n in range(40)], labels, predicted, predicted, np.ones(40, np.float32), IN9, backgrounds
    )
    score = in9_score({"mixed_correlated_c95": judged, "original": judged}, among_nine=False)["variants"]
    worst = score["mixed_correlated_c95"]["worst_group"]
    assert (worst["class"], worst["background"], worst["accuracy"]) == (IN9.names[1], IN9.names[0], 0.5)
    assert "worst_group" not in score["original"]
