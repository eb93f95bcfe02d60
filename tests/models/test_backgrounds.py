import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.transforms.v2.functional import gaussian_blur

from bgdata.errors import InputError
from bgdata.labels import CLASS_COUNT, CLASS_NAMES, IN9
from models.training import loop
from models.training.backgrounds import Blur, Change, Replacement, Twins, blur_background
from models.training.chances import AdaptiveChance, fixed_chance
from models.training.choices import BatchMates, Choice, FewPhotos, OtherPhotos, pool_weights
from models.training.data import Backgrounds, as_batch
from models.training.parts import Drawn, Treatment
from models.training.recipes import Recipe, open_recipe, sets_read
from models.training.run import Stored
from models.training.settings import BackgroundSettings, RecipeSettings
from tests.models.test_training import SETTINGS, Killed, assert_same, generator, trained

PER_CLASS = 3
PAIRS = {"dog": {"bird": 3.0, "fish": 1.0}, "bird": {"bird": 1.0, "dog": 1.0}}
BY = ["any_class", "same_class", "other_class", "batch", "few", PAIRS]


def photos(side: int = 4) -> tuple[Backgrounds, np.ndarray, np.ndarray]:
    """(backgrounds, images, masks): three photos a class; background i is all i, a foreground is a top row of 200."""
    count = PER_CLASS * CLASS_COUNT
    order = np.random.default_rng(0).permutation(count)  # of the backgrounds: neither by class nor as the images are
    own = np.argsort(order)
    values = np.arange(count, dtype=np.uint8)[:, None, None, None]
    images = np.broadcast_to(values[own], (count, side, side, 3)).copy()
    images[:, 0] = 200
    masks = np.zeros((count, side, side), bool)
    masks[:, 0] = True
    pixels = np.broadcast_to(values, (count, side, side, 3)).copy()
    return Backgrounds(pixels, order // PER_CLASS, [f"photo {number}" for number in order], own, IN9), images, masks


def image_labels() -> np.ndarray:
    return np.arange(PER_CLASS * CLASS_COUNT) // PER_CLASS


def chosen_by(by: Any, backgrounds: Backgrounds) -> Choice:
    if by == "batch":
        return BatchMates(backgrounds)
    if by == "few":
        choose = OtherPhotos(backgrounds, "any_class", image_labels=image_labels())
        ids = [f"photo {number}" for number in range(len(backgrounds.own))]
        return FewPhotos(choose, ids, image_labels=image_labels(), count=4, seed=3)
    return OtherPhotos(backgrounds, by, image_labels=image_labels())


def drawn(images: np.ndarray, masks: np.ndarray, indices: np.ndarray) -> Drawn:
    labels = torch.from_numpy(image_labels()[indices])
    return Drawn(indices, as_batch(images[indices]), torch.from_numpy(masks[indices])[:, None], labels, labels)


def shown_backgrounds(treat: Change, epochs: int = 200) -> tuple[np.ndarray, np.ndarray, Drawn]:
    """(indices, positions of the backgrounds that each was shown on, the last batch), over shuffled epochs."""
    _, images, masks = photos()
    draws = generator()
    batches = []
    for _ in range(epochs):
        indices = torch.randperm(len(images), generator=draws).numpy()
        batches.append(treat(drawn(images, masks, indices), draws))
    assert all((batch.images[:, :, 0] == 200).all() for batch in batches), "foregrounds stay"
    indices = np.concatenate([batch.indices for batch in batches])
    return indices, np.concatenate([batch.images[:, 0, 1, 0] for batch in batches]).astype(np.int64), batches[-1]


def opened(sets: Path, folder: Path, **parts: Any) -> Recipe:
    recipe = RecipeSettings(**({"start": "init", "data": "original"} | parts))
    return open_recipe(recipe, SETTINGS, Stored(sets, folder, 2), seed=3)


def test_p_0_is_the_plain_recipe_bit_for_bit(sets: Path, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"epochs": 2})
    plain, history = trained(opened(sets, tmp_path / "a"), tmp_path / "run_a", settings)
    background = {"by": "any_class", "p": 0.0}
    dynamic, same_history = trained(opened(sets, tmp_path / "b", background=background), tmp_path / "run_b", settings)
    assert_same(plain, dynamic)
    assert history == same_history


