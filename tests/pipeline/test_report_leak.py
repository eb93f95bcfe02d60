"""What backgrounds give away, in the report: the judge's numbers, shown once and rightly."""

import json
from pathlib import Path

import pytest

from bgdata.errors import InputError
from pipeline.report.table import percent
from tests.pipeline.test_report import HITS, RECIPES, run, section, write_inputs


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with all that the report reads, which is the working directory."""
    write_inputs(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("project")
def test_the_section_has_each_source_and_recipe() -> None:
    words = section(run(), "leak")
    assert "only_bg_t" in words
    assert "only_bg_f (telea)" in words
    for recipe in RECIPES:
        for correct in (HITS[recipe][2], HITS[recipe][2] - 2):
            assert percent(correct / 18) in words
    assert "+12.5" in words
    assert "unet finds 75.0 % of them" in words
    assert "only_bg_places has no numbers: photos without objects." in words


def test_metrics_end_with_it(project: Path) -> None:
    run()
    numbers = json.loads((project / "report/metrics.json").read_text())
    assert list(numbers)[-1] == "leak"
    assert list(numbers["leak"]) == ["t", "f"]
    filled = numbers["leak"]["f"]
    assert filled["accuracy"] == {recipe: (HITS[recipe][2] - 2) / 18 for recipe in RECIPES}
    assert filled["mean_hole_leak"] == 0.125
    assert filled["found_share"] == 0.5


def test_without_a_segmenter_it_says_so(project: Path) -> None:
    path = project / "scores/leak.json"
    score = json.loads(path.read_text())
    score |= {"segmenter": None, "originals": None}
    for source in score["sources"].values():
        source["found"] = None
    path.write_text(json.dumps(score))
    assert "masks that came with the data are no segmenter" in section(run(), "leak")
    assert "found_share" not in json.loads((project / "report/metrics.json").read_text())["leak"]["t"]


def test_photos_without_objects_have_an_accuracy_alone(project: Path) -> None:
    path = project / "scores/leak.json"
    score = json.loads(path.read_text())
    score["sources"]["places"] |= {"images": 12, "why": None}
    accuracy = {"accuracy": 0.75, "correct": 9, "count": 12, "interval": [0.47, 0.91]}
    for judged in score["recipes"].values():
        judged["sources"]["places"] = {"accuracy": accuracy, "against": None, "holes": None}
        judged["seeds"][0]["sources"]["places"] = {"accuracy": 0.75, "hole_leak": None}
    path.write_text(json.dumps(score))
    assert "75.0 [47.0, 91.0] \N{EN DASH}" in section(run(), "leak")
    numbers = json.loads((project / "report/metrics.json").read_text())["leak"]["places"]
    assert numbers == {"accuracy": dict.fromkeys(RECIPES, 0.75), "hole_leak": {}, "mean_accuracy": 0.75}


def test_files_that_do_not_fit_are_sentences(project: Path) -> None:
    path = project / "scores/leak.json"
    whole = path.read_text()
    for text, said in (
        ("{", r"leak.json cannot be read .*: run `dvc repro --force leak`"),
        (json.dumps(json.loads(whole) | {"chance": 3}), r"leak.json cannot be read \(chance: .*"),
        (json.dumps(json.loads(whole) | {"recipes": {}}), r"leak.json lacks the recipes original, mixed_rand, dynamic"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=said):
            run()
    path.write_text(whole.replace('"checkpoint_sha256": "', '"checkpoint_sha256": "0'))
    with pytest.raises(InputError, match=r"different checkpoints \(runs \w+, leak 0\w+\): run `dvc repro leak`"):
        run()
    (project / "scores/leak.jpg").unlink()
    with pytest.raises(InputError, match=r"leak.jpg is missing: run `dvc repro leak`"):
        run()
