"""Every recipe of docs/recipes.md, by DVC's own reading of `-S`, the config stage and one epoch of training."""

import argparse
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides
from ruamel.yaml import YAML

from models.classifiers.checkpoints import load_classifier
from pipeline import config, fetch, in9l, ingest, init, render, segment, train
from tests.conftest import ROOT
from tests.pipeline.test_all_stages import write_params

pytestmark = pytest.mark.slow
BLOCK = re.search(r"<!-- recipes -->\n```console\n(.*?)```", (ROOT / "docs/recipes.md").read_text(), re.DOTALL)
OVERRIDES = re.findall(r"^-S '(.*)'$", BLOCK[1], re.MULTILINE) if BLOCK else []
NAMES = [re.match(r"\+recipes\.(\w+)=", override)[1] for override in OVERRIDES]


def one_epoch(path: Path) -> None:
    """All recipes of a params.yaml train for one epoch."""
    yaml = YAML()
    params = yaml.load(path)
    for recipe in params["recipes"].values():
        recipe.setdefault("train", {})["epochs"] = 1
    yaml.dump(params, path)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A tiny project with its sets rendered and the recipe that others start from trained."""
    folder = tmp_path_factory.mktemp("recipes")
    write_params(folder)
    apply_overrides(folder / "params.yaml", OVERRIDES)
    one_epoch(folder / "params.yaml")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("WORK_DIR", raising=False)
        config.main(argparse.Namespace(changed=False))
        for stage in (fetch, ingest, segment, render, in9l, init):
            stage.main(argparse.Namespace())
        train.main(argparse.Namespace(recipe="original"))
        yield folder


def test_the_page_offers_recipes() -> None:
    assert len(OVERRIDES) > 20
    assert len(set(NAMES)) == len(OVERRIDES)


@pytest.mark.parametrize("name", NAMES)
def test_it_trains(project: Path, name: str) -> None:
    train.main(argparse.Namespace(recipe=name))
    _, record = load_classifier(project / "runs" / name / "model.pt")
    assert record["recipe"]["name"] == name
    assert json.loads((project / "runs" / name / "provenance.json").read_text())["seed"] == 0