@pytest.mark.parametrize("by", ["any_class", "same_class", "other_class", "batch", "blur", PAIRS], ids=str)
def test_p_0_leaves_each_batch(sets: Path, tmp_path: Path, by: Any) -> None:
    recipe = opened(sets, tmp_path, background={"by": by, "p": 0.0})
    batch = recipe.data.draw(np.arange(9))
    assert recipe.treat(batch, generator()) is batch


@pytest.mark.parametrize("by", BY, ids=str)
def test_p_1_never_shows_an_own_background(by: Any) -> None:
    backgrounds, _, _ = photos()
    indices, shown, last = shown_backgrounds(
        Replacement(backgrounds, chosen_by(by, backgrounds), fixed_chance(1.0, classes=IN9))
    )
    assert (shown != backgrounds.own[indices]).all()
    assert (last.background_labels.numpy() == backgrounds.labels[last.images[:, 0, 1, 0].numpy()]).all()


@pytest.mark.parametrize(
    ("by", "allowed"),
    [
        ("any_class", lambda label, other: True),  # noqa: ARG005  # both are given
        ("same_class", lambda label, other: label == other),
        ("other_class", lambda label, other: label != other),
        ("batch", lambda label, other: True),  # noqa: ARG005  # both are given
        (PAIRS, lambda label, other: CLASS_NAMES[other] in PAIRS.get(CLASS_NAMES[label], CLASS_NAMES)),
    ],
    ids=["any_class", "same_class", "other_class", "batch", "pairs"],
)
def test_each_background_of_an_allowed_class_is_shown_and_no_other(
    by: Any, allowed: Callable[[int, int], bool]
) -> None:
    backgrounds, _, _ = photos()
    treat = Replacement(backgrounds, chosen_by(by, backgrounds), fixed_chance(1.0, classes=IN9))
    indices, shown, _ = shown_backgrounds(treat, epochs=400)
    for image, label in enumerate(image_labels()):
        others = [position for position, other in enumerate(backgrounds.labels) if allowed(int(label), int(other))]
        assert set(shown[indices == image]) == set(others) - {int(backgrounds.own[image])}


def test_backgrounds_of_a_pair_of_classes_are_as_frequent_as_its_weight() -> None:
    backgrounds, _, _ = photos()
    choose = OtherPhotos(backgrounds, PAIRS, image_labels=image_labels())
    draws = np.random.default_rng(0).random(8000)
    dog = backgrounds.labels[choose(np.zeros(8000, np.int64), np.zeros(8000, np.int64), draws)]
    assert abs((dog == 1).mean() - 0.75) < 0.02
    bird = backgrounds.labels[choose(np.full(8000, 3), np.ones(8000, np.int64), draws)]
    assert abs((bird == 1).mean() - 0.5) < 0.02, "also where the own background is left out"


@given(numbers=st.lists(st.floats(0, 1, exclude_max=True), min_size=27, max_size=27))
def test_any_class_is_one_draw_over_all_backgrounds_but_the_own(numbers: list[float]) -> None:
    backgrounds, _, _ = photos()
    count, own, draws = len(backgrounds.labels), backgrounds.own.copy(), np.array(numbers)
    own[::5] = -1
    without = dataclasses.replace(backgrounds, own=own)
    positions = (draws * (count - (own >= 0))).astype(np.int64)
    positions += (own >= 0) & (positions >= own)
    choose = OtherPhotos(without, "any_class", image_labels=image_labels())
    assert (choose(np.arange(count), image_labels(), draws) == positions).all()


