"""Accuracy by place and size in the report: the judge's numbers, shown once and rightly, where there are some."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bgdata.compose.place import CELLS
from models.evaluation.places import SIZES, brief_places, places_score
from pipeline.report.table import percent
from tests.pipeline.test_report import RECIPES, run, section, write_inputs

NAMES = [name for names in CELLS for name in names]
# Hits of 20 photos by cell, as they stand in the frame, and by size: of `original`; the others miss one more each.
CELL_HITS = (6, 8, 7, 9, 16, 10, 5, 11, 4)
SIZE_HITS = (3, 9, 12, 14, 15, 13, 2)


def score(fewer: int) -> dict[str, Any]:
    def hits(number: int) -> np.ndarray:
        return np.arange(20) < number - fewer

    cells = {name: hits(number) for name, number in zip(NAMES, CELL_HITS, strict=True)}
    sizes = {f"{factor:g}": hits(number) for factor, number in zip(SIZES, SIZE_HITS, strict=True)}
    return {"places": places_score(cells, sizes)}


def add_places(project: Path, recipe: str, found: dict[str, Any]) -> None:
    path = project / f"scores/in9/{recipe}.json"
    whole = json.loads(path.read_text())
    whole["seeds"][0] |= brief_places(found)
    path.write_text(json.dumps(whole | found))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with all that the report reads, which is the working directory; no recipe was judged by place."""
    write_inputs(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_section_has_each_number(project: Path) -> None:
    for fewer, recipe in enumerate(RECIPES):
        add_places(project, recipe, score(fewer))
    page = run()
    words = section(page, "places")
    assert "20 photos at each place" in words
    for fewer, recipe in enumerate(RECIPES):
        cells = " ".join(percent((hits - fewer) / 20) for hits in CELL_HITS)
        assert f"{recipe.replace('_', '_ ')} {cells}" in words
        assert all(f'title="{recipe}, {name}"' in page for name in NAMES)
        sizes = " ".join(percent((hits - fewer) / 20) for hits in SIZE_HITS)
        assert sizes in words
    # Of `original`: (the worst corner 4/20 + the worst side 8/20) / (2 x 16/20)
    low, high = score(0)["places"]["centre_bias"]["interval"]
    assert f"0.38 [{low:.2f}, {high:.2f}]" in words


def test_metrics_end_with_it(project: Path) -> None:
    run()
    before = (project / "report/metrics.json").read_text()
    add_places(project, "original", score(0))
    run()
    numbers = json.loads((project / "report/metrics.json").read_text())
    assert list(numbers)[-1] == "places"
    found = numbers.pop("places")
    assert numbers == json.loads(before)
    assert list(found) == ["original"]
    assert found["original"]["centre_bias"] == pytest.approx(0.375)
    sizes = {f"size_{factor:g}": hits / 20 for factor, hits in zip(SIZES, SIZE_HITS, strict=True)}
    assert found["original"] == {"centre_bias": found["original"]["centre_bias"]} | sizes


@pytest.mark.usefixtures("project")
def test_it_is_absent_where_nobody_was_judged_by_place() -> None:
    assert 'id="places"' not in run()
    assert "places" not in json.loads(Path("report/metrics.json").read_text())


def test_recipes_without_places_are_left_out(project: Path) -> None:
    add_places(project, "dynamic", score(0))
    words = section(run(), "places")
    assert "dynamic" in words
    assert "original" not in words


def test_no_hit_in_the_centre_is_no_bias(project: Path) -> None:
    add_places(project, "original", score(20))
    words = section(run(), "places")
    assert f"original {' '.join([percent(0.0)] * 9)} \N{EN DASH} 0.0" in words
    assert "centre_bias" not in json.loads((project / "report/metrics.json").read_text())["places"]["original"]
