"""Corruptions in the report: what the judge wrote, shown once and rightly, in the page, metrics.json and a table."""

import base64
import csv
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest

from bgdata.compose.names import VARIANTS
from bgdata.corrupt.corruptions import CORRUPTIONS, EXTRA, STANDARD, Corruption
from bgdata.errors import InputError
from bgdata.io import decode_image, encode_jpeg
from bgdata.labels import IN9
from bgdata.shards import finish_set, shard_name, write_shard
from pipeline.report import corruption_strip, words
from pipeline.report.corruption_views import needs_clean, scatter
from pipeline.report.corruptions import CORRUPTION_COLUMNS, CorruptionScores
from pipeline.report.numbers import Results
from pipeline.report.reading import read_results
from tests.conftest import ROOT
from tests.pipeline.test_report import (
    COUNT,
    HITS,
    RECIPES,
    Page,
    add_seeds,
    edit_json,
    run,
    section,
    set_members,
    write_inputs,
    write_json,
)

RUN = {"fog": (1, 3), "gaussian_noise": (1, 3), "speckle_noise": (3,)}
REGIONS = ("whole", "foreground", "background")
ALL = dict.fromkeys(CORRUPTIONS, (1, 2, 3, 4, 5))
Cells = Mapping[str, Sequence[int]]


def hits(recipe: str, region: str, name: str, severity: int) -> int:
    """Of 18 photos: less for each severity, and the less the more of the photo is corrupted."""
    lost = {"whole": 2, "foreground": 1, "background": 0}[region] + severity + list(CORRUPTIONS).index(name) % 3
    return max(HITS[recipe][0] - lost, 0)


def cell(correct: int, ece: float | None = 0.25) -> dict[str, Any]:
    interval = [max(correct - 2, 0) / COUNT, min(correct + 2, COUNT) / COUNT]
    return {"accuracy": correct / COUNT, "correct": correct, "count": COUNT, "interval": interval, "ece": ece}


def summary(cells: Mapping[str, Mapping[str, float]], clean: float | None, *, mce: float | None) -> dict[str, Any]:
    """As the judge's, by its definition in plain words."""

    def part(names: Mapping[str, Any]) -> dict[str, Any]:
        run = {name: list(row.values()) for name, row in cells.items() if name in names}
        mpc = fmean(map(fmean, run.values())) if run else None
        rpc = mpc / clean if mpc is not None and clean else None
        return {"mpc": mpc, "rpc": rpc, "corruptions": len(run), "cells": sum(map(len, run.values()))}

    standard, extra = part(STANDARD), part(EXTRA)
    missing = [name for name in STANDARD if name not in cells]
    missing += [f"{name} {s}" for name in STANDARD if name in cells for s in range(1, 6) if str(s) not in cells[name]]
    return standard | {
        "mean_error": None if standard["mpc"] is None else 1 - standard["mpc"],
        "mce": mce,
        "ece": 0.125,
        "normaliser": "AlexNet (ImageNet, 1,000 classes), published errors at the severities that were run",
        "missing": missing,
        "complete": not missing,
        "extra": extra if extra["corruptions"] else None,
    }