def test_a_few_choices_are_those_of_the_seed_and_the_id() -> None:
    backgrounds, _, _ = photos()
    choose = OtherPhotos(backgrounds, "any_class", image_labels=image_labels())
    turned = dataclasses.replace(backgrounds, own=backgrounds.own[::-1])
    ids = [f"photo {number}" for number in range(len(backgrounds.own))]
    labels = image_labels()
    few = FewPhotos(choose, ids, image_labels=labels, count=4, seed=3)
    again = FewPhotos(
        OtherPhotos(turned, "any_class", image_labels=labels), ids[::-1], image_labels=labels[::-1], count=4, seed=3
    )
    assert (few.table == again.table[::-1]).all()
    assert (few.table != FewPhotos(choose, ids, image_labels=labels, count=4, seed=4).table).any()
    indices, shown, _ = shown_backgrounds(Replacement(backgrounds, few, fixed_chance(1.0, classes=IN9)))
    for image, row in enumerate(few.table):
        assert set(shown[indices == image]) == set(row)


@given(seed=st.integers(0, 1000), count=st.integers(2, 27))
def test_a_batch_passes_its_backgrounds_round(seed: int, count: int) -> None:
    backgrounds, _, _ = photos()
    rng = np.random.default_rng(seed)
    indices = rng.permutation(27)[:count]
    mates = BatchMates(backgrounds)(indices, image_labels()[indices], rng.random(count))
    assert sorted(mates) == sorted(backgrounds.own[indices])
    assert (mates != backgrounds.own[indices]).all()
    twice = np.append(indices, indices)
    mates = BatchMates(backgrounds)(twice, image_labels()[twice], rng.random(2 * count))
    assert (mates != backgrounds.own[twice]).all()


def test_the_share_that_is_replaced_is_p_of_the_class_and_the_input_stays() -> None:
    backgrounds, images, masks = photos()
    choose = OtherPhotos(backgrounds, "any_class", image_labels=image_labels())
    treat = Replacement(backgrounds, choose, fixed_chance({"dog": 0.3, "fish": 1.0}, classes=IN9))
    indices, shown, _ = shown_backgrounds(treat, epochs=300)
    replaced, labels = shown != backgrounds.own[indices], image_labels()[indices]
    assert abs(replaced[labels == 0].mean() - 0.3) < 0.05
    assert replaced[labels == 8].all()
    assert not replaced[(labels > 0) & (labels < 8)].any(), "0 for classes that are not named"
    batch = drawn(images, masks, np.arange(27))
    before = batch.images.clone()
    treat(batch, generator())
    assert torch.equal(batch.images, before)


@pytest.mark.parametrize(
    ("by", "labels", "message"),
    [
        ("any_class", [0], "needs at least two backgrounds"),
        ("same_class", [0, 1, 1], "image of class dog should get the background of another photo of class dog, and "),
        ("other_class", [0, 0], "image of class dog should get .* of class any but its own, and there is none"),
        (PAIRS, [0, 0, 1], "class dog should get the background of another photo of class fish, .* background.by"),
    ],
    ids=str,
)
def test_backgrounds_that_are_not_there_are_a_sentence(by: Any, labels: list[int], message: str) -> None:
    count = len(labels)
    backgrounds = Backgrounds(
        np.zeros((count, 2, 2, 3), np.uint8), np.array(labels), ["a"] * count, np.arange(count), IN9
    )
    with pytest.raises(InputError, match=message):
        OtherPhotos(backgrounds, by, image_labels=np.array(labels))


def test_a_batch_needs_each_photos_background() -> None:
    backgrounds, _, _ = photos()
    with pytest.raises(InputError, match="only_bg_t lacks 1 of 27: render the sets again"):
        BatchMates(dataclasses.replace(backgrounds, own=np.append(backgrounds.own[1:], -1)))


def test_weights_of_pools() -> None:
    counts = np.arange(CLASS_COUNT)
    assert (pool_weights("any_class", counts, classes=IN9)[:, -1] == 1).all()
    assert (pool_weights("other_class", counts, classes=IN9)[2] == [0, 1, 0, 3, 4, 5, 6, 7, 8, 0]).all()
    assert (pool_weights(PAIRS, counts, classes=IN9)[[0, 2]] == [[0, 3, 0, 0, 0, 0, 0, 0, 1, 0], [0] * 9 + [1]]).all()


