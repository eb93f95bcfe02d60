"""Laws of PRIME's three operations."""

import math
from functools import partial

import pytest
import torch
from torch import Tensor

from models.training.chains import Operation
from models.training.prime import (
    change_colours,
    filter_randomly,
    prime_operations,
    random_fields,
    temperature_range,
    warp,
)
from models.training.settings import AugmentSettings

SIDE = 32
PUBLISHED = {
    "warp": {"cut": 500, "temperature": 1.0},
    "colour": {"cut": 500, "temperature": 0.05, "bandwidth": 20},
    "filter": {"side": 3, "sigma": 4.0},
}
OPERATIONS: dict[str, Operation] = {
    "warp": partial(warp, cut=500, temperature=1.0),
    "colour": partial(change_colours, cut=500, temperature=0.05, bandwidth=20),
    "filter": partial(filter_randomly, side=3, sigma=4.0),
}
STILL: dict[str, Operation] = {
    "warp": partial(warp, cut=500, temperature=0.0),
    "colour": partial(change_colours, cut=500, temperature=0.0, bandwidth=20),
    "filter": partial(filter_randomly, side=3, sigma=0.0),
}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(count: int = 6, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, SIDE, SIDE, generator=generator(seed))


def ramp(count: int, side: int = SIDE) -> Tensor:
    """From black on the left to white on the right."""
    return torch.linspace(0, 1, side).expand(count, 3, side, side).clone()


@pytest.mark.parametrize("name", STILL)
@pytest.mark.parametrize("seed", range(3))
def test_without_strength_images_stay(name: str, seed: int) -> None:
    assert torch.allclose(STILL[name](noise(), generator(seed)), noise(), atol=1e-5)


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("seed", range(5))
def test_the_range_is_kept_and_the_given_images_too(name: str, seed: int) -> None:
    images = noise().round()  # black and white alone
    changed = OPERATIONS[name](images, generator(seed))
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert changed.isfinite().all()
    assert torch.equal(images, noise().round())


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_seed_decides_and_each_image_has_its_own_draws(name: str) -> None:
    images = noise(1).repeat(5, 1, 1, 1)
    changed = OPERATIONS[name](images, generator(1))
    assert torch.equal(changed, OPERATIONS[name](images, generator(1)))
    assert not torch.equal(changed, OPERATIONS[name](images, generator(2)))
    for one in range(5):
        for other in range(one):
            assert not torch.equal(changed[one], changed[other])


def test_parts_of_a_batch_are_as_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = [operation(noise(), generator()) for operation in OPERATIONS.values()]
    monkeypatch.setattr("models.training.augment._PART", 4 * 3 * SIDE**2)
    for expected, operation in zip(whole, OPERATIONS.values(), strict=True):
        assert torch.allclose(operation(noise(), generator()), expected, atol=1e-6)


def test_the_settings_name_the_operations() -> None:
    frame = {"kind": "prime", "width": 3, "depth": 3, "alpha": 1.0}
    for names in (["warp", "colour", "filter"], ["filter"], ["warp", "colour"]):
        settings = AugmentSettings.model_validate(frame | {name: PUBLISHED[name] for name in names})
        found = prime_operations(settings)
        assert len(found) == len(names)
        for operation, name in zip(found, names, strict=True):
            assert torch.equal(operation(noise(), generator()), OPERATIONS[name](noise(), generator()))


def test_colours_are_sums_of_sines_of_the_value() -> None:
    values = torch.arange(256) / 255
    images = values.view(16, 16).expand(8, 3, 16, 16)
    added = change_colours(images, generator(), cut=4, temperature=1e-3, bandwidth=4) - images
    sines = torch.sin(math.pi * values[:, None] * torch.arange(1, 5))  # 256 4
    inner = slice(30, -30)  # where nothing is clamped
    found = added.flatten(2)[..., inner].reshape(24, -1).T
    fit = torch.linalg.lstsq(sines[inner], found).solution
    assert torch.allclose(sines[inner] @ fit, found, atol=1e-4)
    assert found.abs().max() > 0.01


