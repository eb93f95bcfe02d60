"""The U-Net student: it learns, resumes, and segments photos of any size, each by itself."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bgdata.errors import InputError
from bgdata.masks.metrics import iou
from bgdata.shards import ImageSet
from models.segmenters.base import Photo, Segmenter, read_photo
from models.segmenters.given import GivenMasks
from models.segmenters.unet import UNetSegmenter, load_unet
from models.unet import train
from models.unet.checkpoints import read_unet, save_unet
from models.unet.data import Pairs, build_augmentation, open_pairs
from models.unet.network import build_unet, foreground_probability
from models.unet.settings import UNetSettings
from models.unet.train import fit_unet, mean_iou, segmentation_loss
from tests.bgdata.conftest import draw_photo, write_sets

SETTINGS = UNetSettings(
    encoder="tu-test_resnet",
    encoder_weights=None,
    depth=3,
    size=64,
    max_photos=None,
    epochs=2,
    batch_size=8,
    lr=3e-3,
    weight_decay=1e-4,
    warmup=0.1,
    dice_share=0.5,
    crop_scale=0.8,
    flip=True,
    jitter=0.1,
    threshold=0.5,
    precision="float32",
)


class Killed(Exception):
    """The process ends here."""


def changed(**values: Any) -> UNetSettings:
    return UNetSettings.model_validate(SETTINGS.model_dump() | values)


def fit(sets: tuple[Path, Path], work: Path, settings: UNetSettings = SETTINGS) -> tuple[dict, list[dict[str, Any]]]:
    work.mkdir(exist_ok=True)
    unet, history = fit_unet(
        *sets,
        work,
        settings=settings,
        seed=3,
        device=torch.device("cpu"),
        precision=torch.float32,
        workers=1,
    )
    return unet.state_dict(), history


@pytest.fixture(scope="module")
def photo_sets(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Photos of discs and their masks: 36 to train on, 9 to validate."""
    counts = {"train": 4, "val": 1}
    drawn = [draw_photo(label, split, n) for split, count in counts.items() for label in range(9) for n in range(count)]
    return write_sets(tmp_path_factory.mktemp("sets"), drawn)


