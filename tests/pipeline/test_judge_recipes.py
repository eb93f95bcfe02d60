"""All recipes in one start: what is judged again, what stays, and what a kill leaves."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bgdata.errors import InputError
from bgdata.parallel import run_tasks
from pipeline._recipes import judge_recipes

OUT = Path("scores/saliency")
pytestmark = pytest.mark.usefixtures("project")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three recipes with a checkpoint each, and a set; the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WORK_DIR", raising=False)
    write_recipes("first", "second", "third")
    write("data/in9/original/manifest.json", "{}")
    write("build/config/runtime.json", json.dumps({"device": "cpu", "workers": 1}))
    return tmp_path


def write(path: str, text: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)


def write_recipes(*recipes: str, **settings: Any) -> None:
    write("build/config/saliency.json", json.dumps({"recipes": recipes, "seed": 0} | settings))
    for recipe in recipes:
        if not Path(f"runs/{recipe}/model.pt").exists():
            write(f"runs/{recipe}/model.pt", recipe)


def judged(only: str | None = None, fail_at: str | None = None) -> list[str]:
    """The recipes that a run judges."""
    done: list[str] = []

    def judge(recipe: str, scores: Path, scratch: Path) -> dict[str, Any]:
        if recipe == fail_at:
            raise KeyboardInterrupt
        scratch.mkdir(exist_ok=True)
        (scores / f"{recipe}.jpg").write_text(f"picture of {recipe}")
        done.append(recipe)
        return {"recipe": recipe, "weights": Path(f"runs/{recipe}/model.pt").read_text()}

    run: Callable[..., None] = judge_recipes
    try:
        run("saliency", lambda: judge, only=only, out=OUT, sets=("original",), endings=("json", "jpg"))
    except KeyboardInterrupt:
        assert fail_at is not None
    return done


def test_all_are_judged_once() -> None:
    assert judged() == ["first", "second", "third"]
    assert judged() == []
    assert {path.name for path in OUT.iterdir()} == {
        f"{r}.{e}" for r in ("first", "second", "third") for e in ("json", "jpg")
    }


def test_an_engine_is_told_of_all_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Ray cluster of this machine's own lends as many cores."""
    write("build/config/runtime.json", json.dumps({"device": "cpu", "workers": 3}))
    told: list[Any] = []

    def noting(*work: Any, **how: Any) -> None:
        told.append(how["workers"])
        run_tasks(*work, **how)

    monkeypatch.setattr("pipeline._recipes.run_tasks", noting)
    judged()
    assert told == [3]


def test_a_trained_recipe_and_a_new_one_are_judged_and_the_others_stay() -> None:
    judged()
    before = (OUT / "first.json").read_bytes()
    write("runs/second/model.pt", "trained again")
    write_recipes("first", "second", "third", "fourth")
    assert judged() == ["second", "fourth"]
    assert (OUT / "first.json").read_bytes() == before
    assert json.loads((OUT / "second.json").read_text())["weights"] == "trained again"
    assert (OUT / "third.jpg").read_text() == "picture of third"


@pytest.mark.parametrize("change", ["settings", "set"])
def test_other_settings_or_another_set_judge_all_again(change: str) -> None:
    judged()
    if change == "settings":
        write_recipes("first", "second", "third", seed=1)
    else:
        write("data/in9/original/manifest.json", "{ }")
    assert judged() == ["first", "second", "third"]


def test_a_recipe_that_is_gone_leaves_no_result() -> None:
    judged()
    write_recipes("first", "third")
    assert judged() == []
    assert not list(OUT.glob("second.*"))


def test_one_alone_leaves_the_others_as_they_are() -> None:
    judged()
    write("runs/first/model.pt", "trained again")
    write("runs/second/model.pt", "trained again")
    assert judged("second") == ["second"]
    assert json.loads((OUT / "first.json").read_text())["weights"] == "first"
    with pytest.raises(InputError, match=r"fifth is none of params.yaml's recipes first, second, third: name one"):
        judged("fifth")


def test_a_killed_run_goes_on_after_the_recipe_that_was_finished() -> None:
    assert judged(fail_at="second") == ["first"]
    assert not OUT.exists()
    assert judged() == ["second", "third"]
    assert len(list(OUT.iterdir())) == 6


def test_a_broken_result_is_judged_again() -> None:
    judged()
    shutil.rmtree(".work")  # as once DVC has recorded the results
    (OUT / "third.json").write_text("{")
    assert judged() == ["third"]
