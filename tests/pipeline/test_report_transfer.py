"""The transfer in the report: what the judge wrote, shown once and rightly, and claims that follow from intervals."""

import base64
import csv
import json
import re
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import pytest

from bgdata.errors import InputError
from bgdata.io import decode_image, encode_jpeg
from models.transfer.result_shapes import TransferScores
from pipeline.report import transfer_pictures
from pipeline.report.numbers import Results
from pipeline.report.reading import read_results
from pipeline.report.table import percent, render_transfer
from pipeline.report.transfer import NUMBERS, TRANSFER_COLUMNS
from pipeline.report.transfer_claims import transfer_claims
from pipeline.report.transfer_views import backbone_colours, read_transfer_view
from tests.conftest import ROOT
from tests.pipeline.test_report import RECIPES, Page, edit_json, run, section, write_inputs, write_json
from tests.pipeline.test_report_corruptions import write_corruptions

METRICS = {"detection": ("box_ap", "box_ap50", "mask_ap"), "segmentation": ("miou",), "classification": ("accuracy",)}
RUN = {"gaussian_noise": ("3",), "fog": ("1", "3"), "speckle_noise": ("3",)}
SHIFTS = ("gaussian_noise 3", "fog 1", "fog 3", "speckle_noise 3", "swapped backgrounds")
TASKS = ("detection", "segmentation")
MODES = ("fixed_feature", "full_network")
KEYS = tuple(f"{task}-{name}-{mode}" for task in TASKS for name in ("original", "dynamic") for mode in MODES)
WIDTH = 0.02  # half of an interval


def estimated(value: float | None, half: float = WIDTH) -> dict[str, Any]:
    return {"value": value, "interval": None if value is None else [max(value - half, 0.0), value + half]}


def level(task: str, backbone: str, mode: str) -> float:
    """The main metric of the first seed on clean images."""
    return 0.504 + 0.08 * (task == "segmentation") + 0.04 * (mode == "full_network") + 0.032 * (backbone == "dynamic")


def seed_values(clean: float, *, swapped: bool, rpc: float, kept: float) -> dict[str, float]:
    values = {"clean": clean, "mpc": rpc * clean, "rpc": rpc}
    return values | ({"swapped": kept * clean, "gap": clean - kept * clean, "kept": kept} if swapped else {})


def transfer_scores(key: str, *, seeds: int = 1, swapped: bool = True, rpc: float = 0.5, kept: float = 0.75) -> Any:
    """scores.json, as the judge writes it: each metric is a quarter less than the one before, each seed a hundredth."""
    task, backbone, mode = key.split("-")
    metrics = METRICS[task]
    firsts = {metric: level(task, backbone, mode) * 0.75**number for number, metric in enumerate(metrics)}
    by_seed = [
        {
            metric: seed_values(first - number / 100, swapped=swapped, rpc=rpc, kept=kept)
            for metric, first in firsts.items()
        }
        for number in range(seeds)
    ]
    means = {
        metric: {name: fmean(values[metric][name] for values in by_seed) for name in by_seed[0][metric]}
        for metric in metrics
    }
    names = [(name, severity) for name, severities in RUN.items() for severity in severities]
    cells: dict[str, Any] = {}
    for number, (name, severity) in enumerate(names):
        rates = {metric: estimated(means[metric]["mpc"] * (1.2 - number / 10)) for metric in metrics}
        cells.setdefault(name, {})[severity] = rates

    def summary(metric: str) -> dict[str, Any]:
        known = {name: estimated(means[metric].get(name)) if name in means[metric] else None for name in NUMBERS}
        del known["clean"]
        return known | {"corruptions": 2, "cells": 3, "complete": False}

    return {
        "task": task,
        "backbone": backbone,
        "mode": mode,
        "set": "scenes",
        "split": "val",
        "images": 150,
        "metrics": metrics,
        "record": {"recipe": backbone, "arch": "resnet8"},
        "constant": None if task == "detection" else dict.fromkeys(metrics, 0.125),
        "background": "tiled" if swapped else None,
        "clean": {metric: estimated(means[metric]["clean"]) for metric in metrics},
        "swapped": {metric: estimated(means[metric]["swapped"]) for metric in metrics} if swapped else None,
        "corruptions": cells,
        "summary": {metric: summary(metric) for metric in metrics},
        "seeds": [
            {"seed": number, "checkpoint_sha256": f"{number}" * 64, "values": values}
            for number, values in enumerate(by_seed)
        ],
    }


