"""Training takes its classes from the data: lists of 2 and of 12."""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bgdata.classes import ClassList, plain_class_list, read_class_list
from bgdata.errors import InputError
from bgdata.labels import IN9
from bgdata.shards import MANIFEST, ImageSet
from models.classifiers.checkpoints import load_classifier, save_classifier
from models.classifiers.classifier import build_classifier
from models.flow.swaps import open_swaps, sets_read
from models.training.chances import fixed_chance
from models.training.choices import pool_weights
from models.training.groups import GroupDRO
from models.training.recipes import open_recipe
from models.training.run import Stored
from models.training.settings import RecipeSettings, named_classes
from models.training.start import check_start
from pipeline import init, train
from tests.models.conftest import write_sets
from tests.models.test_training import SETTINGS

LISTS = {
    2: plain_class_list("two", ["land bird", "waterbird"]),
    12: plain_class_list("twelve", [f"kind {number}" for number in range(12)]),
}
NOBODY = argparse.Namespace()
DYNAMIC = argparse.Namespace(recipe="dynamic")


@pytest.fixture(scope="module", params=LISTS, ids=lambda count: f"{count} classes")
def data(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[ClassList, Path]:
    classes = LISTS[request.param]
    return classes, write_sets(tmp_path_factory.mktemp("sets"), classes)


def recipe_of(classes: ClassList) -> dict[str, Any]:
    """Pairs of classes, a probability for each, and GroupDRO."""
    first, *_, last = classes.names
    background = {"by": {first: {last: 1.0}, last: {first: 3.0, last: 1.0}}, "p": {first: 1.0, last: 0.5}}
    group_dro = {"step": 0.01}
    return {"start": "init", "data": "original", "background": background, "group_dro": group_dro, "balance": "groups"}


def write_project(project: Path, sets: Path, classes: ClassList | None) -> None:
    (project / "build/config").mkdir(parents=True)
    (project / "data").mkdir()
    (project / "data/in9").symlink_to(sets)
    listed = {} if classes is None else {"classes": classes.to_record()}
    settings = SETTINGS.model_dump() | {"epochs": 1}
    named = recipe_of(LISTS[2] if classes is None else classes) | {"name": "dynamic"}
    configs = {
        "init": {"arch": "resnet8", "size": 32, "weights": None, "seeds": [0]} | listed,
        "train-dynamic": {"recipe": named, "train": settings, "seeds": [0]},
        "runtime": {"device": "cpu", "workers": 1},
    }
    for name, config in configs.items():
        (project / f"build/config/{name}.json").write_text(json.dumps(config))


def test_one_epoch_from_init_to_a_checkpoint_with_its_list(
    data: tuple[ClassList, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classes, sets = data
    write_project(tmp_path, sets, classes)
    monkeypatch.chdir(tmp_path)
    init.main(NOBODY)
    train.main(DYNAMIC)
    for run in ("init", "dynamic"):
        classifier, record = load_classifier(Path("runs") / run / "model.pt")
        assert read_class_list(record["class_list"], where=run) == classes
        assert record["classes"] == len(classes)
        assert classifier(torch.rand(1, 3, 32, 32)).shape == (1, len(classes))
    provenance = json.loads(Path("runs/dynamic/provenance.json").read_text())
    assert read_class_list(provenance["class_list"], where="provenance") == classes


def test_a_start_of_another_list_is_a_sentence_that_names_both(
    data: tuple[ClassList, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classes, sets = data
    write_project(tmp_path, sets, None)
    monkeypatch.chdir(tmp_path)
    init.main(NOBODY)
    assert load_classifier(Path("runs/init/model.pt"))[1]["class_list"] == IN9.to_record(), "the default"
    message = rf"runs/init/model.pt has the classes in9 \(9 .*, but data/in9/.* has {classes.name} \({len(classes)} "
    with pytest.raises(InputError, match=message):
        train.main(DYNAMIC)


def test_sets_of_different_lists_are_not_trained_on_together(data: tuple[ClassList, Path], tmp_path: Path) -> None:
    classes, sets = data
    for name in ("original", "fg_mask", "only_bg_t"):
        shutil.copytree(sets / name, tmp_path / "sets" / name)
    path = tmp_path / "sets/only_bg_t" / MANIFEST
    turned = plain_class_list("turned", classes.names[::-1])
    path.write_text(json.dumps(json.loads(path.read_text()) | {"classes": turned.to_record()}))
    recipe = RecipeSettings(**recipe_of(classes))
    with pytest.raises(InputError, match=rf"has the classes {classes.name} .*, but .*only_bg_t has turned"):
        open_recipe(recipe, SETTINGS, Stored(tmp_path / "sets", tmp_path / "pixels", 1), seed=3)
    how = {"split": "val", "size": 16, "most": None, "folder": None, "workers": 1}
    with pytest.raises(InputError, match=rf"has the classes {classes.name} .*, but .*only_bg_t has turned"):
        open_swaps({name: ImageSet(tmp_path / "sets" / name) for name in sets_read("t")}, **how)
    assert open_swaps({name: ImageSet(sets / name) for name in sets_read("t")}, **how).classes == classes


def test_parts_are_as_wide_as_the_list(data: tuple[ClassList, Path], tmp_path: Path) -> None:
    classes, sets = data
    count = len(classes)
    stored = Stored(sets, tmp_path, 1)
    recipe = open_recipe(RecipeSettings(**recipe_of(classes)), SETTINGS, stored, seed=3)
    base = recipe.objective.base
    assert isinstance(base, GroupDRO)
    assert len(base.shares) == count * (count + 1)
    assert recipe.data.targets.sum(0).tolist() == [4] * count
    assert recipe.treat.chance.by_class.tolist() == [1.0, *[0.0] * (count - 2), 0.5]
    adaptive = RecipeSettings(start="init", data="original", background={"by": "any_class", "p": "adaptive"})
    figures = open_recipe(adaptive, SETTINGS, stored, seed=3).treat.figures()
    assert list(figures) == [f"p_{folder}" for folder in classes.folders]


@pytest.mark.parametrize("classes", [*LISTS.values(), IN9], ids=lambda classes: classes.name)
def test_weights_of_pools_follow_the_list(classes: ClassList) -> None:
    count, last = len(classes), classes.names[-1]
    counts = np.arange(1, count + 1)
    for by in ("same_class", "other_class"):
        own = pool_weights(by, counts, classes=classes)[:, :-1].diagonal()
        assert ((own > 0) == (by == "same_class")).all()
    weights = pool_weights({last: {classes.names[0]: 2.0}}, counts, classes=classes)
    assert (weights[-1] == [2.0, *[0.0] * count]).all()
    assert (weights[:-1] == [*[0.0] * count, 1.0]).all()


@pytest.mark.parametrize("classes", [LISTS[2], IN9], ids=lambda classes: classes.name)
def test_an_unknown_class_is_a_sentence_that_names_the_known(classes: ClassList) -> None:
    known = ", ".join(classes.names)
    first = classes.names[0]
    with pytest.raises(InputError, match=f"background.p names the class 'cow', and {classes.name} has {known}"):
        fixed_chance({first: 0.5, "cow": 0.5}, classes=classes)
    counts = np.ones(len(classes), np.int64)
    for by, setting in (({"cow": {first: 1.0}}, "background.by"), ({first: {"cow": 1.0}}, f"background.by.{first}")):
        with pytest.raises(InputError, match=f"{setting} names the class 'cow', and .* has {known}: correct it"):
            pool_weights(by, counts, classes=classes)


def test_the_classes_that_a_recipe_names() -> None:
    plain = {"start": "init", "data": "original"}
    assert named_classes(RecipeSettings(**plain)) == []
    assert named_classes(RecipeSettings(**plain, background={"by": "any_class", "p": 0.5})) == []
    background = {"by": {"b": {"a": 1.0, "b": 1.0}, "c": {"d": 1.0}}, "p": {"e": 0.5, "a": 1.0}}
    assert named_classes(RecipeSettings(**plain, background=background)) == ["b", "c", "a", "d", "e"]
    with pytest.raises(ValueError, match="at least 1 character"):
        RecipeSettings(**plain, background={"by": "any_class", "p": {"": 0.5}})


def test_a_head_of_other_classes_is_not_started_from(tmp_path: Path) -> None:
    path, record = tmp_path / "model.pt", {"recipe": {"name": "plain"}, "seed": 0}
    own, other = plain_class_list("own", ["a", "b"]), plain_class_list("other", ["b", "a"])
    classifier = build_classifier("resnet8", input_size=32, classes=2)
    save_classifier(path, classifier, record | {"class_list": own.to_record()})
    check_start(path, own)
    check_start(path, LISTS[12])  # its head is drawn anew
    with pytest.raises(InputError, match=r"model.pt has the classes own \(2 .*, but params.yaml has other \(2 "):
        check_start(path, other)
    torch.save(classifier.network.state_dict(), path)
    check_start(path, other)  # foreign: it knows no list
