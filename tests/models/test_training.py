import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bgdata.errors import InputError
from bgdata.shards import ImageSet
from models.classifiers.classifier import Classifier, build_classifier
from models.training import loop
from models.training.augment import crop_and_flip, jitter_colours
from models.training.data import soft_labels
from models.training.loop import fit
from models.training.recipes import Recipe, open_recipe
from models.training.run import Run, Stored
from models.training.schedule import learning_rate
from models.training.settings import BackgroundSettings, LoopSettings, RecipeSettings

CPU = torch.device("cpu")
SETTINGS = LoopSettings(
    arch="resnet10",
    size=32,
    epochs=3,
    batch_size=8,
    optimizer="sgd",
    lr=0.02,
    momentum=0.9,
    weight_decay=1e-4,
    warmup=0.2,
    label_smoothing=0.1,
    crop_scale=0.5,
    flip=True,
    jitter=0.2,
    precision="float32",
    compile=False,
)


class Killed(Exception):
    """The process ends here."""


def die_after_saving(monkeypatch: pytest.MonkeyPatch, times: int, module: Any = loop) -> list[Path]:
    """Let a training die once it has saved its state so often; returns where it saves, now and later."""
    save, saved = module.save_whole, []

    def save_then_die(content: Any, path: Path) -> None:
        save(content, path)
        saved.append(path)
        if len(saved) == times:
            raise Killed

    monkeypatch.setattr(module, "save_whole", save_then_die)
    return saved


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def opened(sets: Path, folder: Path, *, data: str = "original", p: float | None = None, **parts: Any) -> Recipe:
    background = None if p is None else BackgroundSettings(by="any_class", p=p)
    recipe = RecipeSettings(start="init", data=data, background=background, **parts)
    return open_recipe(recipe, SETTINGS, Stored(sets, folder, 2), seed=3)


def trained(
    recipe: Recipe,
    folder: Path,
    settings: LoopSettings = SETTINGS,
    *,
    device: torch.device = CPU,
    precision: torch.dtype = torch.float32,
) -> tuple[dict, list[dict[str, Any]]]:
    classifier = build_classifier("resnet10", input_size=32, classes=recipe.data.targets.shape[1])
    history = fit_classifier(classifier, recipe, folder, settings, device=device, precision=precision)
    return classifier.state_dict(), history


def fit_classifier(
    classifier: Classifier,
    recipe: Recipe,
    folder: Path,
    settings: LoopSettings = SETTINGS,
    *,
    device: torch.device = CPU,
    precision: torch.dtype = torch.float32,
) -> list[dict[str, Any]]:
    folder.mkdir(exist_ok=True)
    return fit(
        classifier,
        recipe,
        settings,
        Run(3, device, precision, folder),
        validation=(recipe.data.pixels, recipe.data.labels),
        label="test",
    )


def assert_same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert first.keys() == second.keys()
    for key, value in first.items():
        assert torch.equal(value, second[key]), key


def test_soft_labels_sum_to_one_and_weigh_the_partner(sets: Path) -> None:
    with ImageSet(sets / "mixup") as images:
        rows = images.rows
    targets = soft_labels(rows, 9)
    assert torch.allclose(targets.sum(1), torch.ones(len(rows)))
    for target, row in zip(targets, rows, strict=True):
        same = row.label == int(row.extra["partner_label"])
        assert float(target[row.label]) == (1.0 if same else 0.75)
    hard = [dataclasses.replace(row, extra={}) for row in rows]
    assert soft_labels(hard, 9).argmax(1).tolist() == [row.label for row in rows]


@given(seed=st.integers(0, 10_000), crop_scale=st.floats(0.1, 1.0), flip=st.booleans())
def test_augmentation_keeps_image_and_mask_in_step(seed: int, crop_scale: float, flip: bool) -> None:
    image = torch.rand(3, 3, 8, 8, generator=generator(seed))
    mask = image[:, :1] * 0.5
    stacked = crop_and_flip(torch.cat((image, mask), 1), generator(seed), crop_scale=crop_scale, flip=flip)
    alone = crop_and_flip(image, generator(seed), crop_scale=crop_scale, flip=flip)
    assert torch.equal(stacked[:, :3], alone)
    assert torch.allclose(stacked[:, 3], alone[:, 0] * 0.5, atol=1e-6)
    assert alone.min() >= 0
    assert alone.max() <= 1


