"""AugMix's operations, against those of Pillow that its program uses, and laws of chains."""

from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from PIL import Image, ImageOps
from torch import Tensor

from models.training import augmix
from models.training.augmix import augmix_operations, autocontrast, equalize, move, posterize, solarize
from models.training.chains import mix_chains
from models.training.settings import AugmentSettings

SIDE, COUNT = 48, 8
MOVES = dict(zip(("rotation", "shear_x", "shear_y", "shift_x", "shift_y"), augmix.MOVES, strict=True))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def photos(count: int = COUNT, seed: int = 0) -> Tensor:
    """Smooth images, on grey levels, that are not as dark as black nor as bright as white."""
    coarse = torch.rand(count, 3, 6, 6, generator=generator(seed))
    return (F.interpolate(coarse, SIDE, mode="bicubic", align_corners=False).clamp(0.05, 0.9) * 255).round() / 255


def as_pillow(image: Tensor) -> Image.Image:
    return Image.fromarray((image * 255).round().byte().permute(1, 2, 0).numpy())


def grey_levels(images: Tensor) -> np.ndarray:
    return (images * 255).permute(0, 2, 3, 1).numpy()


def settings(**changes: object) -> AugmentSettings:
    frame = {"kind": "augmix", "width": 3, "depth": 3, "alpha": 1.0, "severity": 3}
    return AugmentSettings.model_validate(frame | changes)


def mixed(seed: int = 0, images: Tensor | None = None, **changes: object) -> Tensor:
    chosen = settings(**changes)
    return mix_chains(
        photos() if images is None else images,
        generator(seed),
        operations=augmix_operations(chosen),
        width=chosen.width,
        depth=chosen.depth,
        alpha=chosen.alpha,
    )


