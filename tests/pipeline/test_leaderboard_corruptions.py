"""The leaderboard's rows of corruptions: published ones as counted, submitted ones checked, sources never mixed."""

import csv
import json
from collections import defaultdict
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from jinja2 import Environment, PackageLoader, StrictUndefined

from bgdata.classes import ClassList, plain_class_list
from bgdata.corrupt.corruptions import STANDARD
from bgdata.errors import InputError
from bgdata.labels import IN9
from models.evaluation.recheck import recount_corruptions
from models.evaluation.submissions import CorruptionsResult, read_results, read_submission
from pipeline.report import words
from pipeline.report.corruption_board import read_published_corruptions
from pipeline.report.leaderboard import read_leaderboard, render_markdown
from pipeline.report.page import percent
from tests.conftest import ROOT
from tests.pipeline.conftest import Run
from tests.pipeline.test_leaderboard_page import submission, write

GOLDEN = ROOT.parent / "shared/data/corruption_golden/imagenet_c_accuracy.csv"
# AlexNet's mean errors as google-research/augmix has them, in the published order of the fifteen.
ALEXNET = (
    *(0.886428, 0.894468, 0.922640, 0.819880, 0.826268, 0.785948, 0.798360, 0.866816),
    *(0.826572, 0.819324, 0.564592, 0.853204, 0.646056, 0.717840, 0.606500),
)
PETS = plain_class_list("pets", ("cat", "dog"))
ALL = dict.fromkeys(STANDARD, (1, 2, 3, 4, 5))
PUBLISHED_MEANS = "AlexNet (ImageNet, 1,000 classes), published means over 5 severities"


def result(
    correct: int = 50, run: dict[str, tuple[int, ...]] = ALL, classes: ClassList = IN9, **changes: Any
) -> dict[str, Any]:
    """What `pipeline.corruptions --out` writes, of 100 photos of which as many are right in each cell; clean 80."""

    def cell(hits: int) -> dict[str, Any]:
        return {"accuracy": hits / 100, "correct": hits, "count": 100, "interval": [0.0, 1.0], "ece": 0.125}

    cells = {name: {str(severity): cell(correct) for severity in severities} for name, severities in run.items()}
    rate, complete = correct / 100, run == ALL
    summary = {
        "mpc": rate,
        "rpc": rate / 0.8,
        "mean_error": 1 - rate,
        "mce": fmean((1 - rate) / error for error in ALEXNET) if complete else None,
        "ece": 0.125,
        "normaliser": PUBLISHED_MEANS if complete else "none: not all were run",
        "corruptions": len(run),
        "cells": sum(map(len, run.values())),
        "missing": [],
        "complete": complete,
        "extra": None,
    }
    return {
        "model": {"arch": "timm:x", "checkpoint_sha256": "ab" * 32},
        "command": "python -m pipeline.corruptions --data x",
        "split": "val",
        "class_list": classes.to_record(),
        "chance": 1 / len(classes),
        "source": "ours",
        "data_record": {"source": "ours", "seed": 0},
        "images": 100,
        "clean": cell(80),
        "regions": {"whole": {"corruptions": cells, "summary": summary}},
    } | changes


def submitted(name: str = "Mine", **changes: Any) -> dict[str, Any]:
    """A submission of corruptions alone."""
    return submission(name=name, in9=None, challenge=None, corruptions=result(**changes))


def with_summary(**changes: Any) -> dict[str, Any]:
    content = submitted()
    content["corruptions"]["regions"]["whole"]["summary"] |= changes
    return content


def test_published_rows_are_cited_and_say_how_many_photos() -> None:
    entries = read_published_corruptions()
    assert len(entries) == 12
    for entry in entries:
        assert entry.source == "published"
        assert entry.citation
        assert entry.link.startswith("https://")
        assert (entry.images, entry.run, entry.complete) == (5000, "15 corruptions at 5 severities", True)
        assert entry.normaliser == PUBLISHED_MEANS
        assert entry.mpc == pytest.approx(1 - entry.mean_error, abs=1e-6)
    shown = {entry.name: percent(entry.mce) for entry in entries}
    assert (shown["Standard_R50"], shown["Hendrycks2020AugMix"], shown["Tian2022Deeper_DeiT-B"]) == (
        "76.4",
        "64.2",
        "41.7",
    )


