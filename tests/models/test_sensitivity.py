"""Relative foreground sensitivity: its formula, its noise, and networks whose sensitivity is known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from bgdata.classes import plain_class_list
from bgdata.errors import InputError
from bgdata.labels import IN9
from bgdata.randomness import image_generator
from bgdata.shards import ImageSet
from bgdata.sources import open_sources
from models.classifiers.classifier import build_classifier
from models.classifiers.judged import Judged, judged_classifier
from models.evaluation.sensitivity import (
    SETS_READ,
    SIGMA,
    TRIALS,
    MaskedPhotos,
    foreground_sensitivity,
    noisy_photo,
    open_masked_photos,
    relative_difference,
)
from tests.models.conftest import write_set

RUN = {"device": torch.device("cpu"), "eval_batch": 16, "workers": 2}
RATES = st.floats(0, 1)


@given(RATES, RATES)
def test_the_relative_difference_is_a_share_of_the_largest(first: float, second: float) -> None:
    found = relative_difference(first, second)
    if found is None:
        assert first == second or first + second in (0, 2)
        return
    assert -1 - 1e-6 <= found <= 1 + 1e-6
    assert relative_difference(second, first) == -found
    assert (found > 0) == (first > second)


def test_three_differences_by_hand() -> None:
    assert relative_difference(0.8, 0.6) == pytest.approx(0.2 / 0.6)
    assert relative_difference(0.1, 0.3) == pytest.approx(-0.2 / 0.4)
    assert relative_difference(1.0, 0.4) == pytest.approx(1)
    assert relative_difference(0.0, 0.0) is relative_difference(1.0, 1.0) is None


def test_noise_falls_on_one_side_and_both_sides_make_the_whole() -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    mask = np.random.default_rng(1).random((64, 64)) < 0.3
    foreground, background = noisy_photo(image, mask, np.random.default_rng(2))
    assert (foreground[~mask] == image[~mask]).all()
    assert (background[mask] == image[mask]).all()
    whole, none = noisy_photo(image, np.ones_like(mask), np.random.default_rng(2))
    assert (np.where(mask[..., None], foreground, background) == whole).all()
    assert (none == image).all()


def test_noise_is_gaussian_of_a_quarter_cut_off_at_black_and_white() -> None:
    grey = np.full((300, 300, 3), 128, np.uint8)
    noisy, _ = noisy_photo(grey, np.ones((300, 300), bool), np.random.default_rng(0))
    deviations = (noisy.astype(float) - 128) / (255 * SIGMA)
    # 270,000 draws: a share's standard error is below 0.001, half a grey level of rounding moves it by 0.003.
    for bound, share in ((-1, 0.1587), (0, 0.5), (0.5, 0.6915), (1, 0.8413), (1.5, 0.9332)):
        assert (deviations < bound).mean() == pytest.approx(share, abs=0.006)
    assert noisy.min() == 0
    assert noisy.max() == 255


class CentreReader(nn.Module):
    """Classifies by the exact grey level of the pixel in the middle."""

    def forward(self, images: Tensor) -> Tensor:
        level = (images[:, 0, 8, 8] * 255).round().long()
        return nn.functional.one_hot((level - 100).clamp(0, 8), 9).float()


def centred(*, foreground_in_the_middle: bool) -> MaskedPhotos:
    labels = np.arange(36) % 9
    images = np.repeat(np.uint8(100 + labels)[:, None, None, None], 16 * 16 * 3, 1).reshape(-1, 16, 16, 3)
    masks = np.zeros((36, 16, 16), bool)
    masks[:, 6:11, 6:11] = True
    masks = masks if foreground_in_the_middle else ~masks
    return MaskedPhotos(tuple(f"p{n}" for n in range(36)), labels, images, masks, IN9)


def test_a_network_that_reads_the_foreground_alone_has_1_and_one_that_reads_the_background_alone_minus_1() -> None:
    model = Judged(CentreReader(), class_list=IN9, classes=9)
    on_it = foreground_sensitivity(model, centred(foreground_in_the_middle=True), seed=0, **RUN)
    assert on_it["value"] == pytest.approx(1)
    assert on_it["accuracy_noisy_background"] == 1
    assert on_it["accuracy_noisy_foreground"] < 0.5
    assert (on_it["trials"], on_it["sigma"], on_it["count"]) == (3, 0.25, 36)
    off_it = foreground_sensitivity(model, centred(foreground_in_the_middle=False), seed=0, **RUN)
    assert off_it["value"] == pytest.approx(-1)
    assert off_it["accuracy_noisy_background"] == on_it["accuracy_noisy_foreground"]


def test_a_network_that_is_always_wrong_has_none() -> None:
    photos = replace(centred(foreground_in_the_middle=True), labels=np.full(36, 8))
    never = Judged(nn.Sequential(CentreReader(), Never()), class_list=IN9, classes=9)
    found = foreground_sensitivity(never, photos, seed=0, **RUN)
    assert (found["value"], found["accuracy_noisy_foreground"], found["accuracy_noisy_background"]) == (None, 0, 0)


class Never(nn.Module):
    """Nothing is of the last class."""

    def forward(self, logits: Tensor) -> Tensor:
        return logits * torch.tensor([1.0] * 8 + [0.0])


def test_it_is_as_counted_photo_by_photo_whatever_the_batch(sets: Path) -> None:
    photos = open_masked_photos(open_sources(sets, SETS_READ), split="val", per_class=None, seed=0, workers=1)
    assert photos is not None
    model = judged_classifier(build_classifier("resnet10", input_size=32, seed=1, classes=9), IN9)
    found = foreground_sensitivity(model, photos, seed=4, **RUN)
    assert found == foreground_sensitivity(model, photos, seed=4, device=RUN["device"], eval_batch=1, workers=1)
    hits = np.zeros((2, 9))
    for place, photo in enumerate(photos.ids):
        for trial in range(TRIALS):
            rng = image_generator(4, photo, f"sensitivity {trial}")
            sides = noisy_photo(photos.images[place], photos.masks[place], rng)
            images = torch.from_numpy(np.stack(sides)).permute(0, 3, 1, 2) / 255
            with torch.inference_mode():
                hits[:, photos.labels[place]] += model(images).argmax(1).numpy() == photos.labels[place]
    expected = (hits / 2 / TRIALS).mean(1)  # two photos a class
    assert (found["accuracy_noisy_foreground"], found["accuracy_noisy_background"]) == pytest.approx(tuple(expected))
    assert found["value"] == relative_difference(found["accuracy_noisy_background"], found["accuracy_noisy_foreground"])
    assert found != foreground_sensitivity(model, photos, seed=5, **RUN)


def test_a_choice_of_each_class_is_a_part_of_all(sets: Path) -> None:
    sources = open_sources(sets, SETS_READ)
    whole, part = (
        open_masked_photos(sources, split="train", per_class=count, seed=3, workers=1) for count in (None, 2)
    )
    assert whole is not None
    assert part is not None
    assert (len(whole.ids), len(part.ids)) == (36, 18)
    assert (np.bincount(part.labels) == 2).all()
    for place, photo in enumerate(part.ids):
        there = whole.ids.index(photo)
        assert (whole.images[there] == part.images[place]).all()
        assert (whole.masks[there] == part.masks[place]).all()


def test_photos_without_masks_and_masks_of_another_size(sets: Path, tmp_path: Path) -> None:
    (tmp_path / "original").symlink_to(sets / "original")
    with ImageSet(sets / "fg_mask") as masks, ImageSet(sets / "original") as images:
        row, mask = masks.split("val")[0], images.read(images.split("val")[0])
    write_set(tmp_path / "fg_mask", [(replace(row, id="another"), mask)])
    opening = {"split": "val", "per_class": None, "seed": 0, "workers": 1}
    assert open_masked_photos(open_sources(tmp_path, SETS_READ), **opening) is None


def test_other_lists_and_other_sizes_are_sentences(sets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = centred(foreground_in_the_middle=True)
    letters = plain_class_list("letters", tuple("abcdefghi"))
    model = Judged(CentreReader(), class_list=IN9, classes=9)
    with pytest.raises(InputError, match=r"the model has the classes in9 .* but the data has letters"):
        foreground_sensitivity(model, replace(photos, class_list=letters), seed=0, **RUN)
    monkeypatch.setattr("models.evaluation.sensitivity.load_packed_masks", lambda *_, **__: np.zeros((18, 8, 8), bool))
    with pytest.raises(InputError, match=r"^photos and masks differ in size \(48x48 and 8x8, height x width\): give"):
        open_masked_photos(open_sources(sets, SETS_READ), split="val", per_class=None, seed=0, workers=1)