@given(seed=st.integers(0, 1000), count=st.integers(1, 3), height=st.integers(8, 12), width=st.integers(8, 12))
def test_a_blurred_background_knows_nothing_of_the_foreground_nor_of_other_images(
    seed: int, count: int, height: int, width: int
) -> None:
    rng = np.random.default_rng(seed)
    masks = rng.random((count, height, width)) < 0.3
    images = rng.integers(0, 256, (count, height, width, 3), np.uint8)
    recoloured = np.where(masks[..., None], 255 - images, images)
    blurred = blur_background(images, masks)
    assert (blurred == blur_background(recoloured, masks))[~masks].all()
    assert (blurred[:1] == blur_background(images[:1], masks[:1]))[~masks[:1]].all()
    plain = np.full_like(images, 77)
    assert (blur_background(plain, masks)[~masks] == 77).all()


def test_where_all_is_background_the_blur_is_torchvisions() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 20, 20, 3), np.uint8)
    blurred = blur_background(images, np.zeros((2, 20, 20), bool))
    theirs = gaussian_blur(as_batch(images).float(), [7, 7]).permute(0, 2, 3, 1).numpy()
    assert np.abs(blurred - theirs)[:, 3:-3, 3:-3].max() < 0.51


def test_blur_changes_backgrounds_alone() -> None:
    images = np.random.default_rng(0).integers(0, 256, (27, 8, 8, 3), np.uint8)
    masks = np.random.default_rng(1).random((27, 8, 8)) < 0.5
    batch = drawn(images, masks, np.arange(27))
    treated = Blur(fixed_chance(1.0, classes=IN9))(batch, generator())
    changed = (treated.images != batch.images).any(1, keepdim=True)
    assert not (changed & batch.masks).any()
    assert changed[~batch.masks].float().mean() > 0.9
    assert torch.equal(treated.background_labels, batch.background_labels)


def test_a_twin_differs_in_its_background_alone_and_leaves_the_treated_images() -> None:
    backgrounds, images, masks = photos()
    choose = OtherPhotos(backgrounds, "any_class", image_labels=image_labels())
    treat = Replacement(backgrounds, choose, fixed_chance(0.5, classes=IN9))
    batch = drawn(images, masks, np.arange(27))
    doubled = Twins(treat, Replacement(backgrounds, choose, fixed_chance(1.0, classes=IN9)))(batch, generator())
    assert torch.equal(doubled.images, treat(batch, generator()).images)
    assert torch.equal(doubled.twins[:, :, 0], batch.images[:, :, 0])
    assert (doubled.twins[:, 0, 1, 0].numpy() != backgrounds.own).all()


def test_recipes_that_compare_get_twins(sets: Path, tmp_path: Path) -> None:
    recipe = opened(sets, tmp_path, consistency={"weight": 1.0, "gamma": 2.0})
    batch = recipe.data.draw(np.arange(9))
    doubled = recipe.treat(batch, generator())
    assert torch.equal(doubled.images, batch.images)
    inside = batch.masks.expand_as(batch.images)
    assert torch.equal(doubled.twins[inside], batch.images[inside])


