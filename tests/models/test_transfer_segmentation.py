"""Segmentation on any backbone: crops in step, heads, the loss without void, answers in the images' own pixels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from pytest import approx
from scipy.ndimage import maximum_filter, minimum_filter
from torch import Tensor

from bgdata.errors import InputError
from bgdata.transfer_sets.base import VOID, LabelledImage, TaskSet
from models.training.settings import AugmentSettings
from models.transfer.backbones import Backbone
from models.transfer.batches import open_mix
from models.transfer.crops import Square, draw_square
from models.transfer.loading import load_backbone, load_pooled
from models.transfer.modes import Mode
from models.transfer.presets import find_preset
from models.transfer.segmentation import Segmentation, Segmenter, fitted_size, mean_cross_entropy
from models.transfer.segmentation_heads import UperNet
from models.transfer.settings import BackboneSettings, TrainSettings
from models.transfer.task_settings import SegmentationSettings
from models.transfer.tasks import Task
from models.transfer.train import TransferRun, train_transfer

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
NAMES = ("background", "disc", "square")
COLOURS = np.array([[40, 90, 60], [220, 40, 40], [40, 60, 220]], np.uint8)
GREY = (124.0, 116.0, 104.0)
PRIME = AugmentSettings(
    kind="prime", width=3, depth=1, alpha=1.0, colour={"cut": 500, "temperature": 0.05, "bandwidth": 20}
)


def made(**changed: object) -> SegmentationSettings:
    given = {
        "size": 32,
        "crop": 32,
        "head": "fused_fcn",
        "channels": 16,
        "dropout": 0.0,
        "auxiliary": 0.0,
        "balance": 0.0,
        "min_scale": 0.75,
        "max_scale": 1.5,
        "most_of_one": 1.0,
        "flip": True,
    }
    return SegmentationSettings.model_validate(given | changed)


def drawn(arch: str = "resnet8") -> Backbone:
    return load_backbone(BackboneSettings(arch=arch, weights=None), runs=Path())[0]


def built(arch: str = "resnet8", *, classes: int = 3, **changed: object) -> tuple[Segmentation, Segmenter]:
    task = Segmentation(made(**changed))
    torch.manual_seed(0)
    return task, task.build(drawn(arch), classes)


def draw_image(name: str, size: tuple[int, int] = (40, 48)) -> LabelledImage:
    """A disc and a square of their colours on a background; void where the square's border is."""
    rng = np.random.default_rng([*name.encode()])
    y, x = np.mgrid[: size[0], : size[1]]
    labels = np.zeros(size, np.uint8)
    centre, corner = rng.uniform((10, 10), (size[0] - 10, size[1] - 10)), rng.integers(0, 24, 2)
    labels[corner[0] : corner[0] + 14, corner[1] : corner[1] + 14] = VOID
    labels[corner[0] + 1 : corner[0] + 13, corner[1] + 1 : corner[1] + 13] = 2
    labels[np.hypot(y - centre[0], x - centre[1]) < 8] = 1
    noise = rng.normal(0, 12, (*size, 3))
    image = COLOURS[np.where(labels == VOID, 0, labels)] + noise
    return LabelledImage(name, image.clip(0, 255).astype(np.uint8), labels=labels)


@dataclass
class Drawn:
    """A set of drawn images."""

    ids: Sequence[str]
    split: str = "train"
    name: str = "drawn"
    task: str = "segmentation"
    categories: tuple[str, ...] = NAMES
    digest: str = "none"

    def read(self, image_id: str) -> LabelledImage:
        return draw_image(image_id)


# Crops


