"""Write the report from the result files: report/index.html to read, metrics.json and six tables for `dvc`."""

import argparse
import json

from bgdata.classes import check_same
from bgdata.shards import write_csv, write_text_whole
from pipeline._stage import CORRUPTED, LEADERBOARD, REPORT, RUNS, SCORES, SETS, read_settings, run_stage
from pipeline.report.correlation import CORRELATION_COLUMNS, correlation_rows, correlation_view
from pipeline.report.corruption_views import read_corruption_view
from pipeline.report.corruptions import CORRUPTION_COLUMNS, corruption_rows
from pipeline.report.digits import read_digits
from pipeline.report.gallery import read_gallery
from pipeline.report.inventory import read_inventory
from pipeline.report.leaderboard import read_leaderboard
from pipeline.report.leak import leak_metrics, read_leak
from pipeline.report.numbers import HISTORY_COLUMNS, IN9_COLUMNS, history_rows, in9_rows, metrics
from pipeline.report.page import render_page
from pipeline.report.places import places_metrics, places_view
from pipeline.report.reading import read_results
from pipeline.report.sweep import SWEEP_COLUMNS, replacement_probabilities, sweep_chart, sweep_rows
from pipeline.report.transfer import TRANSFER_COLUMNS, transfer_rows
from pipeline.report.transfer_views import read_transfer_view


def main(_: argparse.Namespace) -> None:
    """Read all, then write the eight files."""
    settings = read_settings("report")
    mixed = tuple(settings["mix"])
    flows = [name for name, resolved in settings["recipes"].items() if resolved["recipe"]["flow"]]
    results = read_results(
        SCORES,
        RUNS,
        recipes=list(settings["recipes"]),
        seeds=settings["seeds"],
        flows=flows,
        corrupted=settings["corruptions"],
        transfer=settings["transfer"],
    )
    swept = list(sweep_rows(results, replacement_probabilities(settings["recipes"])))
    inventory = read_inventory(SETS, mixed=mixed)
    check_same({str(SCORES): results.classes, str(SETS): inventory.classes})
    judged = [name for name, result in results.segmentation.items() if result["methods"]]
    sheets = {name: SCORES / "segmentation" / f"{name}.jpg" for name in judged}
    gallery = read_gallery(
        SETS,
        mixed=mixed,
        sheets=sheets,
        fooled={name: results.challenge[name]["gallery"] for name in results.compared},
        saliency={
            name: SCORES / "saliency" / f"{name}.jpg" for name in results.compared if results.saliency[name]["variants"]
        },
        seed=settings["seed"],
    )
    corruptions = read_corruption_view(SETS, CORRUPTED, results)
    transfer = read_transfer_view(SCORES, results)
    correlation = correlation_view(results, settings)
    leak, places = read_leak(SCORES, results.provenance), places_view(results)
    board, digits = read_leaderboard(LEADERBOARD), read_digits(SCORES)
    REPORT.mkdir(parents=True, exist_ok=True)
    write_text_whole(
        REPORT / "metrics.json",
        json.dumps(metrics(results) | leak_metrics(leak) | places_metrics(places), indent=1) + "\n",
    )
    write_csv(REPORT / "in9.csv", IN9_COLUMNS, in9_rows(results))
    write_csv(REPORT / "history.csv", HISTORY_COLUMNS, history_rows(results))
    write_csv(REPORT / "p_sweep.csv", SWEEP_COLUMNS, swept)
    write_csv(REPORT / "corruptions.csv", CORRUPTION_COLUMNS, corruption_rows(results.corruptions))
    write_csv(REPORT / "transfer.csv", TRANSFER_COLUMNS, transfer_rows(results.transfer))
    write_csv(REPORT / "correlation.csv", CORRELATION_COLUMNS, correlation_rows(correlation))
    page = render_page(
        results,
        inventory,
        gallery,
        settings=settings,
        board=board,
        digits=digits,
        sweep=sweep_chart(swept),
        corruptions=corruptions,
        transfer=transfer,
        correlation=correlation,
        leak=leak,
        places=places,
    )
    write_text_whole(REPORT / "index.html", page)
    print(f"report: {REPORT / 'index.html'}")


if __name__ == "__main__":
    run_stage(main, argparse.ArgumentParser(prog="python -m pipeline.report", description=__doc__))
