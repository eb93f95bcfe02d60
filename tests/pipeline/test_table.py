"""The table of recipes and the sweep of p: from score files to the report, the pages and `dvc`."""

import argparse
import csv
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from bgdata.compose.names import VARIANTS
from bgdata.errors import InputError
from pipeline import sweep, table
from pipeline.report.numbers import metrics
from pipeline.report.reading import read_results
from pipeline.report.sweep import (
    accuracy_by_p,
    draw_sweep,
    read_sweep,
    render_sweep,
    replacement_probabilities,
    sweep_chart,
)
from pipeline.report.table import COLUMNS, put_between_marks, render_markdown, results_table
from tests.conftest import ROOT
from tests.pipeline.test_report import COUNT, HITS, add_seeds, edit_json, recipe_settings, run, write_inputs

RECIPES = ("original", "dynamic")
MORE_HITS = ((16, 5, 7, 9, 12, 13, 9, 8), (15, 6, 6, 8, 10, 14, 12, 9))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two recipes of three seeds."""
    write_inputs(tmp_path, RECIPES)
    for recipe in RECIPES:
        for hits, challenge in zip(MORE_HITS, (0.125, 0.5), strict=True):
            add_seeds(tmp_path, recipe, dict(zip(VARIANTS, hits, strict=True)), challenge)
    edit_json(tmp_path / "build/config/report.json", seeds=[0, 1, 2])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read_numbers() -> dict[str, Any]:
    return metrics(read_results(Path("scores"), Path("runs"), recipes=RECIPES, seeds=(0, 1, 2)))


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("recipe", RECIPES)
def test_metrics_are_mean_and_sample_deviation_over_the_seeds(recipe: str) -> None:
    numbers = read_numbers()
    assert numbers["seeds"] == 3
    seeds = np.array([HITS[recipe], *MORE_HITS]) / COUNT
    same, rand = (seeds[:, VARIANTS.index(name)] for name in ("mixed_same", "mixed_rand"))
    columns = np.column_stack([seeds, same - rand, [4 / 18, 0.125, 0.5], [0.25, 0.375, 0.5]])
    for which, expected in (("in9", columns.mean(0)), ("in9_std", columns.std(0, ddof=1))):
        assert list(numbers[which][recipe]) == list(COLUMNS)
        assert np.allclose(list(numbers[which][recipe].values()), expected, atol=1e-12)


@pytest.mark.usefixtures("project")
def test_page_and_markdown_show_the_same_means_and_spreads() -> None:
    page, markdown = run(), render_markdown(read_numbers())
    assert markdown.startswith("Percent, mean ± standard deviation of 3 seeds:")
    cells = results_table(read_numbers())["original"]
    assert cells["mixed_rand"].text == "55.6 ± 9.6"
    row = next(line for line in markdown.splitlines() if line.startswith("| original "))
    assert row == f"| original | {' | '.join(cell.text for cell in cells.values())} |"
    inside = page.split('<section id="accuracy">')[1].split("</section>")[0]
    row = next(row for row in inside.split("<tr") if "</i>original</th>" in row)
    shown = [re.sub("<.*?>", "", cell) for cell in re.findall(r"<td.*?>(.*?)</td>", row)]
    assert shown == [cell.text for cell in cells.values()]
    assert "Each recipe was trained with 3 seeds (0, 1, 2)" in page


@pytest.mark.usefixtures("project")
def test_in9_csv_has_a_row_for_each_seed() -> None:
    run()
    with Path("report/in9.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(RECIPES) * 3 * len(VARIANTS)
    assert {row["seed"] for row in rows} == {"0", "1", "2"}


@pytest.mark.parametrize(("kind", "stage"), [("in9", "evaluate"), ("challenge", "challenge")])
def test_a_missing_seed_is_a_sentence(project: Path, kind: str, stage: str) -> None:
    path = project / f"scores/{kind}/dynamic.json"
    edit_json(path, seeds=json.loads(path.read_text())["seeds"][:2])
    sentence = f"scores/{kind}/dynamic.json has scores of seeds 0, 1, expected 0, 1, 2 (params.yaml): run `dvc repro"
    with pytest.raises(InputError, match=re.escape(f"{sentence} {stage}`")):
        run()
    scores = json.loads(path.read_text())
    del scores["seeds"]
    path.write_text(json.dumps(scores))
    with pytest.raises(InputError, match="has scores of seeds none, expected 0, 1, 2"):
        run()


def test_a_further_seed_of_another_checkpoint_is_refused(project: Path) -> None:
    edit_json(project / "runs/dynamic/seed-2/provenance.json", checkpoint_sha256="f" * 64)
    with pytest.raises(InputError, match="dynamic was trained and judged with different checkpoints"):
        run()


def test_a_page_is_written_once_for_all(project: Path) -> None:
    run()
    page = project / "page.md"
    page.write_text("before\n<!-- results -->\nold\n<!-- /results -->\nafter\n")
    arguments = argparse.Namespace(metrics=Path("report/metrics.json"), into=None)
    table.main(arguments)
    assert "old" in page.read_text()
    arguments.into = page
    table.main(arguments)
    once = page.read_text()
    assert once.startswith("before\n<!-- results -->\nPercent, mean")
    assert once.endswith("|\n<!-- /results -->\nafter\n")
    assert "old" not in once
    table.main(arguments)
    assert page.read_text() == once
    arguments.into = project / "none.md"
    with pytest.raises(InputError, match=r"none\.md is missing: name a Markdown file with the lines <!-- results -->"):
        table.main(arguments)


def test_the_readme_shows_what_the_demo_gave() -> None:
    shown = render_markdown(json.loads((ROOT / "report/metrics.json").read_text()))
    assert f"<!-- results -->\n{shown}\n<!-- /results -->" in (ROOT / "README.md").read_text(), (
        "run `python -m pipeline.table --into README.md`"
    )


def test_marks_that_are_missing_or_doubled_are_a_sentence() -> None:
    marks = "<!-- seeds -->\n<!-- /seeds -->\n"
    for text, found in (("", 0), (marks * 2, 2), ("<!-- seeds -->", 0)):
        with pytest.raises(InputError, match=f"expected one block of lines .* found {found}"):
            put_between_marks(text, "seeds", "table")


def test_the_sweep_takes_recipes_that_are_equal_but_for_p() -> None:
    recipes = {
        "original": recipe_settings("original"),
        "dynamic": recipe_settings("dynamic"),
        "often": recipe_settings("often", 1.0),
        "adaptive": recipe_settings("adaptive", "adaptive"),
        "averaged": recipe_settings("averaged", 0.5, averaging={"kind": "ema"}),
        "longer": recipe_settings("longer", 0.25) | {"train": {"epochs": 3}},
        "mixed_rand": recipe_settings("mixed_rand"),
    }
    assert replacement_probabilities(recipes) == {"original": 0.0, "dynamic": 0.75, "often": 1.0}
    assert replacement_probabilities({"original": recipes["original"], "mixed_rand": recipes["mixed_rand"]}) == {}


@pytest.mark.usefixtures("project")
def test_the_sweep_is_a_file_for_dvc_and_a_chart() -> None:
    page = run()
    rows = read_sweep(Path("report/p_sweep.csv").read_text(), "p_sweep.csv")
    assert [(row["recipe"], row["p"]) for row in rows[::3]] == [("original", 0.0), ("dynamic", 0.75)]
    numbers = read_numbers()["in9"]
    assert all(row["accuracy"] == numbers[row["recipe"]][row["variant"]] for row in rows)
    assert '<section id="sweep">' in page
    chart = sweep_chart(rows)
    assert chart is not None
    assert chart.values == [(0.0, 0.0), (75.0, 0.75)]
    assert chart.lines["original"][0] == (0.0, round(100 - 100 * numbers["original"]["original"], 2))
    edit_json(Path("build/config/report.json"), recipes={"dynamic": recipe_settings("dynamic")})
    assert '<section id="sweep">' not in run()
    with pytest.raises(InputError, match="less than two values of p to draw"):
        draw_sweep(rows[:3])


def test_experiments_are_put_together(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run()
    capsys.readouterr()
    page = project / "page.md"
    page.write_text("<!-- p-sweep -->\n<!-- /p-sweep -->\n")
    arguments = argparse.Namespace(experiments=["workspace", "workspace"], into=page)
    sweep.main(arguments)
    first = page.read_text(), (project / "docs/p_sweep.csv").read_bytes(), (project / "docs/p_sweep.svg").read_bytes()
    printed = capsys.readouterr().out
    assert printed in first[0]
    assert [line.split(" |")[0] for line in printed.splitlines()] == ["| p", "| ---", "| 0", "| 0.75"]
    assert "±" not in printed
    assert first[1].count(b",original,0.0,original,") == 1  # a run that both experiments share
    assert len(ET.fromstring(first[2]).findall(".//{*}polyline")) == 3
    sweep.main(arguments)
    assert (page.read_text(), *((project / f"docs/p_sweep.{end}").read_bytes() for end in ("csv", "svg"))) == first
    with pytest.raises(InputError, match=r"nowhere has no report/p_sweep.csv .*`dvc exp show` lists the experiments"):
        sweep.main(argparse.Namespace(experiments=["nowhere"], into=None))


def test_rows_of_one_p_are_averaged() -> None:
    rows = [{"p": 0.5, "variant": "original", "accuracy": value} for value in (0.5, 0.75, 1.0)]
    rows.append({"p": 0.25, "variant": "only_fg", "accuracy": 0.125})
    cells = accuracy_by_p(rows)
    assert list(cells) == [0.25, 0.5]
    assert (cells[0.5]["original"].value, cells[0.5]["original"].std) == (0.75, 0.25)
    assert render_sweep(rows).splitlines()[2:] == ["| 0.25 | – | – | 12.5 |", "| 0.5 | 75.0 ± 25.0 | – | – |"]  # noqa: RUF001
    with pytest.raises(InputError, match=r"x.csv is no p_sweep.csv: expected columns recipe, p, variant, accuracy"):
        read_sweep("recipe,p\na,b\n", "x.csv")
