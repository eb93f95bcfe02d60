"""Laws of the gradient penalties."""

import pytest
import torch
from torch import Tensor, nn

from models.classifiers.classifier import build_classifier
from models.training.losses import BaseLoss
from models.training.objectives import Objective
from models.training.parts import Batch
from models.training.penalties import (
    GradientPenalty,
    ProportionalPenalty,
    SmoothedPenalty,
    build_penalty,
    image_gradients,
    imbalance,
    mean_size,
)
from models.training.settings import PenaltySettings

CLASSES, SIDE = 3, 6
KINDS = [
    PenaltySettings(kind="absolute", weight=2.0),
    PenaltySettings(kind="proportional", weight=2.0),
    PenaltySettings(kind="smoothed", weight=2.0, copies=3, noise=0.2),
]
each_kind = pytest.mark.parametrize("settings", KINDS, ids=lambda settings: settings.kind)


def make_batch(*, count: int = 4, classes: int = CLASSES, side: int = SIDE, seed: int = 0) -> Batch:
    """Random images; the object is the left half, with a soft edge."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (count,), generator=generator)
    masks = torch.zeros(count, 1, side, side)
    masks[..., : side // 2], masks[..., side // 2] = 1, 0.25
    images = torch.rand(count, 3, side, side, generator=generator)
    return Batch(images.requires_grad_(), torch.eye(classes)[labels], labels, labels, masks=masks)


def linear(*, classes: int = CLASSES, side: int = SIDE, seed: int = 1) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(3 * side * side, classes))


def penalty_of(settings: PenaltySettings, network: nn.Module, batch: Batch) -> Tensor:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        return build_penalty(settings)(network, network(batch.images), batch)


def test_a_linear_network_has_the_gradient_of_the_closed_form() -> None:
    batch, network = make_batch(), linear()
    weight = network[1].weight
    logits = network(batch.images)
    closed = ((logits.softmax(1) - batch.targets) @ weight).view_as(batch.images)
    assert batch.masks is not None
    background = (1 - batch.masks).expand_as(closed)
    expected = (closed.abs() * background).sum((1, 2, 3)) / background.sum((1, 2, 3))
    on_object = (closed.abs() * (1 - background)).sum((1, 2, 3)) / (1 - background).sum((1, 2, 3))
    absolute = GradientPenalty(weight=7.0)(network, logits, batch)
    proportional = ProportionalPenalty(weight=7.0)(network, logits, batch)
    assert torch.allclose(absolute, 7 * expected.mean())
    assert torch.allclose(proportional, 7 * (expected / on_object - 1).abs().mean())
    for penalty, value in ((absolute, expected.mean()), (proportional, (expected / on_object - 1).abs().mean())):
        (found,) = torch.autograd.grad(penalty, weight, retain_graph=True)
        (wanted,) = torch.autograd.grad(7 * value, weight, retain_graph=True)
        assert torch.allclose(found, wanted, atol=1e-6)


@pytest.mark.parametrize("size", [mean_size, imbalance])
def test_gradients_agree_with_finite_differences(size) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, 3, 4, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    kernel = torch.randn(4, 3, 3, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    readout = torch.randn(CLASSES, 16, generator=generator, dtype=torch.float64, requires_grad=True)
    masks = (torch.rand(2, 1, 4, 4, generator=generator) > 0.5).double()
    targets = torch.eye(CLASSES, dtype=torch.float64)[:2]

    def penalty(images: Tensor, kernel: Tensor, readout: Tensor) -> Tensor:
        hidden = torch.tanh(nn.functional.conv2d(images, kernel)).flatten(1)
        return size(image_gradients(hidden @ readout.T, targets, images), masks).sum()

    assert torch.autograd.gradcheck(penalty, (images, kernel, readout))


@pytest.mark.parametrize("settings", [KINDS[0], KINDS[2]], ids=lambda settings: settings.kind)
def test_a_network_that_ignores_the_background_pays_nothing(settings: PenaltySettings) -> None:
    batch = make_batch()
    network = linear()
    with torch.no_grad():
        network[1].weight.view(CLASSES, 3, SIDE, SIDE)[..., SIDE // 2 :] = 0
    assert penalty_of(settings, network, batch) == 0
    assert penalty_of(settings, linear(), batch) > 0


def test_an_even_gradient_has_no_imbalance() -> None:
    gradients = torch.full((2, 3, SIDE, SIDE), -0.5)
    masks = torch.rand(2, 1, SIDE, SIDE)
    assert torch.allclose(imbalance(gradients, masks), torch.zeros(2), atol=1e-6)
    assert torch.allclose(imbalance(gradients * (1 + masks.round()), masks.round()), torch.full((2,), 0.5))


def test_images_that_lack_a_part_count_nothing_and_stay_finite() -> None:
    gradients = torch.rand(3, 3, SIDE, SIDE, requires_grad=True)
    masks = torch.stack([torch.ones(1, SIDE, SIDE), torch.zeros(1, SIDE, SIDE), torch.ones(1, SIDE, SIDE)])
    masks[2, :, :, 3:] = 0
    still = gradients * torch.tensor([1.0, 1.0, 0.0])[:, None, None, None]
    found = imbalance(still, masks)
    assert found.tolist() == [0, 0, 0]
    assert mean_size(still, 1 - masks)[0] == 0
    found.sum().backward()
    assert gradients.grad is not None
    assert gradients.grad.isfinite().all()


@each_kind
def test_the_weight_scales(settings: PenaltySettings) -> None:
    batch, network = make_batch(), linear()
    once = penalty_of(settings, network, batch)
    assert torch.allclose(penalty_of(settings.model_copy(update={"weight": 6.0}), network, batch), 3 * once)


@pytest.mark.parametrize("settings", KINDS[:2], ids=lambda settings: settings.kind)
def test_the_size_of_a_batch_does_not_matter(settings: PenaltySettings) -> None:
    batch, network = make_batch(), linear()
    assert batch.masks is not None
    doubled = Batch(
        batch.images.detach().repeat(2, 1, 1, 1).requires_grad_(),
        batch.targets.repeat(2, 1),
        batch.labels.repeat(2),
        batch.background_labels.repeat(2),
        masks=batch.masks.repeat(2, 1, 1, 1),
    )
    assert torch.allclose(penalty_of(settings, network, doubled), penalty_of(settings, network, batch))


def test_smoothing_without_noise_is_the_absolute_penalty() -> None:
    batch, network = make_batch(), linear()
    logits = network(batch.images)
    smoothed = SmoothedPenalty(weight=2.0, copies=3, noise=1e-9)(network, logits, batch)
    assert torch.allclose(smoothed, GradientPenalty(weight=2.0)(network, logits, batch))


def test_smoothing_puts_noise_on_the_background_only_and_keeps_running_statistics() -> None:
    seen: list[Tensor] = []
    network = nn.Sequential(nn.BatchNorm2d(3), linear())
    network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    batch = make_batch()
    statistics = network[0].running_mean.clone()
    SmoothedPenalty(weight=1.0, copies=2, noise=0.5)(network, torch.zeros(4, CLASSES), batch).backward()
    assert torch.equal(network[0].running_mean, statistics)
    assert network[0].momentum == 0.1
    changes = (seen[0].view(2, *batch.images.shape) - batch.images.detach()).abs()
    assert batch.masks is not None
    assert (changes[..., : SIDE // 2] == 0).all()
    assert (changes[..., SIDE // 2 :] > 0).all()
    assert abs(float(changes[..., SIDE // 2 + 1 :].square().mean().sqrt()) - 0.5) < 0.1
    assert not torch.equal(changes[0], changes[1])


@each_kind
def test_bfloat16_and_float32_agree_through_the_classifier(settings: PenaltySettings) -> None:
    gradients = []
    for precision in (torch.float32, torch.bfloat16):
        classifier = build_classifier("resnet10", input_size=32, classes=9)
        objective = Objective(BaseLoss(label_smoothing=0.1), [build_penalty(settings)])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(2)
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == torch.bfloat16):
                objective(classifier, make_batch(count=8, classes=9, side=32)).backward()
        gradients.append(torch.cat([parameter.grad.flatten() for parameter in classifier.parameters()]))
    assert torch.cosine_similarity(gradients[0], gradients[1], dim=0) > 0.9
    assert abs(float(gradients[0].norm() / gradients[1].norm()) - 1) < 0.05