@pytest.fixture
def levels(monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """The levels that the operations draw: from none to the highest that there is."""
    values = torch.linspace(0, 10, COUNT)
    monkeypatch.setattr(augmix, "_draw_levels", lambda *_: values)
    return values


def test_autocontrast_is_pillows_to_a_grey_level() -> None:
    expected = np.stack([np.asarray(ImageOps.autocontrast(as_pillow(photo))) for photo in photos()])
    assert np.abs(grey_levels(autocontrast(photos(), generator())) - expected).max() < 1.001  # Pillow cuts off


def test_equalize_is_pillows() -> None:
    expected = np.stack([np.asarray(ImageOps.equalize(as_pillow(photo))) for photo in photos()])
    assert np.allclose(grey_levels(equalize(photos(), generator())), expected, atol=1e-3)


def test_posterize_is_pillows(levels: Tensor) -> None:
    found = grey_levels(posterize(photos(), generator(), severity=10))
    for photo, level, image in zip(photos(), levels, found, strict=True):
        expected = ImageOps.posterize(as_pillow(photo), 4 - int(level * 4 / 10))
        assert np.allclose(image, np.asarray(expected), atol=1e-3)


def test_solarize_is_pillows(levels: Tensor) -> None:
    found = grey_levels(solarize(photos(), generator(), severity=10))
    for photo, level, image in zip(photos(), levels, found, strict=True):
        expected = ImageOps.solarize(as_pillow(photo), 256 - int(level * 256 / 10))
        assert np.allclose(image, np.asarray(expected), atol=1e-3)


def moved_by_pillow(name: str, photo: Image.Image, level: float) -> Image.Image:
    if name == "rotation":
        return photo.rotate(int(level * 30 / 10), resample=Image.Resampling.BILINEAR)
    shear, shift = level * 0.3 / 10, int(level * (SIDE / 3) / 10)
    matrix = {
        "shear_x": (1, shear, 0, 0, 1, 0),
        "shear_y": (1, 0, 0, shear, 1, 0),
        "shift_x": (1, 0, shift, 0, 1, 0),
        "shift_y": (1, 0, 0, 0, 1, shift),
    }[name]
    return photo.transform((SIDE, SIDE), Image.Transform.AFFINE, matrix, resample=Image.Resampling.BILINEAR)


@pytest.mark.parametrize("name", MOVES)
def test_moves_are_pillows_but_for_the_edge_of_the_black(name: str, levels: Tensor) -> None:
    signs = 2 * torch.randint(2, (COUNT,), generator=generator(4)) - 1
    assert set(signs.tolist()) == {-1, 1}
    found = grey_levels(move(photos(), generator(4), by=MOVES[name], severity=10))
    for photo, level, image in zip(photos(), (levels * signs).tolist(), found, strict=True):
        expected = np.asarray(moved_by_pillow(name, as_pillow(photo), level)).astype(float)
        apart = np.abs(image - expected).max(2)
        assert (apart > 1.5).sum() <= 4 * SIDE  # pixels
        assert np.quantile(apart, 0.9) < 1.5
        assert (np.abs(image - grey_levels(photo[None])[0]).mean() > 1) == (abs(level) > 1)


@pytest.mark.parametrize("operation", [solarize, *(partial(move, by=by) for by in augmix.MOVES)])
def test_at_level_0_images_stay(operation: partial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(augmix, "_draw_levels", lambda *_: torch.zeros(COUNT))
    assert torch.allclose(operation(photos(), generator(), severity=3), photos(), atol=1e-5)


def test_levels_reach_from_a_tenth_to_the_severity() -> None:
    for severity in (1, 3, 10):
        drawn = augmix._draw_levels(5000, generator(), severity)
        assert 0.1 <= drawn.min() < 0.11
        assert severity - 0.01 < drawn.max() <= severity
        assert float(drawn.mean()) == pytest.approx((0.1 + severity) / 2, rel=0.05)


def test_there_are_nine_operations_and_none_at_severity_0() -> None:
    assert len(augmix_operations(settings())) == 9
    assert augmix_operations(settings(severity=0)) == []


@pytest.mark.parametrize("changes", [{"severity": 0}, {"width": 0}])
def test_without_strength_images_stay(changes: dict[str, int]) -> None:
    assert torch.equal(mixed(**changes), photos())


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("changes", [{}, {"severity": 10}, {"width": 1, "depth": 1}, {"alpha": 0.2}])
def test_the_range_is_kept_and_the_given_images_too(seed: int, changes: dict[str, float]) -> None:
    images = photos().round()
    found = mixed(seed, images, **changes)
    assert found.min() >= 0
    assert found.max() <= 1
    assert found.isfinite().all()
    assert torch.equal(images, photos().round())


def test_only_the_generator_decides_and_the_global_ones_stay() -> None:
    state, numbers = torch.get_rng_state(), np.random.get_state()[1].copy()
    first = mixed(1)
    assert torch.equal(torch.get_rng_state(), state)
    assert (np.random.get_state()[1] == numbers).all()
    torch.rand(3)
    assert torch.equal(mixed(1), first)
    assert not torch.equal(mixed(2), first)
    torch.set_rng_state(state)


def test_each_image_has_its_own_draws() -> None:
    found = mixed(0, photos(1).repeat(COUNT, 1, 1, 1))
    for one in range(COUNT):
        for other in range(one):
            assert not torch.equal(found[one], found[other])


@pytest.mark.parametrize("alpha", [0.3, 1.0, 5.0])
def test_images_and_chains_are_mixed_by_weights_that_sum_to_one(alpha: float) -> None:
    images = torch.full((2000, 3, 2, 2), 0.25)
    same = mix_chains(images, generator(), operations=[lambda given, _: given], width=3, depth=3, alpha=alpha)
    assert torch.allclose(same, images, atol=1e-6)
    white = mix_chains(
        images, generator(), operations=[lambda given, _: torch.ones_like(given)], width=3, depth=3, alpha=alpha
    )
    share = (white[:, 0, 0, 0] - 0.25) / 0.75
    assert float(share.mean()) == pytest.approx(0.5, abs=0.03)
    assert float(share.var()) == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.15)  # Beta(alpha, alpha)'s


def test_the_weights_of_the_chains_are_dirichlets() -> None:
    white = iter([True, False, False])  # the first chain's one operation makes white, those of the others black

    def paint(given: Tensor, _: torch.Generator) -> Tensor:
        return torch.full_like(given, float(next(white)))

    black = torch.zeros(4000, 3, 1, 1)
    first = mix_chains(black, generator(), operations=[paint], width=3, depth=1, alpha=1.0)[:, 0, 0, 0]
    assert float(first.mean()) == pytest.approx(1 / 2 / 3, rel=0.05)
    assert float((first**2).mean()) == pytest.approx(1 / 3 / 6, rel=0.1)  # E[share^2] E[weight^2]


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_chains_have_one_to_depth_operations(depth: int) -> None:
    counts: list[int] = []

    def count(given: Tensor, _: torch.Generator) -> Tensor:
        counts.append(len(given))
        return given

    mix_chains(torch.zeros(1000, 3, 1, 1), generator(), operations=[count], width=2, depth=depth, alpha=1.0)
    assert len(counts) == 2 * depth
    for step in range(depth):  # a chain of each length is as likely
        assert counts[step] == pytest.approx(1000 * (1 - step / depth), rel=0.15)
    assert counts[0] == 1000


def test_operations_are_equally_likely() -> None:
    seen = dict.fromkeys(range(4), 0)

    def remember(given: Tensor, _: torch.Generator, *, name: int) -> Tensor:
        seen[name] += len(given)
        return given

    operations = [partial(remember, name=name) for name in seen]
    mix_chains(torch.zeros(2000, 3, 1, 1), generator(), operations=operations, width=1, depth=1, alpha=1.0)
    assert sum(seen.values()) == 2000
    assert all(count == pytest.approx(500, rel=0.15) for count in seen.values())