@pytest.fixture(scope="module")
def trained(photo_sets: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of a U-Net that was trained on a handful of discs, without augmentation."""
    work = tmp_path_factory.mktemp("unet")
    settings = changed(epochs=30, batch_size=6, max_photos=12, crop_scale=1.0, flip=False, jitter=0.0)
    unet, _ = fit_unet(
        *photo_sets,
        work,
        settings=settings,
        seed=0,
        device=torch.device("cpu"),
        precision=torch.float32,
        workers=1,
    )
    save_unet(work / "model.pt", unet, threshold=settings.threshold, record={"seed": 0})
    return work / "model.pt"


def learnt(sets: tuple[Path, Path], folder: Path) -> Pairs:
    """What `trained` was trained on."""
    return open_pairs(*sets, split="train", size=64, folder=folder, workers=1, sample=(12, 0))


def draw(size: tuple[int, int], number: int = 0) -> Photo:
    image = np.random.default_rng([*size, number]).integers(0, 256, (*size, 3), dtype=np.uint8)
    return Photo(id=f"n1_{number}", label=0, wnid="n1", image=image, box=None)


# Training


def test_it_learns_a_handful_of_scenes_by_heart(photo_sets: tuple[Path, Path], trained: Path, tmp_path: Path) -> None:
    segmenter = load_unet(trained, device="cpu", precision="float32")
    sample = learnt(photo_sets, tmp_path)
    assert mean_iou(segmenter.unet, sample, threshold=0.5, batch=5, precision=torch.float32) > 0.9
    with ImageSet(photo_sets[0]) as photos, ImageSet(photo_sets[1]) as masks:
        batch = [read_photo(photos, row) for row in photos.by_id(sample.ids)]
        truths = GivenMasks(masks).segment(batch)
    answers = segmenter.segment(batch)
    assert np.mean([iou(one.mask, truth.mask) for one, truth in zip(answers, truths, strict=True)]) > 0.85
    assert all(0.5 <= one.score <= 1 for one in answers)


def test_a_killed_run_goes_on_to_the_same_weights_bit_for_bit(
    photo_sets: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = changed(epochs=3, size=32)
    whole, history = fit(photo_sets, tmp_path / "whole", settings)
    calls = []

    def dies_in_the_second_epoch(*arguments: Any, **options: Any) -> float:
        calls.append(options["epoch"])
        if len(calls) == 2:
            raise Killed
        return original(*arguments, **options)

    original = train._train_epoch
    monkeypatch.setattr(train, "_train_epoch", dies_in_the_second_epoch)
    with pytest.raises(Killed):
        fit(photo_sets, tmp_path / "killed", settings)
    torch.manual_seed(99)  # nothing may come from the global generators
    resumed, resumed_history = fit(photo_sets, tmp_path / "killed", settings)
    assert calls == [0, 1, 1, 2]
    assert resumed_history == history
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(value, resumed[key]) for key, value in whole.items())
    again, same = fit(photo_sets, tmp_path / "killed", settings)
    assert calls == [0, 1, 1, 2], "a finished run trains no more"
    assert same == history
    assert all(torch.equal(value, again[key]) for key, value in whole.items())


def test_a_loss_that_is_no_number_is_told(photo_sets: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no longer a number in epoch 1: lower unet.lr \(it is 1e\+30\)"):
        fit(photo_sets, tmp_path, changed(size=32, lr=1e30, warmup=0.0, max_photos=24))


def test_the_loss_is_least_for_the_truth_and_finite_without_foreground() -> None:
    masks = torch.zeros(2, 8, 8, dtype=torch.bool)
    masks[0, 2:5, 2:5] = True
    right = torch.where(masks, 20.0, -20.0)
    for share in (0.0, 0.5, 1.0):
        assert float(segmentation_loss(right, masks, dice_share=share)) < 1e-3
        assert float(segmentation_loss(-right, masks, dice_share=share)) > 0.9
    empty = torch.zeros(1, 8, 8, requires_grad=True)
    segmentation_loss(empty, masks[1:], dice_share=1.0).backward()
    assert (empty.grad > 0).all()


# Data


def test_augmentation_keeps_photo_and_mask_in_step() -> None:
    rng = np.random.default_rng(0)
    augment = build_augmentation(changed(crop_scale=0.4, jitter=0.0))
    mirrored = 0
    for number in range(40):
        mask = np.zeros((64, 64), bool)
        y, x = rng.integers(4, 40, 2)
        mask[y : y + 20, x : x + 20] = True
        image = np.repeat(mask[..., None] * np.uint8(255), 3, axis=2)
        image[:, :32, 2] = 128  # the blue side is left, until it is mirrored
        view, moved = augment(image, mask, number)
        assert view.shape == (64, 64, 3)
        assert moved.dtype == bool
        assert iou(view[..., 0] >= 128, moved) > 0.85 or moved.sum() < 60
        mirrored += bool((view[:, -1, 2] == 128).any())
    assert 5 < mirrored < 35


def test_augmentation_depends_on_seed_id_and_epoch_alone() -> None:
    rng = np.random.default_rng(1)
    pixels, masks = rng.integers(0, 256, (6, 64, 64, 3), dtype=np.uint8), rng.random((6, 64, 64)) < 0.5
    pairs = Pairs([f"n1_{number}" for number in range(6)], pixels, masks)
    augment = build_augmentation(SETTINGS)
    images, truths = pairs.augmented(np.arange(6), augment, seed=0, epoch=1)
    np.random.seed(7)  # nothing may come from here
    back_images, back_truths = pairs.augmented(np.arange(6)[::-1], build_augmentation(SETTINGS), seed=0, epoch=1)
    assert torch.equal(images, back_images.flip(0))
    assert torch.equal(truths, back_truths.flip(0))
    for seed, epoch in ((1, 1), (0, 2)):
        others, _ = pairs.augmented(np.arange(6), augment, seed=seed, epoch=epoch)
        assert not torch.equal(images, others)
    same = Pairs(["n1_0", "n1_1"], np.stack([pixels[0]] * 2), np.stack([masks[0]] * 2))
    first, second = same.augmented(np.arange(2), augment, seed=0, epoch=0)[0]
    assert not torch.equal(first, second)


def test_without_augmentation_a_pair_stays_as_it_is() -> None:
    rng = np.random.default_rng(2)
    image, mask = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8), rng.random((64, 64)) < 0.5
    augment = build_augmentation(changed(crop_scale=1.0, flip=False, jitter=0.0))
    for number in range(10):
        view, moved = augment(image, mask, number)
        np.testing.assert_array_equal(view, image)
        np.testing.assert_array_equal(moved, mask)


def test_a_sample_is_seeded_and_a_part_of_the_whole(photo_sets: tuple[Path, Path], tmp_path: Path) -> None:
    def ids(sample: tuple[int, int] | None, name: str) -> list[str]:
        return open_pairs(*photo_sets, split="train", size=32, folder=tmp_path / name, workers=1, sample=sample).ids

    whole, ten = ids(None, "a"), ids((10, 0), "b")
    assert len(whole) == 36
    assert len(ten) == 10
    assert set(ten) < set(ids((20, 0), "c")) < set(whole)
    assert ten == sorted(ten, key=whole.index)
    assert ten != ids((10, 1), "d")


# The segmenter


def test_masks_have_their_photos_size_and_depend_on_their_photo_alone(trained: Path) -> None:
    photos = [draw(size, number) for number, size in enumerate([(40, 90), (64, 64), (200, 30), (1, 1), (97, 101)])]
    one = load_unet(trained, device="cpu", precision="float32")
    assert isinstance(one, Segmenter)
    assert one.segment([]) == []
    together = one.segment(photos)
    for photo, answer in zip(photos, together, strict=True):
        assert answer.mask.shape == photo.image.shape[:2]
        assert (answer.score is None) == (not answer.mask.any())
    for precision in (torch.float32, torch.bfloat16):
        for batch in (1, 4):
            segmenter = UNetSegmenter(one.unet, 0.5, precision, batch=batch)
            for company in (photos, photos[::-1]):
                for photo, answer in zip(company, segmenter.segment(company), strict=True):
                    (alone,) = segmenter.segment([photo])
                    np.testing.assert_array_equal(answer.mask, alone.mask)
                    assert answer.score == alone.score


def test_bfloat16_finds_what_float32_finds(photo_sets: tuple[Path, Path], trained: Path, tmp_path: Path) -> None:
    sample = learnt(photo_sets, tmp_path)
    with ImageSet(photo_sets[0]) as photos:
        batch = [read_photo(photos, row) for row in photos.by_id(sample.ids)]
    exact, fast = (load_unet(trained, device="cpu", precision=name) for name in ("float32", "bfloat16"))
    pairs = zip(exact.segment(batch), fast.segment(batch), strict=True)
    assert np.mean([iou(one.mask, other.mask) for one, other in pairs]) > 0.95


def test_a_higher_threshold_never_adds_a_pixel(trained: Path) -> None:
    photo = draw((50, 70))
    unet, _ = read_unet(trained)
    masks = [
        UNetSegmenter(unet, threshold, torch.float32).segment([photo])[0].mask for threshold in (0.01, 0.3, 0.7, 1.0)
    ]
    for lower, higher in pairwise(masks):
        assert not (higher & ~lower).any()
    assert masks[0].sum() > masks[2].sum()


# Checkpoints and networks


def test_a_checkpoint_gives_the_same_network_and_its_record(tmp_path: Path) -> None:
    unet = build_unet("tu-test_resnet", depth=3, size=64, seed=5).eval()
    record = save_unet(tmp_path / "model.pt", unet, threshold=0.4, record={"seed": 5})
    again, content = read_unet(tmp_path / "model.pt")
    assert content == record
    assert (content["encoder"], content["depth"], content["size"]) == ("tu-test_resnet", 3, 64)
    assert load_unet(tmp_path / "model.pt", device="cpu").threshold == 0.4
    photos = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    first, second = (foreground_probability(one, photos, precision=torch.float32) for one in (unet, again))
    assert torch.equal(first, second)
    (tmp_path / "again").mkdir()
    save_unet(tmp_path / "again/model.pt", again, threshold=0.4, record={"seed": 5})
    assert (tmp_path / "again/model.pt").read_bytes() == (tmp_path / "model.pt").read_bytes()


@pytest.mark.parametrize(("encoder", "depth"), [("resnet18", 5), ("mobilenet_v2", 4), ("tu-resnet18", 3)])
def test_a_network_gives_a_logit_a_pixel_and_is_drawn_from_its_seed(encoder: str, depth: int) -> None:
    one, same, other = (build_unet(encoder, depth=depth, size=32, seed=seed).eval() for seed in (1, 1, 2))
    images = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        assert one(images).shape == (2, 32, 32)
        assert torch.equal(one(images), same(images))
        assert not torch.equal(one(images), other(images))


@pytest.mark.parametrize(
    ("encoder", "words"),
    [
        ("resnet81", "no encoder is called 'resnet81': try .*resnet18"),
        ("tu-resnet18x", "no encoder is called 'tu-resnet18x': try tu-resnet18"),
        ("timm-resnest14d", "no encoder is called 'timm-resnest14d'"),
        ("tu-vit_tiny_patch16_224", "cannot be the encoder of a U-Net .*: take resnet18 or resnet34"),
    ],
)
def test_an_encoder_of_no_use_is_named(encoder: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        build_unet(encoder, depth=5, size=64)


@pytest.mark.parametrize("encoder", ["resnet18", "tu-resnet18"])
def test_pretrained_weights_without_a_network_are_a_sentence(
    encoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(InputError, match=f"imagenet weights of {encoder} could not be downloaded .* to null"):
        build_unet(encoder, depth=5, size=64, weights="imagenet")


def test_checkpoints_that_are_none_are_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing\.pt is missing"):
        load_unet(tmp_path / "missing.pt", device="cpu")
    unet = build_unet("tu-test_resnet", depth=3, size=64)
    save_unet(tmp_path / "model.pt", unet, threshold=0.5, record={})
    data = (tmp_path / "model.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match="was cut short or damaged"):
        load_unet(tmp_path / "cut.pt", device="cpu")
    torch.save({"state_dict": {}, "arch": "resnet10"}, tmp_path / "classifier.pt")
    with pytest.raises(InputError, match=r"not written by the train_unet stage \(it lacks encoder, depth, size"):
        load_unet(tmp_path / "classifier.pt", device="cpu")
    content = torch.load(tmp_path / "model.pt", weights_only=True)
    torch.save(content | {"depth": 4}, tmp_path / "belied.pt")
    with pytest.raises(InputError, match="do not fit the network"):
        load_unet(tmp_path / "belied.pt", device="cpu")


def test_sets_that_lack_something_are_named(photo_sets: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a finished set"):
        fit((photo_sets[0], tmp_path / "none"), tmp_path / "work")
