from pathlib import Path

import pytest
import torch

from bgdata.compose.variants import VARIANTS
from bgdata.errors import InputError
from bgdata.io import decode_image
from bgdata.labels import CLASS_FOLDERS
from bgdata.shards import ImageSet
from models.classifiers import build_classifier
from models.devices import resolve_device, resolve_precision
from models.evaluation.in9 import bg_gap, judge_variants

CPU = torch.device("cpu")


def test_variants_are_judged_as_one_image_at_a_time_would_be(sets: Path) -> None:
    classifier = build_classifier("resnet10", input_size=32, seed=1)
    judged = judge_variants(classifier, sets, split="val", device=CPU, eval_batch=5, workers=2)
    assert tuple(judged) == VARIANTS
    with ImageSet(sets / "only_bg_t") as images, torch.inference_mode():
        correct = 0
        for row in images.split("val"):
            image = torch.from_numpy(decode_image(images.read(row))).permute(2, 0, 1)[None].float() / 255
            correct += int(classifier(image).argmax()) == row.label
    score = judged["only_bg_t"]
    assert score["correct"] == correct
    assert score["count"] == 18
    assert score["accuracy"] == pytest.approx(correct / 18)
    assert list(score["per_class"]) == list(CLASS_FOLDERS)
    assert sum(row["correct"] for row in score["per_class"].values()) == correct
    assert all(row["count"] == 2 for row in score["per_class"].values())


def test_batch_size_changes_nothing(sets: Path) -> None:
    classifier = build_classifier("resnet10", input_size=32, seed=1)
    one, other = (
        judge_variants(classifier, sets, split="val", device=CPU, eval_batch=batch, workers=1) for batch in (1, 64)
    )
    assert one == other


def test_the_gap_is_same_minus_rand() -> None:
    assert bg_gap({"mixed_same": {"accuracy": 0.75}, "mixed_rand": {"accuracy": 0.5}}) == 0.25


def test_a_missing_variant_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="original is not a finished set"):
        judge_variants(
            build_classifier("resnet10", input_size=32), tmp_path, split="val", device=CPU, eval_batch=4, workers=1
        )


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens without CUDA")
def test_devices_that_are_not_there_get_a_sentence() -> None:
    assert resolve_device("auto") == CPU
    with pytest.raises(InputError, match=r"runtime.device is cuda, and PyTorch .* sees 0 CUDA devices"):
        resolve_device("cuda")
    with pytest.raises(InputError, match="expected auto, cpu, cuda"):
        resolve_device("gpu")
    assert resolve_precision("float32", CPU) == torch.float32
    assert resolve_precision("bfloat16", CPU) == torch.bfloat16