def write_corruptions(
    root: Path, recipe: str, run: Cells = RUN, regions: Sequence[str] = REGIONS, seeds: int = 1, **changes: Any
) -> None:
    """scores/corruptions/<recipe>.json, as the judge writes it: each further seed gets one photo less right."""
    checkpoints = [(recipe.encode().hex() + "0" * 64)[:64], *(f"{number}" * 64 for number in range(1, seeds))]
    origins = [{"seed": number, "checkpoint_sha256": digest} for number, digest in enumerate(checkpoints)]

    def scores(region: str, seed: int) -> dict[str, dict[str, dict[str, Any]]]:
        return {
            name: {str(s): cell(max(hits(recipe, region, name, s) - seed, 0)) for s in severities}
            for name, severities in run.items()
        }

    def accuracies(region: str, seed: int) -> dict[str, dict[str, float]]:
        return {name: {s: one["accuracy"] for s, one in row.items()} for name, row in scores(region, seed).items()}

    clean = HITS[recipe][0]

    def summed(region: str, seed: int) -> dict[str, Any]:
        return summary(accuracies(region, seed), (clean - seed) / COUNT, mce=None if region != "whole" else 1.25)

    result = {
        "recipe": recipe,
        **origins[0],
        "split": "val",
        "class_list": IN9.to_record(),
        "chance": 1 / 9,
        "source": "ours",
        "data_record": {"source": "ours", "seed": 0, "encoding": "JPEG, quality 85"},
        "images": COUNT,
        "clean": cell(clean, 0.0625),
        "regions": {region: {"corruptions": scores(region, 0), "summary": summed(region, 0)} for region in regions},
        "seeds": [
            origin
            | {
                "clean": cell(clean - number, 0.0625),
                "regions": {
                    region: {"corruptions": accuracies(region, number), "summary": summed(region, number)}
                    for region in regions
                },
            }
            for number, origin in enumerate(origins)
        ],
    }
    write_json(root / f"scores/corruptions/{recipe}.json", result | changes)