def test_black_and_white_stay() -> None:
    changed = OPERATIONS["colour"](ramp(40), generator())
    assert torch.allclose(changed[..., 0], torch.zeros(40, 3, SIDE), atol=1e-4)
    assert torch.allclose(changed[..., -1], torch.ones(40, 3, SIDE), atol=1e-4)


def test_the_variance_of_a_wave_is_uniform_up_to_the_temperature() -> None:
    grey = torch.full((600, 3, 2, 2), 0.5)
    coefficients = change_colours(grey, generator(), cut=1, temperature=1e-3, bandwidth=1)[:, :, 0, 0] - 0.5
    assert float((coefficients**2).mean()) == pytest.approx(1e-3 / 2, rel=0.1)
    assert float((coefficients**4).mean()) == pytest.approx(1e-6, rel=0.3)  # 3 E[T^2] = T_max^2
    assert abs(float(coefficients.mean())) < 2e-3


def test_a_filter_is_the_same_for_all_channels_and_places() -> None:
    grey = noise()[:, :1].expand(-1, 3, -1, -1)
    changed = filter_randomly(grey, generator(), side=3, sigma=0.1)
    assert torch.allclose(changed[:, 0], changed[:, 1], atol=1e-6)
    moved = filter_randomly(grey.roll(5, 3), generator(), side=3, sigma=0.1)
    assert torch.allclose(moved[..., 8:-2], changed.roll(5, 3)[..., 8:-2], atol=1e-6)


def test_the_border_of_a_warped_image_stays() -> None:
    changed = OPERATIONS["warp"](noise(), generator())
    for edge in ((..., 0), (..., -1), (..., 0, slice(None)), (..., -1, slice(None))):
        assert torch.allclose(changed[edge], noise()[edge], atol=1e-4)
    assert (changed - noise()).abs().mean() > 0.01


def test_a_field_is_a_sum_of_waves() -> None:
    size, cuts = 12, [2, 5, 40]
    fields = random_fields(cuts, generator(3), size=size, device=torch.device("cpu"))
    draws, x = generator(3), torch.linspace(0, 1, size)
    for field, cut in zip(fields, cuts, strict=True):
        count = min(cut, size - 1)
        coefficients = torch.randn(count, 2, count, generator=draws)
        expected = torch.zeros(2, size, size)
        for i in range(1, count + 1):
            for j in range(1, count + 1):
                if math.hypot(i, j) < cut + 0.5:
                    wave = torch.sin(i * math.pi * x)[:, None] * torch.sin(j * math.pi * x)
                    expected += coefficients[i - 1, :, j - 1, None, None] / math.hypot(i, j) * wave
        assert torch.allclose(field.transpose(0, 1), expected, atol=1e-5)


@pytest.mark.parametrize("size", [32, 224])
def test_temperatures_begin_at_half_a_pixel(size: int) -> None:
    cuts = torch.arange(2, 501)
    low, high = temperature_range(size, cuts)
    typical = size * (math.pi * low * cuts.log()).sqrt() / 2
    assert torch.allclose(typical, torch.full_like(typical, 0.5), atol=1e-5)
    assert (high >= low).all()
    assert (high[cuts < 2 * size / math.pi] > low[cuts < 2 * size / math.pi]).all()


def test_displacements_grow_with_the_root_of_the_temperature() -> None:
    images, moved = ramp(200), []
    for temperature in (0.25, 1.0):
        changed = warp(images, generator(), cut=8, temperature=temperature)
        moved.append(((changed - images) * (SIDE - 1)).square().mean().sqrt())
    assert moved[1] > 0.3  # at least half a pixel in both directions together
    assert float(moved[1] / moved[0]) == pytest.approx(2, rel=0.05)
