from pathlib import Path

import numpy as np
import pytest
import torch

from bgdata.compose.variants import VARIANTS
from bgdata.errors import InputError
from bgdata.io import decode_image
from bgdata.labels import CLASS_FOLDERS
from bgdata.shards import ImageSet
from bgdata.sources import open_sources
from models.classifiers import build_classifier
from models.devices import resolve_device, resolve_precision
from models.evaluation.in9 import Judgement, bg_gap, in9_score, judge_variants, transitions
from models.zoo.judged import judged_classifier

CPU = torch.device("cpu")


def judge(sets: Path, *, batch: int, variants: tuple[str, ...] = VARIANTS) -> dict[str, Judgement]:
    model = judged_classifier(build_classifier("resnet10", input_size=32, seed=1))
    return judge_variants(model, open_sources(sets, variants), split="val", device=CPU, eval_batch=batch, workers=2)


def judgement(labels: list[int], predicted: list[int]) -> Judgement:
    both = np.array(labels), np.array(predicted)
    return Judgement(
        [f"p{index}" for index in range(len(labels))], *both, both[1], np.full(len(labels), 0.5, np.float32)
    )


def test_variants_are_judged_as_one_image_at_a_time_would_be(sets: Path) -> None:
    score = in9_score(judge(sets, batch=5), among_nine=False)
    assert tuple(score["variants"]) == VARIANTS
    classifier = build_classifier("resnet10", input_size=32, seed=1).eval()
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
    with pytest.raises(InputError, match="mixed_next is not a finished set"):
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