@given(seed=st.integers(0, 999), flip=st.booleans(), share=st.sampled_from([0.5, 1.0]), scale=st.floats(0.4, 3))
@settings(max_examples=40, deadline=None)
def test_images_and_classes_stay_in_step(seed: int, flip: bool, share: float, scale: float) -> None:
    labels = np.random.default_rng(seed).integers(0, 3, (5, 6)).repeat(8, 0).repeat(8, 1).astype(np.uint8)
    square = draw_square(labels, np.random.default_rng(seed), share=share, scales=(scale, scale), flip=flip, most=1.0)
    assert square.side == max(round(share * 40 / scale), 1)
    image, classes = square.image(COLOURS[labels], square.side, outside=GREY), square.labels(labels, square.side)
    expected = np.where((classes == VOID)[..., None], np.array(GREY, np.uint8), COLOURS[np.minimum(classes, 2)])
    assert np.array_equal(image, expected)
    # Away from other classes and the edge (others may lie beyond), further than resizing looks, nothing changes.
    image, classes = square.image(COLOURS[labels], 32, outside=GREY), square.labels(labels, 32)
    reach = 2 * math.ceil(32 / square.side) + 3
    known = np.pad(classes.astype(int), 1, constant_values=-1)
    inside = (maximum_filter(known, reach) == minimum_filter(known, reach))[1:-1, 1:-1]
    expected = np.where((classes == VOID)[..., None], np.array(GREY, np.uint8), COLOURS[np.minimum(classes, 2)])
    assert np.array_equal(image[inside], expected[inside])


def test_a_square_by_hand() -> None:
    labels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    image = np.repeat(labels[..., None], 3, 2)
    plain, mirrored = (Square(1, -1, 3, mirrored=mirrored) for mirrored in (False, True))
    expected = [[VOID, 4, 5], [VOID, 8, 9], [VOID, VOID, VOID]]
    assert plain.labels(labels, 3).tolist() == expected
    assert mirrored.labels(labels, 3).tolist() == [row[::-1] for row in expected]
    assert plain.image(image, 3, outside=(7.0, 8.0, 9.0))[2].tolist() == [[7, 8, 9]] * 3


def test_small_scales_show_the_whole_image() -> None:
    labels = np.ones((20, 30), np.uint8)
    for seed in range(20):
        square = draw_square(labels, np.random.default_rng(seed), share=1.0, scales=(0.5, 0.5), flip=True, most=1.0)
        shown = square.labels(labels, square.side)
        assert square.side == 40
        assert (shown == 1).sum() == 600
        assert (shown == VOID).sum() == 1000


def test_crops_are_drawn_anew_where_one_class_has_too_much() -> None:
    labels = np.zeros((64, 64), np.uint8)
    labels[:32, :32] = 1
    shares = []
    for seed in range(50):
        square = draw_square(labels, np.random.default_rng(seed), share=0.5, scales=(1.0, 1.0), flip=False, most=0.75)
        shares.append(np.bincount(square.cut_labels(labels).ravel(), minlength=2).max() / 32**2)
    assert np.mean(np.array(shares) <= 0.75) > 0.75  # a third of single draws is
    everywhere = np.zeros((64, 64), np.uint8)
    assert (
        draw_square(everywhere, np.random.default_rng(0), share=0.5, scales=(1.0, 1.0), flip=False, most=0.5).side == 32
    )


# Heads