def write_transfer(root: Path, keys: Sequence[str] = KEYS, **how: Any) -> None:
    for key in keys:
        folder = root / "scores/transfer" / key
        write_json(folder / "scores.json", transfer_scores(key, **how))
        (folder / "examples.jpg").write_bytes(encode_jpeg(np.full((40, 60, 3), 90, np.uint8), 80))
    edit_json(root / "build/config/report.json", transfer=list(keys))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with two tasks on two backbones in two modes, entered."""
    write_inputs(tmp_path)
    write_transfer(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(keys: Sequence[str] = KEYS, *, corrupted: bool = False) -> Results:
    return read_results(
        Path("scores"), Path("runs"), recipes=RECIPES, seeds=(0,), corrupted=corrupted, transfer=list(keys)
    )


def inside(text: str) -> str:
    return text.split('<section id="transfer">')[1].split("</section>")[0]


def rows_of(text: str) -> list[list[str]]:
    return [row for row in Page(inside(text)).rows if row]


def edited(key: str, **changes: Any) -> None:
    """A result with other values at dotted paths."""
    path = Path(f"scores/transfer/{key}/scores.json")
    content = json.loads(path.read_text())
    for where, value in changes.items():
        *parents, last = where.split("__")
        place = content
        for name in parents:
            place = place[name]
        place[last] = value
    write_json(path, content)


def shown(value: float, half: float = WIDTH) -> str:
    return f"{percent(value)}{percent(value - half)} to {percent(value + half)}"


@pytest.mark.usefixtures("project")
def test_a_table_a_task_shows_every_network_with_its_intervals() -> None:
    text = run()
    assert not Page(text).open
    assert 'href="#transfer"' in text
    rows = rows_of(text)
    header = ["backbone", "trained", *NUMBERS.values()]
    starts = [number for number, row in enumerate(rows) if row == header]
    assert len(starts) == len(TASKS)
    for start, task in zip(starts, TASKS, strict=True):
        networks = [(name, mode) for name in ("original", "dynamic") for mode in MODES]
        for (name, mode), row in zip(networks, rows[start + 1 :], strict=False):
            clean = level(task, name, mode)
            numbers = (clean, clean / 2, 0.5, 0.75 * clean, 0.25 * clean, 0.75)
            said = {"fixed_feature": "fixed features", "full_network": "full network"}[mode]
            assert row == [name, said, *map(shown, numbers)]
    assert rows[starts[1] + 5][:3] == ["chance", "a constant answer", "12.5"]
    words = section(text, "transfer")
    assert words.count("chance") == 1  # detection has none
    assert "box AP on 150 val images of scenes; corruptions: partial: 2 of 15 corruptions, 3 of 75 with" in words
    assert "backgrounds swapped for other images', whose own objects were tiled over." in words
    assert "Partial: mPC and rPC are over what was run alone" in words


@pytest.mark.usefixtures("project")
def test_further_metrics_have_a_table_of_their_own() -> None:
    rows = rows_of(run())
    header = ["backbone", "trained", *["clean", "mPC", "swapped", "kept"] * 2]
    row = rows[rows.index(header) + 1]
    clean = [level("detection", "original", "fixed_feature") * 0.75**number for number in (1, 2)]
    assert row[2:] == [shown(value) for one in clean for value in (one, one / 2, 0.75 * one, 0.75)]


def test_of_several_seeds_there_are_means_and_deviations(project: Path) -> None:
    write_transfer(project, seeds=3)
    text = run()
    firsts = [level("segmentation", "dynamic", "full_network") - number / 100 for number in range(3)]
    rows = [row for row in rows_of(text) if row[:2] == ["dynamic", "full network"] and len(row) == 8]
    assert rows[-1][2].startswith(f"{100 * fmean(firsts):.1f} ± {100 * stdev(firsts):.1f}")
    assert "Means of 3 trainings (0, 1, 2)." in section(text, "transfer")
    numbers = json.loads(Path("report/metrics.json").read_text())
    found = numbers["transfer_std"]["segmentation-dynamic-full_network"]["miou"]
    assert found["mpc"] == pytest.approx(stdev(firsts) / 2)
    assert set(found) == set(NUMBERS)


@pytest.mark.usefixtures("project")
def test_metrics_gain_the_numbers_last_and_nothing_else_changes() -> None:
    run()
    text = Path("report/metrics.json").read_text()
    numbers = json.loads(text)
    assert list(numbers)[-2:] == ["transfer", "leak"]
    assert list(numbers["transfer"]) == list(KEYS)
    assert list(numbers["transfer"][KEYS[0]]) == list(METRICS["detection"])
    clean = level("detection", "original", "fixed_feature")
    expected = {"clean": clean, "mpc": clean / 2, "rpc": 0.5, "swapped": clean * 0.75, "gap": clean / 4, "kept": 0.75}
    assert numbers["transfer"][KEYS[0]]["box_ap"] == pytest.approx(expected)
    edit_json(Path("build/config/report.json"), transfer=[])
    assert 'id="transfer"' not in (page := run())
    assert 'href="#transfer"' not in page
    without = Path("report/metrics.json").read_text()
    assert json.loads(without) == {key: value for key, value in numbers.items() if key != "transfer"}
    assert Path("report/transfer.csv").read_text().splitlines() == [",".join(TRANSFER_COLUMNS)]


def test_without_swapped_backgrounds_there_is_no_column_nor_panel(project: Path) -> None:
    write_transfer(project, swapped=False)
    text = run()
    assert ["backbone", "trained", "clean", "mPC", "rPC"] in rows_of(text)
    assert inside(text).count('class="curves scatter transfer"') == len(TASKS)
    words = section(text, "transfer")
    assert "no backgrounds were swapped." in words
    assert "Not run : needs swapped backgrounds (transfer.background)." in words
    numbers = json.loads(Path("report/metrics.json").read_text())["transfer"][KEYS[0]]["box_ap"]
    assert set(numbers) == {"clean", "mpc", "rpc"}
    with Path("report/transfer.csv").open() as file:
        assert {row["condition"] for row in csv.DictReader(file)} == {"corrupted"}


def test_what_has_no_number_is_a_dash(project: Path) -> None:
    write_transfer(project, KEYS[:2])
    none = {"value": None, "interval": None}
    zero = estimated(0.0, 0.0)
    edited(KEYS[0], clean__box_ap=zero, summary__box_ap__rpc=none, summary__box_ap__kept=none)
    row = next(row for row in rows_of(run()) if row[0] == "original")
    assert [row[2], row[4], row[7]] == ["0.00.0 to 0.0", "–", "–"]  # noqa: RUF001
    edited(KEYS[0], summary__box_ap__mpc=none)
    edited(KEYS[1], summary__box_ap__mpc=none)
    assert inside(run()).count('class="curves scatter transfer"') == 1


def test_the_table_for_dvc_has_a_row_a_metric_seed_and_shift(project: Path) -> None:
    write_transfer(project, seeds=2)
    run()
    with Path("report/transfer.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == TRANSFER_COLUMNS
    assert len(rows) == 2 * 2 * 4 * (3 + 1)
    for row in rows:
        metrics = METRICS[row["task"]]
        place = metrics.index(row["metric"])
        clean = level(row["task"], row["backbone"], row["mode"]) * 0.75**place - int(row["seed"]) / 100
        assert float(row["clean"]) == pytest.approx(clean)
        assert float(row["shifted"]) == pytest.approx(clean * {"corrupted": 0.5, "swapped": 0.75}[row["condition"]])
        assert row["main"] == ("yes" if place == 0 else "no")


def test_the_plot_knows_the_columns() -> None:
    plot = json.loads((ROOT / ".dvc/plots/transfer.json").read_text())
    assert {plot["facet"][side]["field"] for side in ("row", "column")} < set(TRANSFER_COLUMNS)
    assert plot["transform"] == [{"filter": "datum.main == 'yes'"}]
    text = (ROOT / "dvc.yaml").read_text()
    assert "report/transfer.csv: shifted" in text
    assert "      - report/transfer.csv:\n" in text


@pytest.mark.usefixtures("project")
def test_points_lie_where_their_numbers_say() -> None:
    view = read_transfer_view(Path("scores"), read())
    assert view is not None
    for task in view.tasks:
        assert [panel.number for panel in task.panels] == ["mpc", "swapped"]
        for panel in task.panels:
            assert len(panel.points) == 4
            lowest, highest = panel.ticks[0][1], panel.ticks[-1][1]
            for point in panel.points:
                numbers = point.network.numbers[task.some.metric]
                for at, number in ((point.x, numbers["clean"]), (100 - point.y, numbers[panel.number])):
                    assert number.value is not None
                    assert at == pytest.approx(100 * (number.value - lowest) / (highest - lowest), abs=0.02)
                assert point.across is not None
                assert point.up is not None
                assert 0 <= point.across[0] < point.x < point.across[1] <= 100
                assert 100 >= point.up[0] > point.y > point.up[1] >= 0
    # As elsewhere: the baseline is grey, dynamic has its own; a backbone of no recipe gets another one.
    assert {network.backbone: network.colour for network in view.tasks[0].networks} == {"original": 0, "dynamic": 2}
    edited(KEYS[2], record={"arch": "swin_t", "weights": "DEFAULT"})
    colours = backbone_colours(read())
    assert len(set(colours.values()) | {1, 2}) == 4


@pytest.mark.usefixtures("project")
def test_the_worst_shift_is_marked_and_named() -> None:
    text = run()
    assert "Which shift is worst: speckle noise 3, for 4 of 4 networks" in section(text, "transfer")
    assert inside(text).count('<b class="bad">') == len(KEYS)
    rows = rows_of(text)
    start = next(number for number, row in enumerate(rows) if row[0] == "shift")
    clean = level("detection", "original", "fixed_feature")
    expected = [0.5 * clean * (1.2 - number / 10) for number in range(4)] + [0.75 * clean]
    names = [name.replace("_", " ") for name in SHIFTS]
    names[3] += " (apart)"
    assert [row[0].replace("3(", "3 (") for row in rows[start + 1 : start + 6]] == names
    assert [row[1] for row in rows[start + 1 : start + 6]] == list(map(percent, expected))
    edited(KEYS[0], swapped__box_ap=estimated(0.05))
    assert "speckle noise 3, for 3 of 4 networks" in section(run(), "transfer")


def pictures(text: str) -> dict[str, bytes]:
    found = re.findall(r'src="data:image/jpeg;base64,([^"]*)" alt="[^"]* of (\S+), clean', inside(text))
    return {key: base64.b64decode(data) for data, key in found}


def test_pictures_are_shown_of_all_tasks_in_turn_until_there_is_no_room(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = (project / f"scores/transfer/{KEYS[0]}/examples.jpg").read_bytes()
    assert pictures(run()) == dict.fromkeys(KEYS, whole)
    assert "Not shown" not in inside(Path("report/index.html").read_text())
    monkeypatch.setattr(transfer_pictures, "_PICTURES", 3)
    text = run()
    assert set(pictures(text)) == {KEYS[0], KEYS[4], KEYS[1]}
    said = section(text, "transfer").split("Not shown, so that the page stays light: ")[1]
    assert re.findall(r"scores/transfer/(\S+)/examples.jpg", said) == [KEYS[5], KEYS[2], KEYS[6], KEYS[3], KEYS[7]]
    monkeypatch.setattr(transfer_pictures, "_BYTES", 2 * len(whole))
    assert set(pictures(run())) == {KEYS[0], KEYS[4]}
    wide = encode_jpeg(np.full((300, 2180, 3), 90, np.uint8), 80)
    (project / f"scores/transfer/{KEYS[0]}/examples.jpg").write_bytes(wide)
    monkeypatch.setattr(transfer_pictures, "_BYTES", 10**6)
    assert decode_image(pictures(run())[KEYS[0]]).shape == (150, 1090, 3)


@pytest.mark.usefixtures("project")
def test_a_missing_or_broken_file_is_named_with_what_makes_it() -> None:
    key = KEYS[2]
    path = Path(f"scores/transfer/{key}/scores.json")
    whole = path.read_text()
    path.unlink()
    with pytest.raises(InputError, match=f"{key}/scores.json is missing: run `dvc repro transfer_evaluate@{key}`, or"):
        run()
    again = f"run `dvc repro --force transfer_evaluate@{key}`"
    path.write_text(whole[:40])
    with pytest.raises(InputError, match=f"scores.json cannot be read .*: {again}"):
        run()
    path.write_text("[]")
    with pytest.raises(InputError, match=f"scores.json is no result of the transfer .*: {again}"):
        run()
    path.write_text(whole.replace('"fog"', '"rain"'))
    with pytest.raises(InputError, match=r"no result of the transfer \(corruptions.rain.*expected one of"):
        run()
    write_json(path, transfer_scores(KEYS[3]))
    with pytest.raises(InputError, match=f"scores.json is of {KEYS[3]}, not {key}: {again}"):
        run()
    for lacking in ("clean", "swapped", "summary", "corruptions__fog__3"):
        path.write_text(whole)
        edited(key, **{lacking: {"box_ap": json.loads(whole)["clean"]["box_ap"]}} if lacking != "summary" else {})
        if lacking == "summary":
            content = json.loads(whole)
            del content["summary"]["mask_ap"]
            write_json(path, content)
        said = lacking.replace("__", ".")
        with pytest.raises(InputError, match=rf"scores.json lacks {said}\.(box_ap50|mask_ap): {again}"):
            run()
    path.write_text(whole)
    edited(key, summary__box_ap__swapped=None)
    with pytest.raises(InputError, match=r"scores.json lacks summary.box_ap.swapped: run"):
        run()
    path.write_text(whole)
    picture = path.with_name("examples.jpg")
    picture.write_bytes(b"none")
    with pytest.raises(InputError, match=f"{key}/examples.jpg.*: {again}"):
        run()
    picture.unlink()
    with pytest.raises(InputError, match=f"examples.jpg is missing: run `dvc repro transfer_evaluate@{key}`, or `dvc"):
        run()
    assert not Path("report").exists()


@pytest.mark.usefixtures("project")
def test_results_of_a_task_that_do_not_belong_together_are_refused() -> None:
    key = KEYS[1]
    whole = transfer_scores(key)
    for changes in ({"images": 149}, {"split": "train"}, {"set": "coco2017"}, {"background": "telea"}):
        write_json(Path(f"scores/transfer/{key}/scores.json"), whole | changes)
        with pytest.raises(InputError, match=f"{key}/scores.json was judged on other images, .* than {KEYS[0]} beside"):
            run()
    for how in ({"seeds": 2}, {"swapped": False}):
        write_json(Path(f"scores/transfer/{key}/scores.json"), transfer_scores(key, **how))  # type: ignore[arg-type]
        with pytest.raises(InputError, match=rf"run `dvc repro --force transfer_evaluate@{KEYS[0]} transfer_evaluate@"):
            run()


@pytest.mark.parametrize(("kept", "verdict"), [(0.9, "holds"), (0.6, "does not hold"), (0.77, "not decided")])
def test_backgrounds_transfer_where_the_intervals_say_so(project: Path, kept: float, verdict: str) -> None:
    write_transfer(project, KEYS[2:4], kept=kept)
    edit_json(project / "build/config/report.json", transfer=list(KEYS[:4]))
    claim = transfer_claims(read(KEYS[:4]))[2]
    assert [one.verdict for one in claim.comparisons] == [verdict] * 2
    assert claim.verdict == verdict
    assert claim.kind == {"holds": "good", "does not hold": "bad"}.get(verdict, "")
    clean = level("detection", "dynamic", "fixed_feature")
    assert claim.comparisons[0].numbers == (
        f"detection, fixed features: dynamic keeps {percent(kept)} % ({percent(kept - WIDTH)} to "
        f"{percent(kept + WIDTH)}, gap {percent(clean - kept * clean)} points), original 75.0 % (73.0 to 77.0, "
        f"gap {percent(level('detection', 'original', 'fixed_feature') / 4)} points)"
    )
    assert f"{verdict.capitalize()} . " in section(run(), "transfer")


def test_a_claim_whose_comparisons_differ_says_how_often(project: Path) -> None:
    for key, kept in ((KEYS[2], 0.9), (KEYS[3], 0.6)):
        write_transfer(project, [key], kept=kept)
    claim = transfer_claims(read())[2]
    assert claim.verdict == "holds in 1, does not hold in 1, not decided in 2 of 4"
    assert claim.kind == ""


def test_a_baseline_with_the_smallest_gap_leaves_nothing_to_ask(project: Path) -> None:
    path = project / "scores/in9/original.json"
    content = json.loads(path.read_text())
    for judged in (content, *content["seeds"]):
        judged["bg_gap"] = 0.0
    write_json(path, content)
    claim = transfer_claims(read())[2]
    assert (claim.verdict, claim.comparisons) == ("not run", ())
    assert claim.missing == "needs a recipe with a smaller BG-gap than the baseline's as a backbone"


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(("rpc", "verdict"), [(0.75, "holds"), (0.25, "does not hold"), (0.52, "not decided")])
def test_a_swin_is_held_against_robust_networks(rpc: float, verdict: str) -> None:
    assert transfer_claims(read())[0].missing.startswith("needs a Swin with trained weights (arch: swin_t) and a rob")
    edited(KEYS[0], record={"arch": "resnet50", "published": "ant"})
    edited(KEYS[2], record={"arch": "swin_t", "weights": "DEFAULT"}, summary__box_ap__rpc=estimated(rpc))
    claim = transfer_claims(read())[0]
    assert claim.verdict == verdict
    assert claim.comparisons[0].numbers.startswith(f"detection, fixed features: dynamic has an rPC of {percent(rpc)} %")
    edited(KEYS[2], record={"arch": "swin_t", "weights": None})
    assert transfer_claims(read())[0].verdict == "not run"  # drawn at random: no vanilla Swin


CLASSIFIED = tuple(f"classification-{name}-{mode}" for name in ("original", "dynamic") for mode in MODES)


@pytest.mark.parametrize(
    ("fixed", "full", "plain", "verdict"),
    [
        (0.75, 0.5, 0.5, "holds"),
        (0.75, 0.6, 0.5, "does not hold"),  # less than before, and still more than a plain one's
        (0.5, 0.75, 0.9, "does not hold"),
        (0.5, 0.49, 0.5, "not decided"),
    ],
)
def test_robustness_is_lost_where_fine_tuning_takes_it(
    project: Path, fixed: float, full: float, plain: float, verdict: str
) -> None:
    assert transfer_claims(read())[1].missing == "needs the task classification"
    for key, rpc in zip(CLASSIFIED, (0.5, plain, fixed, full), strict=True):
        write_transfer(project, [key], rpc=rpc)
    assert transfer_claims(read(CLASSIFIED))[1].missing.startswith("needs a robust backbone (published: ant, ")
    # A recipe counts as robust where its own mPC says so.
    for recipe in RECIPES:
        write_corruptions(project, recipe)
    for key in ("original", "dynamic"):
        path = project / f"scores/corruptions/{key}.json"
        content = json.loads(path.read_text())
        content["seeds"][0]["regions"]["whole"]["summary"]["mpc"] = 0.9 if key == "dynamic" else 0.5
        write_json(path, content)
    claim = transfer_claims(read(CLASSIFIED, corrupted=True))[1]
    assert claim.verdict == verdict
    assert claim.comparisons[0].numbers == (
        f"dynamic has an rPC of {percent(fixed)} % ({percent(fixed - WIDTH)} to {percent(fixed + WIDTH)}) with fixed "
        f"features, {percent(full)} % ({percent(full - WIDTH)} to {percent(full + WIDTH)}) in full (original "
        f"{percent(plain)} % ({percent(plain - WIDTH)} to {percent(plain + WIDTH)}) in full)"
    )
    assert claim.test.endswith("it holds. Counted as robust: dynamic.")
    one_mode = [key for key in CLASSIFIED if not key.endswith("full_network")]
    assert transfer_claims(read(one_mode, corrupted=True))[1].missing == "needs the mode full_network"


@pytest.mark.usefixtures("project")
def test_the_small_table_has_a_row_a_network() -> None:
    run()
    numbers = json.loads(Path("report/metrics.json").read_text())
    table = render_transfer(numbers)
    assert table is not None
    clean = level("detection", "original", "fixed_feature")
    cells = (clean, clean / 2, 0.75 * clean, 0.25 * clean)
    assert table.splitlines()[2] == f"| {KEYS[0]} | box_ap | {' | '.join(map(percent, cells))} |"
    assert len(table.splitlines()) == 2 + len(KEYS)
    del numbers["transfer"]
    assert render_transfer(numbers) is None


@pytest.mark.usefixtures("project")
def test_a_second_run_writes_the_same_bytes_and_a_light_page() -> None:
    run()
    first = {path.name: path.read_bytes() for path in Path("report").iterdir()}
    run()
    assert {path.name: path.read_bytes() for path in Path("report").iterdir()} == first
    assert len(first["index.html"]) < 1_000_000
    for key in KEYS:
        TransferScores.model_validate(transfer_scores(key))