def test_adaptive_p_is_the_accuracy_on_a_fifth_of_the_backgrounds() -> None:
    backgrounds, _, _ = photos()
    count = 30 * CLASS_COUNT
    labels = np.arange(count) % CLASS_COUNT
    pixels = np.broadcast_to(labels.astype(np.uint8)[:, None, None, None], (count, 2, 2, 3)).copy()
    many = dataclasses.replace(backgrounds, pixels=pixels, labels=labels, ids=[str(n) for n in range(count)])
    chance = AdaptiveChance(many, seed=3)
    assert (chance.by_class == 0).all()
    seen = []

    def predict(shown: np.ndarray) -> np.ndarray:
        """Right on dogs, on two of six birds, and never else."""
        seen.append(len(shown))
        truth = shown[:, 0, 0, 0].astype(np.int64)
        return np.where((truth == 0) | ((truth == 1) & (np.arange(len(shown)) < 2)), truth, (truth + 1) % CLASS_COUNT)

    chance.after_epoch(predict)
    assert seen == [6] * CLASS_COUNT
    assert chance.by_class.tolist() == pytest.approx([1, 1 / 3] + [0] * 7)
    assert chance.figures()["p_01_bird"] == pytest.approx(1 / 3)
    assert all((many.labels[sample] == label).all() for label, sample in chance.samples.items())
    other = AdaptiveChance(many, seed=4)
    assert any((chance.samples[label] != other.samples[label]).any() for label in range(CLASS_COUNT))


def test_a_killed_adaptive_run_ends_in_the_weights_of_an_unbroken_one(
    sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fresh() -> Recipe:
        return opened(sets, tmp_path / "pixels", background={"by": "any_class", "p": "adaptive"})

    settings = SETTINGS.model_copy(update={"epochs": 2, "lr": 0.1, "warmup": 0.0})
    unbroken, history = trained(fresh(), tmp_path / "unbroken", settings)
    save = loop.save_whole

    def save_then_die(content: Any, path: Path) -> None:
        save(content, path)
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(loop, "save_whole", save_then_die)
        trained(fresh(), tmp_path / "killed", settings)
    resumed, same_history = trained(fresh(), tmp_path / "killed", settings)
    assert_same(unbroken, resumed)
    assert history == same_history
    figures = [{name: value for name, value in row.items() if name.startswith("p_")} for row in history]
    assert all(len(row) == CLASS_COUNT for row in figures)
    assert any(max(row.values()) > 0 for row in figures[:-1]), "else this proves nothing"


@pytest.mark.parametrize(
    ("parts", "names"),
    [
        ({}, {"original"}),
        ({"data": "in9l"}, {"original", "in9l"}),
        ({"data": "mixed_rand", "balance": "groups"}, {"original", "mixed_rand"}),
        ({"mixer": {"kind": "cutmix", "alpha": 1.0}}, {"original"}),
        ({"background": {"by": "any_class", "p": 0.5}}, {"original", "fg_mask", "only_bg_t"}),
        ({"background": {"by": "batch", "p": 0.5}}, {"original", "fg_mask", "only_bg_t"}),
        ({"background": {"by": "blur", "p": 0.5}}, {"original", "fg_mask"}),
        ({"background": {"by": "blur", "p": "adaptive"}}, {"original", "fg_mask", "only_bg_t"}),
        ({"consistency": {"weight": 1.0, "gamma": 2.0}}, {"original", "fg_mask", "only_bg_t"}),
        ({"penalty": {"kind": "absolute", "weight": 1.0}}, {"original", "fg_mask"}),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else None,  # a set has no order
)
def test_the_sets_that_are_named_are_those_that_are_read(
    sets: Path, tmp_path: Path, parts: dict[str, Any], names: set[str]
) -> None:
    recipe = RecipeSettings(**({"start": "init", "data": "original"} | parts))
    assert set(sets_read(recipe)) == names
    if recipe.data == "in9l":
        return
    few = tmp_path / "sets"
    few.mkdir()
    for name in names:
        (few / name).symlink_to(sets / name)
    open_recipe(recipe, SETTINGS, Stored(few, tmp_path / "pixels", 1), seed=3)


def test_a_recipe_without_a_background_leaves_it(sets: Path, tmp_path: Path) -> None:
    assert type(opened(sets, tmp_path).treat) is Treatment


def test_settings_hold_every_choice() -> None:
    for by in ("any_class", "same_class", "other_class", PAIRS):
        assert BackgroundSettings(by=by, p={"dog": 1.0}, choices=2).choices == 2
    with pytest.raises(ValueError, match="choices goes with backgrounds of other photos, not with by: blur"):
        BackgroundSettings(by="blur", p=0.5, choices=2)
