"""params.yaml: every mistake at once, each with its path; a change reaches only what reads it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from bgdata.errors import InputError
from pipeline.params import PROFILES, read_params, resolve_settings

ROOT = Path(__file__).resolve().parent.parent.parent
Edit = Callable[[dict[str, Any]], None]


def edited(folder: Path, edit: Edit) -> Path:
    yaml = YAML(typ="safe", pure=True)
    params = yaml.load(ROOT / "params.yaml")
    edit(params)
    path = folder / "params.yaml"
    with path.open("w") as file:
        yaml.dump(params, file)
    return path


def resolved(folder: Path, edit: Edit = lambda _: None) -> dict[str, Any]:
    return resolve_settings(read_params(edited(folder, edit)))


def changed(folder: Path, edit: Edit) -> set[str]:
    before, after = resolved(folder), resolved(folder, edit)
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def test_every_mistake_is_named_at_once(tmp_path: Path) -> None:
    def edit(params: dict[str, Any]) -> None:
        params["train"]["p"] = 1.7
        params["train"]["momentun"] = params["train"].pop("momentum")
        params["mix"]["mixup"]["alpha"] = "0.4"
        params["train"]["lr"] = 0.2
        params["recipes"]["cutmix"]["data"] = "cutmx"
        params["profiles"]["demo"]["train"]["epochs"] = True
        params["profiles"]["imagenet"]["train"]["size"] = 2

    with pytest.raises(InputError) as caught:
        read_params(edited(tmp_path, edit))
    lines = [line.strip() for line in str(caught.value).splitlines()]
    expected = [
        "train.p: 1.7 is wrong: it should be less than or equal to 1",
        "train.momentum: missing",
        "train.momentun: unknown key (did you mean momentum?)",
        "mix.mixup.alpha: '0.4' is wrong: it should be a valid number",
        "profiles.demo.train.lr: also set as train.lr; keep one",
        "recipes.cutmix.data: 'cutmx' is wrong",
        "profiles.demo.train.epochs: True is wrong",
        "profiles.imagenet.train.size: 2 is wrong: it should be greater than or equal to 16",
    ]
    for sentence in expected:
        assert any(line.startswith(sentence) for line in lines), sentence


def test_a_profile_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="profile must be one of demo, imagenet"):
        read_params(edited(tmp_path, lambda params: params.update(profile="full")))


def test_broken_yaml_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("profile: [demo\nseed: 0")
    with pytest.raises(InputError, match="is not valid YAML"):
        read_params(path)


def test_numbers_are_read_as_dvc_writes_them(tmp_path: Path) -> None:
    """`dvc exp run -S train.jitter=1e-5` writes 1e-05, which YAML 1.1 takes for a string."""
    path = edited(tmp_path, lambda _: None)
    path.write_text(path.read_text().replace("jitter: 0.2", "jitter: 1e-05"))
    assert read_params(path).train.jitter == pytest.approx(1e-5)


@pytest.mark.parametrize("profile", PROFILES)
def test_both_profiles_are_valid(tmp_path: Path, profile: str) -> None:
    settings = resolved(tmp_path, lambda params: params.update(profile=profile))
    assert settings["fetch"]["source"] == {"demo": "synthetic", "imagenet": "imagenet"}[profile]
    if profile == "imagenet":
        assert settings["train-original"]["train"]["arch"] == "resnet50"


def test_p_reaches_the_dynamic_recipes_only(tmp_path: Path) -> None:
    assert changed(tmp_path, lambda params: params["train"].update(p=0.123)) == {"train-dynamic"}


def test_runtime_reaches_nothing_but_itself(tmp_path: Path) -> None:
    assert changed(tmp_path, lambda params: params["runtime"].update(device="cuda")) == {"runtime"}


def test_a_mixing_parameter_reaches_its_set_only(tmp_path: Path) -> None:
    assert changed(tmp_path, lambda params: params["mix"]["cutmix"].update(alpha=0.5)) == {"mix-cutmix"}


def test_a_new_recipe_adds_its_own_settings(tmp_path: Path) -> None:
    new = {"data": "only_fg", "background": "keep"}
    assert changed(tmp_path, lambda params: params["recipes"].update(only_fg=new)) == {"train-only_fg", "report"}
