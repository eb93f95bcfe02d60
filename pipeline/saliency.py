"""Where a recipe's classifier looks: the share of its attribution that falls on the foreground, and a picture sheet."""

import argparse
import json

from bgdata.shards import MANIFEST, write_text_whole
from bgdata.sheets.sheet import SALIENCY, draw_sheet
from bgdata.sources import open_sources
from models.classifiers.checkpoints import load_classifier
from models.classifiers.judged import judged_classifier
from models.devices import resolve_device
from models.evaluation.saliency import SETS_READ, open_pairs, saliency_score
from models.evaluation.saliency_sheet import sheet_columns, sheet_rows
from models.weights.files import file_sha256
from pipeline._stage import RUNS, SCORES, SETS, read_settings, run_stage, runtime
from pipeline._workspace import workspace

SPLIT = "val"


def main(arguments: argparse.Namespace) -> None:
    """Write scores/saliency/<recipe>.json and <recipe>.jpg."""
    recipe = arguments.recipe
    settings = read_settings("saliency")
    checkpoint = RUNS / recipe / "model.pt"
    classifier, record = load_classifier(checkpoint)
    model, device = judged_classifier(classifier), resolve_device(runtime()["device"])
    with workspace(
        f"saliency-{recipe}",
        settings=settings | {"split": SPLIT},
        inputs={name: SETS / name / MANIFEST for name in SETS_READ} | {"checkpoint": checkpoint},
        outs={file: SCORES / "saliency" / file for file in (f"{recipe}.json", f"{recipe}.jpg")},
    ) as work:
        pairs = open_pairs(
            open_sources(SETS, SETS_READ),
            split=SPLIT,
            per_class=settings["per_class"],
            seed=settings["seed"],
            workers=runtime()["workers"],
        )
        score = saliency_score(model, pairs, device=device)
        rows = sheet_rows(model, pairs, score, count=settings["pictured"], device=device)
        columns = sheet_columns(score)
        sheet = draw_sheet(rows, title=f"{recipe}: evidence for the true class", columns=columns, legend=SALIENCY)
        (work / f"{recipe}.jpg").write_bytes(sheet)
        origin = {
            "recipe": recipe,
            "checkpoint_sha256": file_sha256(checkpoint),
            "seed": record["seed"],
            "split": SPLIT,
        }
        write_text_whole(work / f"{recipe}.json", json.dumps(origin | score, indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m pipeline.saliency", description=__doc__)
    parser.add_argument("recipe", help="a recipe that the train stage has trained")
    run_stage(main, parser)