def test_crops_lie_in_the_image_and_cover_the_share_that_was_asked_for() -> None:
    count, side = 500, 32
    ramp = torch.arange(float(side))
    places = torch.stack((ramp.expand(side, side), ramp[:, None].expand(side, side)))  # each pixel holds its x and y
    cropped = crop_and_flip(places.repeat(count, 1, 1, 1), generator(), crop_scale=0.5, flip=True)
    width = cropped[:, 0, 16, 16] - cropped[:, 0, 16, 15]  # as a share of the side; negative: flipped
    height = cropped[:, 1, 16, 16] - cropped[:, 1, 15, 16]
    area, ratio = width.abs() * height, width.abs() / height
    assert 0.5 - 1e-4 < area.min() < 0.53
    assert 0.9 < area.max() < 1 + 1e-4
    assert 3 / 4 - 1e-4 < ratio.min() < ratio.max() < 4 / 3 + 1e-4
    assert 0.4 < float((width < 0).float().mean()) < 0.6
    centre_x = cropped[:, 0, 16, 15:17].mean(1) + 0.5
    assert (centre_x - side * width.abs() / 2 > -1e-2).all()
    assert (centre_x + side * width.abs() / 2 < side + 1e-2).all()


def test_jitter_is_bounded_and_off_at_0() -> None:
    images = torch.rand(5, 3, 6, 6)
    assert jitter_colours(images, generator(), jitter=0.0) is images
    grey = torch.full((50, 3, 4, 4), 0.5)
    changed = jitter_colours(grey, generator(), jitter=0.2)  # a plain grey has no contrast and no colour to change
    assert torch.allclose(changed, changed[:, :1, :1, :1].expand_as(changed), atol=1e-3)
    assert 0.39 < float(changed.min()) < 0.45
    assert 0.55 < float(changed.max()) < 0.61


def test_the_rate_rises_then_falls_to_0() -> None:
    rates = [learning_rate(step, 100, peak=0.5, warmup=0.2) for step in range(101)]
    assert rates[:20] == sorted(rates[:20])
    assert rates[20:] == sorted(rates[20:], reverse=True)
    assert max(rates) == rates[20] == 0.5
    assert rates[100] == pytest.approx(0, abs=1e-12)
    assert learning_rate(0, 10, peak=0.5, warmup=0.0) == 0.5


@pytest.mark.parametrize("p", [None, 0.5])
def test_a_killed_run_ends_in_the_weights_of_an_unbroken_one(
    sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, p: float | None
) -> None:
    data = opened(sets, tmp_path / "pixels", p=p)
    unbroken, history = trained(data, tmp_path / "unbroken")
    saved = die_after_saving(monkeypatch, 2)
    with pytest.raises(Killed):
        trained(data, tmp_path / "killed")
    resumed, same_history = trained(data, tmp_path / "killed")
    assert len(saved) == 3
    assert_same(unbroken, resumed)
    assert history == same_history


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_it_learns_on_cuda_in_bfloat16(sets: Path, tmp_path: Path) -> None:
    data = opened(sets, tmp_path / "pixels", p=0.5)
    settings = SETTINGS.model_copy(update={"epochs": 12, "jitter": 0.0})
    cuda = torch.device("cuda")
    _, history = trained(data, tmp_path, settings, device=cuda, precision=torch.bfloat16)
    assert history[-1]["val_accuracy"] > 0.5


def test_it_learns(sets: Path, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"epochs": 12, "label_smoothing": 0.0, "jitter": 0.0})
    _, history = trained(opened(sets, tmp_path / "pixels", p=0.5), tmp_path / "run", settings)
    assert [row["epoch"] for row in history] == list(range(1, 13))
    assert history[-1]["train_loss"] < history[0]["train_loss"]
    assert history[-1]["val_accuracy"] > 0.5


def test_a_loss_that_is_no_number_is_a_sentence(sets: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no longer a number in epoch 1: lower train.lr"):
        trained(opened(sets, tmp_path / "pixels"), tmp_path / "run", SETTINGS.model_copy(update={"lr": 1e30}))
    assert not (tmp_path / "run" / loop.STATE).exists()


def test_parts_that_need_a_foreground_refuse_data_without_one() -> None:
    with pytest.raises(ValidationError, match="background needs data with a foreground"):
        RecipeSettings(start="init", data="mixup", background=BackgroundSettings(by="any_class", p=0.5))
