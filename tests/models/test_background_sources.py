"""Backgrounds of further sources in training and in the challenge: what is known of their classes, and what is not."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bgdata.classes import plain_class_list
from bgdata.compose.background_classes import NOTE, UNKNOWN
from bgdata.errors import InputError
from bgdata.io import encode_png
from bgdata.labels import IN9
from bgdata.shards import Row, finish_set, shard_name, write_shard
from bgdata.sources import open_sources
from models.classifiers.classifier import build_classifier
from models.classifiers.judged import judged_classifier
from models.evaluation.adversarial import choose_rated, gallery_score
from models.evaluation.challenge import challenge_score, judge_foregrounds, open_challenge, sets_read
from models.training.chances import AdaptiveChance
from models.training.choices import BatchMates, OtherPhotos
from models.training.data import Backgrounds, background_labels
from models.training.recipes import open_recipe
from models.training.recipes import sets_read as sets_of_recipe
from models.training.run import Stored
from models.training.settings import RecipeSettings
from tests.models.test_training import SETTINGS, generator

CPU = torch.device("cpu")
OWN_LIST = plain_class_list("backgrounds", ["background"])
SIDE = 48


def write_places(folder: Path, labels: list[int | None], *, classes: Any = IN9) -> None:
    """A set of plain photos without objects, the i-th all 10 + i, in both splits."""
    for split in ("train", "val"):
        members = []
        for number, label in enumerate(labels):
            image_id = f"{split}-{number}"
            extra = {"background_label": "" if label is None else str(label), "source": image_id}
            row = Row(image_id, split, 0, "", OWN_LIST.member_name(0, image_id), extra=extra)
            members.append((row, encode_png(np.full((SIDE, SIDE, 3), 10 + number, np.uint8))))
        write_shard(folder, shard_name(split, 0), members)
    notes = {NOTE: classes.to_record()}
    finish_set(folder, classes=OWN_LIST, columns=("background_label", "source"), notes=notes)


@pytest.fixture
def places(sets: Path, tmp_path: Path) -> Path:
    """The sets of the fixture, and beside them six backgrounds of unknown class."""
    folder = tmp_path / "with_places"
    folder.mkdir()
    for name in ("original", "fg_mask", "only_bg_t"):
        (folder / name).symlink_to(sets / name)
    write_places(folder / "only_bg_p", [None] * 6)
    return folder


def recipe(**parts: Any) -> RecipeSettings:
    return RecipeSettings(**({"start": "init", "data": "original", "background_from": "p"} | parts))


def unknown(labels: list[int]) -> Backgrounds:
    count = len(labels)
    pixels = np.zeros((count, 2, 2, 3), np.uint8)
    ids = [f"p{number}" for number in range(count)]
    return Backgrounds(pixels, np.array(labels), ids, np.full(9, -1), IN9, "only_bg_p")


def test_a_recipe_reads_the_backgrounds_of_its_source_alone(places: Path, tmp_path: Path) -> None:
    made = recipe(background={"by": "any_class", "p": 1.0})
    assert sets_of_recipe(made) == ["fg_mask", "only_bg_p", "original"]
    opened = open_recipe(made, SETTINGS, Stored(places, tmp_path / "pixels", 1), seed=3)
    indices = np.arange(9)
    before, after = opened.data.draw(indices), opened.treat(opened.data.draw(indices), generator())
    behind = ~before.masks.expand_as(before.images)
    assert set(after.images[behind].unique().tolist()) <= set(range(10, 16))
    assert (after.images[~behind] == before.images[~behind]).all()
    assert after.background_labels.tolist() == [UNKNOWN] * 9


def test_other_lists_of_classes_do_not_mix(places: Path, tmp_path: Path) -> None:
    write_places(places / "only_bg_q", [0, 1], classes=plain_class_list("two", ["cat", "dog"]))
    made = recipe(background={"by": "any_class", "p": 1.0}, background_from="q")
    with pytest.raises(InputError, match=r"has the classes two .*, but .* has in9|has the classes in9 .*, but .*two"):
        open_recipe(made, SETTINGS, Stored(places, tmp_path / "pixels", 1), seed=3)
    with pytest.raises(InputError, match=r"has the classes in9 .*only_bg_q has two"):
        open_challenge(open_sources(places, sets_read("q")), split="val", workers=1, background_from="q")


def test_unknown_classes_are_drawn_by_any_class_alone() -> None:
    """Of seven backgrounds two are of a known class: any_class draws all, by class these."""
    backgrounds = unknown([UNKNOWN, 0, UNKNOWN, UNKNOWN, 0, UNKNOWN, UNKNOWN])
    indices, labels = np.zeros(700, np.int64), np.zeros(700, np.int64)
    draws = (np.arange(700) + 0.5) / 700
    choose = OtherPhotos(backgrounds, "any_class", image_labels=labels)
    assert np.bincount(choose(indices, labels, draws)).tolist() == [100] * 7
    choose = OtherPhotos(backgrounds, "same_class", image_labels=labels)
    assert np.bincount(choose(indices, labels, draws), minlength=7).tolist() == [0, 350, 0, 0, 350, 0, 0]
    choose = OtherPhotos(backgrounds, "other_class", image_labels=np.ones(1, np.int64))
    assert set(choose(indices, labels + 1, draws)) == {1, 4}


@pytest.mark.parametrize("by", ["same_class", "other_class"])
def test_what_asks_for_a_class_needs_one(by: Any) -> None:
    with pytest.raises(InputError, match=r"there is none: .* change background.by or background_from"):
        OtherPhotos(unknown([UNKNOWN] * 3), by, image_labels=np.zeros(1, np.int64))


def test_parts_that_need_what_a_source_lacks_name_it() -> None:
    with pytest.raises(InputError, match=r"only_bg_p lacks 9 of 9: render the sets again, or take another backgr"):
        BatchMates(unknown([UNKNOWN] * 3))
    with pytest.raises(InputError, match=r"background.p: adaptive .* only_bg_p knows no classes: set a number, or"):
        AdaptiveChance(unknown([UNKNOWN] * 3), seed=0)


def test_adaptive_measures_the_classes_that_are_known() -> None:
    chance = AdaptiveChance(unknown([UNKNOWN, 4, 4]), seed=0)
    chance.after_epoch(lambda pixels: np.full(len(pixels), 4))
    assert chance.by_class.tolist() == [0.0] * 4 + [1.0] + [0.0] * 4


def test_an_image_on_an_unknown_background_is_not_on_its_own() -> None:
    extras = [{}, {"background": "", "background_label": ""}, {"background": "x", "background_label": ""}]
    extras += [{"background": "x", "background_label": "3"}, {"partner_label": "1", "lam": "0.5"}]
    rows = [Row("id", "train", 7, "", "07_x/id.JPEG", extra=extra) for extra in extras]
    assert background_labels(rows).tolist() == [7, 7, UNKNOWN, 3, UNKNOWN]


def test_the_challenge_runs_on_the_backgrounds_of_a_source(places: Path, tmp_path: Path) -> None:
    model = judged_classifier(build_classifier("resnet10", input_size=32, classes=9), IN9).eval()
    sources = open_sources(places, sets_read("p"))
    data, _ = open_challenge(sources, split="val", workers=1, background_from="p")
    assert len(data.backgrounds) == 6
    assert sorted(np.unique(data.backgrounds).tolist()) == list(range(10, 16))
    verdicts = judge_foregrounds(model, data, device=CPU, eval_batch=64, full=True)
    score = challenge_score(verdicts, data, full=True)
    assert {row["label"] for row in score["background_rates"]} == {None}
    assert all(row["fooling_rate"] == row["fooling_rate_other_classes"] for row in score["background_rates"])
    renamed = dataclasses.replace(data, background_labels=np.arange(6))
    again = judge_foregrounds(model, renamed, device=CPU, eval_batch=64, full=True)
    assert (again.vulnerable == verdicts.vulnerable).all()
    rated = choose_rated(data, 1, seed=0)
    gallery = gallery_score(model, data, rated=rated, device=CPU, eval_batch=64, folder=tmp_path / "pairs", seed=0)[
        "gallery"
    ]
    assert {row["label"] for row in gallery["backgrounds"]} == {None}
    assert {row["as_own_class"] for row in gallery["backgrounds"]} == {0}