@pytest.mark.skipif(not GOLDEN.is_file(), reason="needs the golden table beside the repository")
def test_published_rows_are_a_recount_of_the_published_accuracies() -> None:
    with GOLDEN.open() as file:
        names, severities, *rows = csv.reader(file)
    found = {entry.name: entry for entry in read_published_corruptions()}
    assert set(found) == {row[0] for row in rows}
    for name, *cells in rows:
        errors: dict[str, list[float]] = defaultdict(list)
        for corruption, severity, accuracy in zip(names[1:], severities[1:], cells, strict=True):
            assert severity in "12345"
            errors[corruption].append(1 - float(accuracy))
        assert set(errors) == set(STANDARD)
        mean_error = fmean(map(fmean, errors.values()))
        mce = fmean(fmean(errors[corruption]) / error for corruption, error in zip(STANDARD, ALEXNET, strict=True))
        assert found[name].mean_error == pytest.approx(mean_error, abs=1e-6)
        assert found[name].mpc == pytest.approx(1 - mean_error, abs=1e-6)
        assert found[name].mce == pytest.approx(mce, abs=2e-6)


def test_a_submission_becomes_a_row_with_checkpoint_and_command(tmp_path: Path) -> None:
    write(tmp_path, submitted())
    board = read_leaderboard(tmp_path)
    assert "Mine" not in [entry.name for entry in (*board.official, *board.other)]
    text = render_markdown(board)
    assert f"## Under common corruptions: {IN9.describe()}, list {IN9.digest}; made here (source: ours)\n" in text
    mce = 100 * result()["regions"]["whole"]["summary"]["mce"]
    assert f"| Mine | ImageNet | 100 | 80.0 | 50.0 | 62.5 | 50.0 | {mce:.1f} | {PUBLISHED_MEANS} |" in text
    assert f"- **Mine**: checkpoint SHA-256 {'ab' * 32}\n  - `python -m pipeline.corruptions --data x`" in text
    assert text == render_markdown(read_leaderboard(tmp_path))


def test_rows_of_other_sources_or_classes_stand_in_tables_of_their_own(tmp_path: Path) -> None:
    kinds = {
        "ours": {},
        "also ours": {"correct": 60},
        "published": {"source": "published"},
        "pets": {"classes": PETS},
        "renamed pets": {"classes": ClassList("my pets", PETS.names, PETS.wnids)},
    }
    for number, (name, changes) in enumerate(kinds.items()):
        write(tmp_path, submitted(name, **changes), f"{number}.json")
    board = read_leaderboard(tmp_path)
    tables = {tuple(entry.name for entry in entries) for entries in board.corruptions.tables}
    assert tables == {("also ours", "ours"), ("published",), ("pets", "renamed pets")}
    assert len(board.corruptions.published) == 12
    assert {entries[0].name for entries in board.corruptions.of(IN9)} == {"also ours", "published"}
    assert {entries[0].name for entries in board.corruptions.of(PETS)} == {"pets"}
    assert {entry.name for entry in board.submitted} == set(kinds)


def test_partial_results_stand_last_and_say_so(tmp_path: Path) -> None:
    write(tmp_path, submitted("Part", correct=90, run={"fog": (1, 3), "snow": (3,)}), "part.json")
    write(tmp_path, submitted("Whole", correct=10), "whole.json")
    (entries,) = read_leaderboard(tmp_path).corruptions.tables
    assert [entry.name for entry in entries] == ["Whole", "Part"]
    assert entries[1].run == "partial: 2 of 15 corruptions, 3 of 75 with severity"
    assert "| none: not all were run | partial: 2 of 15" in render_markdown(read_leaderboard(tmp_path))


def test_one_submission_may_hold_all_judges(tmp_path: Path) -> None:
    write(tmp_path, submission(corruptions=result()))
    board = read_leaderboard(tmp_path)
    assert [entry.commands for entry in board.submitted if entry.name == "Mine"] == [
        ("python -m x", "python -m x"),
        ("python -m pipeline.corruptions --data x",),
    ]


