"""What `recipes.<name>.augment` takes, and what it goes with."""

from typing import Any

import pytest
from pydantic import ValidationError

from models.training.settings import AugmentSettings, RecipeSettings

FRAME = {"width": 3, "depth": 3, "alpha": 1.0}
AUGMIX = FRAME | {"kind": "augmix", "severity": 3}
COLOUR = {"cut": 500, "temperature": 0.05, "bandwidth": 20}
FILTER = {"side": 3, "sigma": 4.0}
WARP = {"cut": 500, "temperature": 1.0}
PRIME = FRAME | {"kind": "prime", "colour": COLOUR, "filter": FILTER, "warp": WARP}
FLOW = {
    "kind": "nice",
    "width": 8,
    "transforms": 1,
    "hidden": [8],
    "z_count": 1,
    "copies": 1,
    "embedding_epochs": 1,
    "flow_epochs": 1,
    "joint_epochs": 0,
    "log_weight": 0.0,
    "lr": 0.1,
    "batch_size": 2,
}
PENALTY = {"penalty": {"kind": "absolute", "weight": 1.0}}
CONSISTENCY = {"consistency": {"weight": 1.0, "gamma": 1.0}}


def recipe(augment: dict[str, Any], **parts: Any) -> RecipeSettings:
    return RecipeSettings.model_validate({"start": "init", "data": "original", "augment": augment} | parts)


@pytest.mark.parametrize("kind", [AUGMIX, PRIME])
@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"data": "no_fg"},
        {"data": "mixup"},
        {"mixer": {"kind": "mixup", "alpha": 0.4}},
        {"background": {"by": "any_class", "p": 0.5}},
        {"group_dro": {"step": 0.1}},
    ],
)
@pytest.mark.parametrize("jsd", [None, 12.0])
def test_both_kinds_go_with(kind: dict[str, Any], parts: dict[str, Any], jsd: float | None) -> None:
    assert recipe(kind | {"jsd": jsd}, **parts).augment == AugmentSettings.model_validate(kind | {"jsd": jsd})


@pytest.mark.parametrize("kind", [AUGMIX, PRIME])
@pytest.mark.parametrize("part", [PENALTY, CONSISTENCY])
def test_moved_pixels_do_not_go_with_what_compares_them(kind: dict[str, Any], part: dict[str, Any]) -> None:
    (name,) = part
    words = f"augment moves the pixels of images, and {name} compares them with masks or twins that stay: give"
    with pytest.raises(ValidationError, match=words):
        recipe(kind, **part)
    assert recipe(kind | {"jsd": 12.0}, **part).augment is not None  # these images stay


@pytest.mark.parametrize("jsd", [None, 12.0])
def test_a_flow_trains_itself(jsd: float | None) -> None:
    with pytest.raises(ValidationError, match="flow trains itself on a frozen backbone: leave out augment"):
        recipe(AUGMIX | {"jsd": jsd}, flow=FLOW)


@pytest.mark.parametrize(
    "settings",
    [
        FRAME | {"kind": "augmix"},
        AUGMIX | {"colour": COLOUR},
        FRAME | {"kind": "prime"},
        PRIME | {"severity": 3},
        FRAME | {"kind": "prime", "severity": 3},
    ],
)
def test_each_kind_has_its_own(settings: dict[str, Any]) -> None:
    words = "kind augmix takes severity, kind prime at least one of warp, colour and filter"
    with pytest.raises(ValidationError, match=words):
        AugmentSettings.model_validate(settings)


@pytest.mark.parametrize("names", [("warp",), ("colour",), ("filter",), ("warp", "filter")])
def test_prime_does_with_some_of_its_operations(names: tuple[str, ...]) -> None:
    settings = AugmentSettings.model_validate({name: PRIME[name] for name in (*FRAME, "kind", *names)})
    assert {name for name in ("warp", "colour", "filter") if getattr(settings, name) is not None} == set(names)


def test_a_kernel_has_a_middle() -> None:
    with pytest.raises(ValidationError, match="side must be odd, not 4: the kernel needs a middle"):
        AugmentSettings.model_validate(PRIME | {"filter": {"side": 4, "sigma": 4.0}})


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        (AUGMIX | {"width": -1}, "width"),
        (AUGMIX | {"depth": 0}, "depth"),
        (AUGMIX | {"alpha": 0.0}, "alpha"),
        (AUGMIX | {"severity": 11}, "severity"),
        (AUGMIX | {"jsd": 0.0}, "jsd"),
        (AUGMIX | {"kind": "deepaugment"}, "kind"),
        (PRIME | {"warp": WARP | {"cut": 2}}, "warp.cut"),
        (PRIME | {"colour": COLOUR | {"cut": 1001}}, "colour.cut"),
        (PRIME | {"colour": COLOUR | {"temperature": -0.1}}, "colour.temperature"),
        (PRIME | {"filter": FILTER | {"sigma": -1.0}}, "filter.sigma"),
    ],
)
def test_values_are_bounded(settings: dict[str, Any], name: str) -> None:
    with pytest.raises(ValidationError) as caught:
        AugmentSettings.model_validate(settings)
    assert ".".join(map(str, caught.value.errors()[0]["loc"])) == name
