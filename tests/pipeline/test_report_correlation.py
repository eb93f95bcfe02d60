"""Recipes trained on correlated sets in the report: by correlation, a chart a family."""

import csv
from pathlib import Path
from typing import Any

import pytest

from pipeline.report.correlation import CORRELATION_COLUMNS
from pipeline.report.table import percent
from tests.conftest import ROOT
from tests.pipeline.test_report import HITS, WORST_GROUP, edit_json, recipe_settings, run, section, write_inputs

MADE = {"partners": None, "background_from": "t"}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with all that the report reads, which is the working directory."""
    write_inputs(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def trained_on(project: Path, **correlations: float) -> None:
    """Recipes that were trained on correlated sets: by name, the correlation."""
    recipes: dict[str, Any] = {name: recipe_settings(name) for name in HITS}
    recipes |= {name: recipe_settings(name, data=f"mixed_correlated_{name}", background=None) for name in correlations}
    made = {name: MADE | {"correlation": correlation} for name, correlation in correlations.items()}
    edit_json(project / "build/config/report.json", recipes=recipes, correlated=made)


def test_without_such_recipes_there_is_a_table_without_rows_and_no_section(project: Path) -> None:
    assert 'id="correlation"' not in run()
    assert (project / "report/correlation.csv").read_text().splitlines() == [",".join(CORRELATION_COLUMNS)]


def test_each_stands_at_its_correlation(project: Path) -> None:
    trained_on(project, dynamic=0.95, mixed_rand=0.0)
    words = section(run(), "correlation")
    assert words.index("mixed_") < words.index("dynamic")  # by correlation, not by name
    rows = list(csv.DictReader((project / "report/correlation.csv").read_text().splitlines()))
    found = {(row["recipe"], row["correlation"], row["measure"]): float(row["accuracy"]) for row in rows}
    for recipe, correlation in (("dynamic", "0.95"), ("mixed_rand", "0.0")):
        assert found[recipe, correlation, "original"] == pytest.approx(HITS[recipe][0] / 18)
        assert found[recipe, correlation, "mixed_rand"] == pytest.approx(HITS[recipe][6] / 18)
        assert found[recipe, correlation, "worst group"] == WORST_GROUP["accuracy"]
        assert percent(HITS[recipe][6] / 18) in words
    assert len(rows) == 6


def test_a_family_is_drawn_where_it_has_two_correlations(project: Path) -> None:
    trained_on(project, dynamic=0.95, mixed_rand=0.5)
    page = run()
    assert "correlation" in section(page, "correlation")
    assert 'aria-label="Accuracy by correlation' in page
    trained_on(project, dynamic=0.95, mixed_rand=0.95)
    assert 'aria-label="Accuracy by correlation' not in run()


def test_dvc_plots_it() -> None:
    text = (ROOT / "dvc.yaml").read_text()
    assert "report/correlation.csv: accuracy" in text
    assert "      - report/correlation.csv:\n" in text