def tinted(image: np.ndarray, corruption: Corruption, **how: Any) -> np.ndarray:
    """Stands for `corrupt_image`: a grey that says the severity."""
    assert how["mask"].shape == image.shape[:2]
    return np.full_like(image, 40 * corruption.severity)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with corruptions, entered."""
    write_inputs(tmp_path)
    for recipe in RECIPES:
        write_corruptions(tmp_path, recipe)
    edit_json(tmp_path / "build/config/report.json", corruptions=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(corruption_strip, "corrupt_image", tinted)
    return tmp_path


def read(seeds: Sequence[int] = (0,)) -> Results:
    return read_results(Path("scores"), Path("runs"), recipes=RECIPES, seeds=seeds, corrupted=True)


def inside(text: str) -> str:
    return text.split('<section id="corruptions">')[1].split("</section>")[0]


def with_seeds(root: Path, seeds: int = 3) -> None:
    """Further seeds for all judges."""
    for recipe in RECIPES:
        for _ in range(1, seeds):
            add_seeds(root, recipe, dict(zip(VARIANTS, HITS[recipe], strict=True)), 0.5)
        write_corruptions(root, recipe, seeds=seeds)
    edit_json(root / "build/config/report.json", seeds=list(range(seeds)))


def rows_of(text: str) -> list[list[str]]:
    return [row for row in Page(inside(text)).rows if row]


def of(recipe: str, *, run: Cells = RUN, region: str = "whole") -> float:
    """mPC of the first seed, counted here."""
    standard = {name: severities for name, severities in run.items() if name in STANDARD}
    return fmean(
        fmean(hits(recipe, region, name, s) / COUNT for s in severities) for name, severities in standard.items()
    )


@pytest.mark.usefixtures("project")
def test_the_table_shows_every_recipe_as_the_files_have_it() -> None:
    text = run()
    assert not Page(text).open
    assert 'href="#corruptions"' in text
    rows = rows_of(text)
    header = ["trained as", "clean", "mPC", "rPC", "mean error", "mCE", "clean", "corrupted", "mPC", "rPC"]
    start = rows.index(header)
    for recipe, row in zip(RECIPES, rows[start + 1 :], strict=False):
        clean, mpc, extra = HITS[recipe][0] / COUNT, of(recipe), hits(recipe, "whole", "speckle_noise", 3) / COUNT
        numbers = (clean, mpc, mpc / clean, 1 - mpc, 1.25, 0.0625, 0.125, extra, extra / clean)
        assert row == [recipe, *(f"{100 * number:.1f}" for number in numbers)]
    # original has most of 18 clean photos, and so most of all but mCE and ECE, which are equal.
    assert len(re.findall(r'class="(?:sep)? ?best"', inside(text))) == 4 + 2 * len(RECIPES)


@pytest.mark.usefixtures("project")
def test_what_was_run_is_said() -> None:
    said = section(run(), "corruptions")
    assert "18 val photos; corruptions made here (source: ours), seed 0 of the data; " in said
    assert "partial: 2 of 15 corruptions, 4 of 75 with severity. mCE is normalised by: AlexNet (ImageNet, 1,000" in said
    assert "so mCE compares the rows here and not with papers" in said
    assert "Partial: mPC, rPC, mean error and mCE are over what was run alone, and cannot be compared" in said
    assert "Not run: shot noise, impulse noise, " in said
    assert "gaussian noise 2, gaussian noise 4, gaussian noise 5, fog 2, fog 4, fog 5." in said
    for recipe in RECIPES:
        write_corruptions(Path(), recipe, ALL, ("whole",))
    said = section(run(), "corruptions")
    assert "15 corruptions at 5 severities. mCE" in said
    assert "Partial" not in said
    assert "Which part of a photo" not in said


def test_of_several_seeds_there_are_means_and_spreads(project: Path) -> None:
    with_seeds(project)
    text = run()
    firsts = np.array([HITS["dynamic"][0] - number for number in range(3)]) / COUNT
    mpcs = of("dynamic") - np.arange(3) / COUNT
    row = next(row for row in rows_of(text) if row[0] == "dynamic")
    assert row[1] == f"{100 * firsts.mean():.1f}± {100 * firsts.std(ddof=1):.1f}"
    assert row[2] == f"{100 * mpcs.mean():.1f}± {100 * mpcs.std(ddof=1):.1f}"
    assert "Means of 3 trainings (0, 1, 2), ± their standard deviation." in section(text, "corruptions")
    numbers = json.loads(Path("report/metrics.json").read_text())
    assert numbers["corruptions"]["dynamic"]["rpc"] == pytest.approx((mpcs / firsts).mean())
    assert numbers["corruptions_std"]["dynamic"]["rpc"] == pytest.approx((mpcs / firsts).std(ddof=1))
    assert inside(text).count('class="c2 seed"') == 3  # of the scatter: dynamic's


@pytest.mark.usefixtures("project")
def test_metrics_gain_the_summaries_and_nothing_else_changes() -> None:
    run()
    gained = json.loads(Path("report/metrics.json").read_text())
    summaries = gained.pop("corruptions")
    assert set(summaries) == set(RECIPES)
    found = summaries["original"]
    clean = HITS["original"][0] / COUNT
    assert found["mpc"] == pytest.approx(of("original"))
    assert found["rpc"] == pytest.approx(of("original") / clean)
    assert found["foreground"]["mpc"] == pytest.approx(of("original", region="foreground"))
    assert set(found) == {"mpc", "rpc", "mean_error", "mce", "ece", "extra", "foreground", "background"}
    assert set(found["background"]) == {"mpc", "rpc", "mean_error", "ece", "extra"}  # mCE is none, and left out
    edit_json(Path("build/config/report.json"), corruptions=False)
    assert 'id="corruptions"' not in run()
    assert json.loads(Path("report/metrics.json").read_text()) == gained
    assert Path("report/corruptions.csv").read_text().splitlines() == [",".join(CORRUPTION_COLUMNS)]


def test_the_table_for_dvc_has_a_row_for_each_cell_and_seed(project: Path) -> None:
    with_seeds(project, 2)
    run()
    with Path("report/corruptions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == CORRUPTION_COLUMNS
    assert len(rows) == len(RECIPES) * 2 * len(REGIONS) * sum(map(len, RUN.values()))
    for row in rows:
        expected = hits(row["recipe"], row["region"], row["corruption"], int(row["severity"])) - int(row["seed"])
        assert float(row["accuracy"]) == expected / COUNT
        assert row["ece"] == ("0.25" if row["seed"] == "0" else "")


@pytest.mark.usefixtures("project")
def test_the_heat_map_shows_every_cell_by_region_and_what_was_not_run() -> None:
    rows = rows_of(run())
    start = rows.index(["corruption", "1", "3", "1", "3", "1", "3"])
    shown = {row[0]: row[1:] for row in rows[start + 1 : start + 4]}
    assert list(shown) == ["gaussian noise", "fog", "speckle noise(apart)"]
    for name in ("gaussian_noise", "fog"):
        expected = [f"{100 * hits('original', region, name, s) / COUNT:.0f}" for region in REGIONS for s in (1, 3)]
        assert shown[name.replace("_", " ")] == expected
    assert shown["speckle noise(apart)"][::2] == ["–"] * 3  # noqa: RUF001


@pytest.mark.usefixtures("project")
def test_heat_maps_are_folded_but_for_the_compared_recipes() -> None:
    found = re.findall(r"<details( open)?>\s*<summary>(?:<i.*?></i>)?(.*?)</summary>", inside(run()))
    assert [name for _, name in found[:-1]] == ["original", "mixed_rand", "dynamic"]
    assert [bool(is_open) for is_open, _ in found[:-1]] == [True, True, False]


@pytest.mark.parametrize(
    ("front", "back", "needs"),
    [(0.5, 0.6, "foreground"), (0.6, 0.5, "background"), (0.5, 0.509, "neither more"), (0.5, None, None)],
)
def test_the_part_whose_corruption_costs_more_must_be_clean(
    project: Path, front: float, back: float | None, needs: str | None
) -> None:
    path = project / "scores/corruptions/dynamic.json"
    content = json.loads(path.read_text())
    for seed in content["seeds"]:
        for region, mpc in (("foreground", front), ("background", back)):
            seed["regions"][region]["summary"]["mpc"] = mpc
    found = CorruptionScores.model_validate(content)
    assert needs_clean(found) == needs
    write_json(path, content)
    row = [row for row in rows_of(run()) if row[0] == "dynamic"][1]
    assert row[-1] == (needs or "–")  # noqa: RUF001
    content["regions"]["background"]["corruptions"].pop("fog")
    assert needs_clean(CorruptionScores.model_validate(content)) is None  # not under the same corruptions


def test_the_scatter_places_recipes_by_gap_and_rpc(project: Path) -> None:
    chart = scatter(read(), "whole")
    assert chart is not None
    assert chart.without == ()
    ticks = [value for _, value in chart.across]
    for point in chart.points:
        gap = (HITS[point.recipe][5] - HITS[point.recipe][6]) / COUNT
        assert point.bg_gap.value == pytest.approx(gap)
        assert point.place[0] == pytest.approx(100 * (gap - ticks[0]) / (ticks[-1] - ticks[0]), abs=0.01)
        assert all(0 <= value <= 100 for value in point.place)
        assert point.is_inside
        assert all(point.keeps_clear_of(other) for other in chart.points)
    by_rpc = sorted(chart.points, key=lambda point: point.rpc.value or 0)
    assert [point.place[1] for point in by_rpc] == sorted((point.place[1] for point in by_rpc), reverse=True)
    # mixed_rand and dynamic have one gap: with one rPC too they would lie on each other, and their labels do not.
    write_corruptions(project, "mixed_rand", clean=cell(HITS["dynamic"][0]))
    for seed in (content := json.loads((project / "scores/corruptions/mixed_rand.json").read_text()))["seeds"]:
        seed["regions"]["whole"]["summary"]["rpc"] = of("dynamic") / (HITS["dynamic"][0] / COUNT)
    write_json(project / "scores/corruptions/mixed_rand.json", content)
    chart = scatter(read(), "whole")
    assert chart is not None
    first, second = (point for point in chart.points if point.recipe != "original")
    assert first.place == second.place
    assert first.box != second.box
    assert first.keeps_clear_of(second)


def test_without_ratios_there_are_dashes_and_no_scatter(project: Path) -> None:
    for number, recipe in enumerate(RECIPES):
        path = project / f"scores/corruptions/{recipe}.json"
        content = json.loads(path.read_text())
        for seed in content["seeds"]:
            seed["clean"] = None
            seed["regions"]["whole"]["summary"]["rpc"] = None
        write_json(path, content | {"clean": None})
        chart = scatter(read(), "whole")
        if number == 0:
            assert chart is not None
            assert chart.without == ("original",)
            assert "Without an rPC: original." in section(run(), "corruptions")
    assert chart is None
    rows = rows_of(run())
    assert "BG-gap, points" not in inside(Path("report/index.html").read_text())
    row = next(row for row in rows if row[0] == "dynamic")
    assert [row[1], row[3], row[6]] == ["–"] * 3  # noqa: RUF001


def sheet(text: str) -> np.ndarray:
    data = re.search(r'src="data:image/jpeg;base64,([^"]*)" alt="One photo', text)
    assert data is not None
    assert len(data[1]) < 100_000
    return decode_image(base64.b64decode(data[1]))


def test_the_strip_shows_what_is_stored_and_makes_what_is_not(project: Path) -> None:
    made = sheet(run())
    # The tint of severities 1 and 3, in rows of noise, weather and the extra four, behind the clean photo.
    side, step, first = 96, 104, 8 + 104 + 40
    bands = (made.shape[0] - 52) // 3
    tints = [
        [int(made[52 + 26 + band * bands + 40, first + place * step].mean()) for place in range(2)] for band in range(3)
    ]
    assert [round(tint / 40) for row in tints[:2] for tint in row] == [1, 3, 1, 3]
    assert round(tints[2][0] / 40) == 3
    assert made.shape[1] == 8 + 3 * (side + 8)
    folder = project / "data/corrupted" / Corruption("fog", 3).folder
    columns = ("background", "background_label")
    light = encode_jpeg(np.full((32, 32, 3), 250, np.uint8), 95)
    members = ((row, light) for row, _ in set_members("original", "val", 0, columns, IN9))
    write_shard(folder, shard_name("val", 0), members)
    finish_set(folder, classes=IN9, columns=columns, notes={})
    stored = sheet(run())
    changed = np.abs(stored.astype(int) - made).max(2) > 60
    down, across = (np.flatnonzero(changed.any(axis)) for axis in (1, 0))
    assert 52 + bands < down.min() < down.max() < 52 + 2 * bands
    assert first + step - 40 <= across.min() < across.max() <= first + step - 40 + side


def test_published_files_have_no_strip(project: Path) -> None:
    for recipe in RECIPES:
        write_corruptions(project, recipe, source="published", data_record={"source": "published"})
    text = run()
    assert 'alt="One photo' not in text
    assert "18 val photos; corruptions as published (source: published); partial" in section(text, "corruptions")


def test_a_missing_or_broken_file_is_named_with_what_makes_it(project: Path) -> None:
    path = project / "scores/corruptions/dynamic.json"
    whole = path.read_text()
    path.unlink()
    with pytest.raises(InputError, match=r"corruptions/dynamic.json is missing: run `dvc repro corruptions`, or `dvc"):
        run()
    path.write_text(whole[:40])
    with pytest.raises(InputError, match=r"dynamic.json cannot be read .*: run `dvc repro --force corruptions`"):
        run()
    path.write_text("[]")
    with pytest.raises(InputError, match=r"dynamic.json is no result of corruptions .*: run `dvc repro --force corr"):
        run()
    path.write_text(whole.replace('"fog"', '"rain"'))
    with pytest.raises(InputError, match=r"no result of corruptions \(regions.whole.corruptions.rain.*expected one of"):
        run()
    path.write_text(whole.replace('"recipe": "dynamic"', '"recipe": "static"'))
    with pytest.raises(InputError, match="is of recipe static, not dynamic: run `dvc repro --force corruptions`"):
        run()
    assert not Path("report").exists()


def test_files_that_do_not_belong_together_are_refused(project: Path) -> None:
    path = project / "scores/corruptions/dynamic.json"
    whole = json.loads(path.read_text())
    write_json(path, whole | {"checkpoint_sha256": "f" * 64})
    with pytest.raises(InputError, match=r"different checkpoints .*corruptions f{12}.* saliency corruptions`"):
        run()
    write_json(path, whole | {"seeds": []})
    with pytest.raises(InputError, match=r"has scores of seeds none, expected 0 .*: run `dvc repro corruptions`"):
        run()
    for changes in ({"images": 17}, {"split": "train"}, {"source": "published"}, {"data_record": {"seed": 1}}):
        write_json(path, whole | changes)
        with pytest.raises(InputError, match=r"dynamic.json was judged on other photos, .* than original.json beside"):
            run()
    write_corruptions(project, "dynamic", {"fog": (1,)})
    with pytest.raises(InputError, match=r"corruptions, severities or regions than original.json beside it: run `dvc"):
        run()
    seed = json.loads(json.dumps(whole))
    del seed["seeds"][0]["regions"]["foreground"]["corruptions"]["fog"]["3"]
    write_json(path, seed)
    with pytest.raises(InputError, match=r"seed 0 lacks fog 3 \(foreground\)"):
        run()
    write_json(path, whole | {"class_list": {"name": "x", "names": ["a", "b"], "wnids": ["", ""]}})
    with pytest.raises(InputError, match=r"corruptions/dynamic.json has x \(2 classes"):
        run()


def test_a_further_seed_of_another_checkpoint_is_refused(project: Path) -> None:
    with_seeds(project, 2)
    edit_json(project / "runs/dynamic/seed-1/provenance.json", checkpoint_sha256="f" * 64)
    with pytest.raises(InputError, match="dynamic was trained and judged with different checkpoints"):
        run()


def test_foreground_sensitivity_is_one_more_column_where_it_is_known(project: Path) -> None:
    assert "fg sensitivity" not in run()
    noisy = {"accuracy_noisy_foreground": 0.5, "accuracy_noisy_background": 0.75, "trials": 3, "sigma": 0.25}
    for recipe, value in zip(RECIPES, (0.25, -0.125, None), strict=True):
        path = project / f"scores/in9/{recipe}.json"
        found = {"relative_foreground_sensitivity": noisy | {"value": value}}
        content = json.loads(path.read_text())
        write_json(path, content | found | {"seeds": [seed | found for seed in content["seeds"]]})
    text = run()
    header = next(row for row in Page(text).rows if row and row[-1] == "fg sensitivity")
    assert header[:2] == ["trained as", "clean"]
    shown = {row[0]: row[-1] for row in Page(text).rows if row and row[0] in RECIPES and len(row) == len(header)}
    assert shown == {"original": "25.0", "mixed_rand": "\N{MINUS SIGN}12.5", "dynamic": "–"}  # noqa: RUF001
    assert "sigma 0.25, mean of 3 draws: accuracy 75.0 with it on the background, 50.0 on the foreground" in text
    numbers = json.loads(Path("report/metrics.json").read_text())["in9"]
    assert numbers["original"]["relative_foreground_sensitivity"] == 0.25
    assert "relative_foreground_sensitivity" not in numbers["dynamic"]


@pytest.mark.usefixtures("project")
def test_a_second_run_writes_the_same_bytes() -> None:
    run()
    first = {path.name: path.read_bytes() for path in Path("report").iterdir()}
    run()
    assert {path.name: path.read_bytes() for path in Path("report").iterdir()} == first


def test_words_and_the_plot_cover_all_corruptions_in_their_order() -> None:
    assert [name for names in words.CORRUPTION_KINDS.values() for name in names] == list(CORRUPTIONS)
    plot = json.loads((ROOT / ".dvc/plots/corruptions.json").read_text())
    assert plot["facet"]["field"] in CORRUPTION_COLUMNS
    assert plot["facet"]["sort"] == list(CORRUPTIONS)
    assert set(words.CORRUPTED_REGIONS) == set(REGIONS)
