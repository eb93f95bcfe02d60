"""Laws of GroupDRO."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bgdata.compose.background_classes import UNKNOWN
from models.training.groups import GroupDRO
from models.training.losses import BaseLoss
from models.training.parts import Batch

CLASSES = 3


def make_batch(labels: list[int], background_labels: list[int]) -> Batch:
    classes, backgrounds = torch.tensor(labels), torch.tensor(background_labels)
    return Batch(torch.zeros(len(labels), 3, 2, 2), torch.eye(CLASSES)[classes], classes, backgrounds)


def random_logits(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, CLASSES, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def group_dro(step: float = 0.1, label_smoothing: float = 0.1) -> GroupDRO:
    return GroupDRO(step=step, label_smoothing=label_smoothing, classes=CLASSES)


@given(count=st.integers(1, 9), steps=st.integers(1, 4), label_smoothing=st.sampled_from([0.0, 0.1]))
def test_with_one_group_it_is_erm(count: int, steps: int, label_smoothing: float) -> None:
    batch = make_batch([1] * count, [2] * count)
    robust, plain = group_dro(0.5, label_smoothing), BaseLoss(label_smoothing=label_smoothing)
    for step in range(steps):
        logits = random_logits(count, step)
        losses = robust(logits, batch), plain(logits, batch)
        assert torch.allclose(*losses)
        assert torch.allclose(*(torch.autograd.grad(loss, logits)[0] for loss in losses), atol=1e-7)


def test_with_equal_losses_and_groups_of_one_size_it_is_erm() -> None:
    batch = make_batch([0, 1, 2, 0], [0, 0, UNKNOWN, 2])
    logits = batch.targets * 2
    assert torch.allclose(group_dro()(logits, batch), BaseLoss(label_smoothing=0.1)(logits, batch))


@given(seed=st.integers(0, 1000), step=st.floats(0.001, 10))
def test_the_shares_sum_to_1_and_rise_with_the_loss(seed: int, step: float) -> None:
    batch = make_batch([0, 0, 1, 2, 2], [0, 1, UNKNOWN, 2, 2])
    robust = group_dro(step)
    losses = F.cross_entropy(random_logits(5, seed), batch.labels, label_smoothing=0.1, reduction="none")
    means = torch.stack([losses[0], losses[1], losses[2], losses[3:].mean()]).detach().double()
    robust(random_logits(5, seed), batch)
    shares = robust.shares
    assert shares.sum() == pytest.approx(1)
    assert (shares > 0).sum() <= 4  # groups that were not met have no share
    met = shares[robust.groups(batch)][:4]
    assert torch.allclose(met, (step * means).softmax(0), atol=1e-5)


def test_the_worst_group_comes_to_count_most() -> None:
    batch = make_batch([0, 0, 1, 1], [0, 1, 0, 1])
    logits = torch.tensor([[3.0, 0, 0], [3, 0, 0], [3, 0, 0], [0, 3, 0]])  # class 1 on background 0 is mistaken
    robust = group_dro(0.2)
    shares = []
    for _ in range(20):
        loss = robust(logits, batch)
        shares.append(float(robust.shares[robust.groups(batch)[2]]))
    assert shares == sorted(shares)
    assert shares[-1] > 0.99
    worst = F.cross_entropy(logits[2:3], batch.labels[2:3], label_smoothing=0.1)
    assert float(loss) == pytest.approx(float(worst), rel=0.02)


def test_the_order_of_a_batch_does_not_matter() -> None:
    one, other = group_dro(), group_dro()
    labels, backgrounds, logits = [0, 1, 2, 2], [1, 1, UNKNOWN, 2], random_logits(4)
    loss = one(logits, make_batch(labels, backgrounds))
    assert torch.allclose(loss, other(logits.flip(0), make_batch(labels[::-1], backgrounds[::-1])))
    assert torch.equal(one.shares, other.shares)


def test_groups_are_told_apart_by_class_and_by_background() -> None:
    pairs = [(label, background) for label in range(CLASSES) for background in range(UNKNOWN, CLASSES)]
    labels, backgrounds = (list(column) for column in zip(*pairs, strict=True))
    assert group_dro().groups(make_batch(labels, backgrounds)).tolist() == list(range(CLASSES * (CLASSES + 1)))


def test_what_it_remembers_is_kept() -> None:
    first, second = group_dro(), group_dro()
    batch = make_batch([0, 1], [1, 1])
    first(random_logits(2), batch)
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(random_logits(2, 1), batch), second(random_logits(2, 1), batch))
    assert torch.equal(first.shares, second.shares)