@pytest.mark.parametrize(("head", "strides"), [("upernet", (4, 4)), ("fused_fcn", (4, 4)), ("fcn", (16, 32))])
def test_scores_and_every_weight_has_a_part_in_them(head: str, strides: tuple[int, int]) -> None:
    for arch, stride in zip(("resnet8", "resnet10"), strides, strict=True):
        task, network = built(arch, head=head, auxiliary=0.4)
        assert isinstance(task, Task)
        assert network(torch.rand(2, 3, 64, 96)).shape == (2, 3, 64 // stride, 96 // stride)
        network.train()
        losses = task.losses(
            network, [draw_image("a"), draw_image("b")], device=CPU, generator=np.random.default_rng(0)
        )
        assert list(losses) == ["segmentation", "auxiliary"]
        torch.stack([*losses.values()]).sum().backward()
        assert [name for name, value in network.named_parameters() if value.grad is None] == []


def test_upernet_is_the_librarys() -> None:
    torch.manual_seed(0)
    theirs = smp.UPerNet("resnet18", encoder_weights=None, decoder_channels=16, classes=5).eval()
    network = torchvision.models.resnet18(weights=None)
    network.load_state_dict(theirs.encoder.state_dict(), strict=False)
    backbone = Backbone(network, mean=(0.0,) * 3, std=(1.0,) * 3)
    head = UperNet(backbone.channels, 5, width=16, dropout=0.1)
    head.decoder.load_state_dict(theirs.decoder.state_dict())
    head.last[1].load_state_dict(theirs.segmentation_head[0].state_dict())
    ours = Segmenter(backbone, head, auxiliary=None, categories=5).eval()
    images = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        expected = theirs.segmentation_head[0](theirs.decoder(theirs.encoder(images)))
        assert torch.allclose(ours(images), expected, atol=1e-4)


def test_upernet_needs_two_images_in_training_alone() -> None:
    task, network = built(head="upernet")
    assert task.predict(network.eval(), [draw_image("a")], device=CPU)[0].shape == (40, 48)
    with pytest.raises(InputError, match=r"upernet cannot be trained on one image at a time: take a batch of two"):
        task.losses(network.train(), [draw_image("a")], device=CPU, generator=np.random.default_rng(0))


# The loss


@pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
def test_the_loss_counted_by_hand(balance: float) -> None:
    scores = torch.tensor([[[[1.0, 0.0, 2.0]], [[0.0, 3.0, 2.0]]]])  # 1 2 1 3
    labels = torch.tensor([[[0, 0, 1]]])
    logs = scores.log_softmax(1)
    each = torch.stack([-logs[0, 0, 0, 0], -logs[0, 0, 0, 1], -logs[0, 1, 0, 2]])
    weights = torch.tensor([2.0, 2.0, 1.0]) ** -balance
    expected = float((each * weights).sum() / weights.sum())
    assert float(mean_cross_entropy(scores, labels, balance=balance)) == approx(expected)
    wider, void = torch.cat((scores, scores[..., :1]), 3), torch.tensor([[[0, 0, 1, VOID]]])
    assert float(mean_cross_entropy(wider, void, balance=balance)) == approx(expected)


def test_a_batch_of_void_teaches_nothing() -> None:
    scores = torch.rand(2, 3, 4, 4, requires_grad=True)
    loss = mean_cross_entropy(scores, torch.full((2, 8, 8), VOID), balance=0.5)
    loss.backward()
    assert loss.item() == 0
    assert not scores.grad.any()


def test_losses_are_the_generators() -> None:
    task, network = built()
    batch = [draw_image("a"), draw_image("b", (64, 40))]
    first, again, other = (
        task.losses(network, batch, device=CPU, generator=np.random.default_rng(seed))["segmentation"].item()
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_the_auxiliary_loss_is_weighted() -> None:
    found = []
    for weight in (0.2, 0.4):
        task, network = built(auxiliary=weight)
        batch = [draw_image("a"), draw_image("b")]
        found.append(task.losses(network, batch, device=CPU, generator=np.random.default_rng(0)))
    assert found[1]["auxiliary"].item() == approx(2 * found[0]["auxiliary"].item())
    assert found[1]["segmentation"].item() == approx(found[0]["segmentation"].item())


def test_labels_beyond_the_categories_are_refused() -> None:
    task, network = built(classes=2)
    with pytest.raises(InputError, match=r"image a has pixels of label 2, its set has 2 categories"):
        task.losses(network, [draw_image("a"), draw_image("b")], device=CPU, generator=np.random.default_rng(0))


# Answers


def test_answers_are_in_the_images_own_pixels_whatever_else_is_asked() -> None:
    task, network = built()
    network.eval()
    batch = [draw_image("a"), draw_image("b", (70, 41)), draw_image("c"), draw_image("d", (33, 90))]
    together = task.predict(network, batch, device=CPU)
    for one, found in zip(batch, together, strict=True):
        (alone,) = task.predict(network, [one], device=CPU)
        assert found.dtype == np.uint8
        assert found.shape == one.image.shape[:2]
        assert (found == alone).mean() > 0.999  # sums of another order may turn a tie


@given(st.integers(10, 900), st.integers(10, 900), st.sampled_from([32, 64, 512]), st.sampled_from([16, 32]))
def test_sizes_are_multiples_and_keep_their_proportions(height: int, width: int, side: int, stride: int) -> None:
    found = fitted_size((height, width), side, stride)
    assert all(edge % stride == 0 and edge > 0 for edge in found)
    scale = side / min(height, width)
    for edge, was in zip(found, (height, width), strict=True):
        assert abs(edge - was * scale) <= max(stride / 2, stride - was * scale)


# Training


@pytest.mark.parametrize(("mode", "head"), [("full_network", "fused_fcn"), ("fixed_feature", "upernet")])
def test_it_learns_and_a_fixed_backbone_stays(mode: Mode, head: str, tmp_path: Path) -> None:
    train, val = Drawn([f"train {n}" for n in range(16)]), [draw_image(f"val {n}") for n in range(8)]
    assert isinstance(train, TaskSet)
    backbone = drawn()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    task = Segmentation(made(head=head))
    lengths = TrainSettings(mode=mode, steps=40, batch=4, optimizer="adamw", lr=0.005)
    run = TransferRun(seed=0, device=CPU, workers=1, folder=tmp_path)
    network, history = train_transfer(task, backbone, train, find_preset("segmentation"), lengths, run)
    found = task.score(task.predict(network, val, device=CPU), val, NAMES)
    assert found.values["miou"] >= 2 * found.details["constant"]["miou"]
    assert history[-1]["loss"] < history[0]["loss"] / 2
    same = [torch.equal(value, before[name]) for name, value in backbone.state_dict().items()]
    assert all(same) if mode == "fixed_feature" else not all(same)


# Settings


def test_prime_changes_images_and_not_their_classes() -> None:
    batch = [draw_image("a"), draw_image("b")]
    plain, mixed = (Segmentation(made(augment=augment)) for augment in (None, PRIME))
    network = built()[1]
    seen: list[Tensor] = []
    network.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    for task in (plain, mixed):
        task.losses(network, batch, device=CPU, generator=np.random.default_rng(0))
    assert 0.001 < float((seen[0] - seen[1]).abs().mean()) < 0.3
    assert seen[1].min() >= 0
    assert seen[1].max() <= 1


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (
            {"kind": "augmix", "colour": None, "severity": 3},
            "augment augmix moves pixels, whose labels stay.*take prime",
        ),
        ({"warp": {"cut": 10, "temperature": 1.0}}, r"augment\.warp moves pixels, whose labels stay.*leave it out"),
        ({"jsd": 12.0}, r"augment\.jsd compares predictions on views of an image, which no task here does"),
    ],
)
def test_augmentations_that_do_not_fit(changed: dict[str, object], words: str) -> None:
    augment = AugmentSettings.model_validate(PRIME.model_dump(exclude_none=True) | changed)
    with pytest.raises(InputError, match=words):
        Segmentation(made(augment=augment))
    if "jsd" not in changed:
        open_mix(augment, in_place=False)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"min_scale": 2.0}, r"min_scale is 2\.0, above max_scale, 1\.5"),
        ({"crop": 48}, "crop is 48: take a multiple of 32, the coarsest stride of backbones"),
        ({"head": "deeplab"}, "'upernet', 'fcn' or 'fused_fcn'"),
        ({"width": 3}, "Extra inputs are not permitted"),
    ],
)
def test_settings_that_do_not_fit(changed: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        made(**changed)


def test_a_backbone_without_maps() -> None:
    pooled, _ = load_pooled(BackboneSettings(arch="resnet8", weights=None), runs=Path(), size=32)
    with pytest.raises(InputError, match="segmentation stands on feature maps, and this backbone has none: take"):
        Segmentation(made()).build(pooled, 3)


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["resnet50", "swin_t"])
def test_real_architectures_take_a_step(arch: str) -> None:
    task, network = built(arch, classes=150, head="upernet", channels=512, auxiliary=0.4, size=128, crop=128)
    network.train()
    batch = [draw_image(name, (150, 200)) for name in "ab"]
    losses = task.losses(network, batch, device=CPU, generator=np.random.default_rng(0))
    torch.stack([*losses.values()]).sum().backward()
    assert all(value.grad is not None and value.grad.isfinite().all() for value in network.parameters())
    assert task.predict(network.eval(), batch, device=CPU)[0].shape == (150, 200)