def test_the_page_shows_the_rows_and_no_name_breaks_it(tmp_path: Path) -> None:
    write(tmp_path, submitted("<b>a|b</b>", classes=PETS))
    environment = Environment(loader=PackageLoader("pipeline.report"), autoescape=True, undefined=StrictUndefined)
    environment.filters["percent"] = percent
    template = environment.get_template("corruption_board.html.j2")
    page = template.render(board=read_leaderboard(tmp_path), classes=PETS, words=words)
    assert "<b>" not in page
    assert page.count("<tr>") == 2 + 1 + 12
    assert "The same 2 classes, corruptions made here (source: ours)" in page
    page = template.render(board=read_leaderboard(tmp_path), classes=IN9, words=words)
    assert "No result of these 9 classes under corruptions was submitted" in page
    assert r"\<b\>a\|b\</b\>" in render_markdown(read_leaderboard(tmp_path))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"regions": {}}, "corruptions: Value error, regions lacks whole: judge corruptions of whole photos too"),
        ({"source": "mine"}, "corruptions.source: Input should be 'ours' or 'published'"),
        ({"images": 0}, "corruptions.images: Input should be greater than or equal to 1"),
        ({"class_list": PETS.to_record()}, "but corruptions has pets (2 classes"),
        ({"regions": {"sky": {}}}, "corruptions.regions.sky.[key]: Value error, expected one of whole, foreground"),
    ],
)
def test_what_is_no_result_is_refused_by_its_key(tmp_path: Path, changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(InputError) as caught:
        read_submission(write(tmp_path, submission(corruptions=result() | changes)))
    assert expected in str(caught.value)
    assert "mine.json" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "severity", "changes", "expected"),
    [
        ("rain", "1", {}, "corruptions.rain.[key]: Value error, expected one of gaussian_noise"),
        ("fog", "6", {}, "corruptions.fog.6.[key]: String should match pattern"),
        ("fog", "1", {"accuracy": 1.5}, "corruptions.fog.1.accuracy: Input should be less than or equal to 1"),
        ("fog", "1", {"count": 0}, "corruptions.fog.1.count: Input should be greater than or equal to 1"),
    ],
)
def test_a_broken_cell_is_refused_by_its_key(
    tmp_path: Path, name: str, severity: str, changes: dict[str, Any], expected: str
) -> None:
    content = submitted()
    cells = content["corruptions"]["regions"]["whole"]["corruptions"]
    cells.setdefault(name, {})[severity] = cells["snow"]["1"] | changes
    with pytest.raises(InputError) as caught:
        read_submission(write(tmp_path, content))
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"normaliser": "a\nb"}, "summary.normaliser: String should match"),
        ({"mpc": 76.4}, "summary.mpc: Input should be less than or equal to 1"),
        ({"mce": -0.5}, "summary.mce: Input should be greater than or equal to 0"),
        ({"mce": float("nan")}, "summary.mce: Input should be"),
    ],
)
def test_a_broken_summary_is_refused_by_its_key(tmp_path: Path, changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(InputError) as caught:
        read_submission(write(tmp_path, with_summary(**changes)))
    assert expected in str(caught.value)


def recounted(content: dict[str, Any]) -> list[str]:
    return recount_corruptions(CorruptionsResult.model_validate(content))


def test_sums_are_counted_again() -> None:
    assert recounted(result()) == []
    assert recounted(result(run={"fog": (1, 3)})) == []
    further = result()
    whole = further["regions"]["whole"]
    whole["corruptions"]["spatter"] = {"1": whole["corruptions"]["fog"]["1"]}
    assert len(recounted(further)) == 2
    whole["summary"]["extra"] = {"mpc": 0.5, "rpc": 0.625}
    assert recounted(further) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"mpc": 0.6}, "corruptions: its own cells (whole) give mpc 0.5, it says 0.6"),
        ({"rpc": None}, "corruptions: its own cells (whole) give rpc 0.625, it says None"),
        ({"mce": 0.25}, "it says 0.25"),
        ({"ece": 0.0}, "give ece 0.125, it says 0.0"),
        ({"cells": 74}, "give cells 75, it says 74"),
        ({"extra": {"mpc": 0.5, "rpc": None}}, "give extra mpc None, it says 0.5"),
    ],
)
def test_a_sum_that_is_not_its_cells_is_told(changes: dict[str, Any], expected: str) -> None:
    (sentence,) = recounted(with_summary(**changes)["corruptions"])
    assert expected in sentence


def test_an_accuracy_that_is_not_its_counts_is_told() -> None:
    content = result()
    content["regions"]["whole"]["corruptions"]["fog"]["3"] |= {"correct": 51}
    assert recounted(content) == [
        "corruptions: fog 3 (whole): 51 of 100 photos of 100 is no accuracy of 0.5",
    ]


def test_mce_by_another_model_is_left_to_its_file() -> None:
    assert (
        recounted(with_summary(mce=0.9, normaliser="other.json, at the severities that were run")["corruptions"]) == []
    )


def test_submit_takes_corruptions_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_command: Run) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "corruptions.json").write_text(json.dumps(result()))
    who = ("--name", "My Net", "--link", "https://example.org", "--trained-on", "noise")
    code, out, _ = run_command("leaderboard", "submit", *who, "--corruptions", "corruptions.json")
    assert code == 0
    assert "docs/leaderboard/my-net.json" in out
    (found,) = read_results(tmp_path / "corruptions.json")
    assert isinstance(found, CorruptionsResult)
    code, out, _ = run_command("leaderboard")
    assert (code, out) == (0, "leaderboard: LEADERBOARD.md, 1 submitted rows from docs/leaderboard\n")
    assert "| My Net | noise | 100 | 80.0 | 50.0 |" in (tmp_path / "LEADERBOARD.md").read_text()
