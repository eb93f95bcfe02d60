"""Digits whose class a pixel or the background gives away: plain networks against penalised ones, and where they
look."""

import argparse
import json

from bgdata.digits.plain import open_embedded
from bgdata.shards import write_text_whole
from bgdata.sheets.sheet import SALIENCY, draw_sheet
from models.devices import resolve_device
from models.digits.experiment import COLUMNS, compare_methods
from models.digits.mnist import open_mnist
from models.digits.settings import DigitsJob
from pipeline._stage import DOWNLOADS, SCORES, read_settings, run_stage, runtime
from pipeline._workspace import workspace


def main(_: argparse.Namespace) -> None:
    """Write scores/digits.json and digits.jpg."""
    settings = read_settings("digits")
    job = DigitsJob.model_validate(settings)
    with workspace(
        "digits",
        settings=settings,
        inputs={},
        outs={file: SCORES / file for file in ("digits.json", "digits.jpg")},
    ) as work:
        embedded = job.digits.source == "embedded"
        train, test = open_embedded(seed=job.seed) if embedded else open_mnist(DOWNLOADS / "mnist")
        result, rows = compare_methods(
            train,
            test,
            job.digits,
            seed=job.seed,
            seeds=job.seeds,
            device=resolve_device(runtime()["device"]),
            folder=work / "trainings",
            workers=runtime()["workers"],
        )
        sheet = draw_sheet(rows, title="biased digits: evidence for the true class", columns=COLUMNS, legend=SALIENCY)
        (work / "digits.jpg").write_bytes(sheet)
        write_text_whole(work / "digits.json", json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    run_stage(main, argparse.ArgumentParser(prog="python -m pipeline.digits", description=__doc__))
