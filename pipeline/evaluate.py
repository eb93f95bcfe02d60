"""Judge one recipe's classifier on the eight variants: accuracy by class, and the BG-gap."""

import argparse
import json

from bgdata.labels import CLASS_COUNT
from bgdata.shards import write_text_whole
from models.checkpoints import file_sha256, load_classifier
from models.devices import resolve_device
from models.evaluation.in9 import bg_gap, judge_variants
from pipeline._stage import RUNS, SCORES, SETS, run_stage, runtime

SPLIT = "val"


def main(arguments: argparse.Namespace) -> None:
    """Judge, then write `scores/in9/<recipe>.json`."""
    checkpoint = RUNS / arguments.recipe / "model.pt"
    classifier, record = load_classifier(checkpoint)
    variants = judge_variants(
        classifier,
        SETS,
        split=SPLIT,
        device=resolve_device(runtime()["device"]),
        eval_batch=runtime()["eval_batch"],
        workers=runtime()["workers"],
    )
    score = {
        "recipe": arguments.recipe,
        "checkpoint_sha256": file_sha256(checkpoint),
        "seed": record["seed"],
        "split": SPLIT,
        "variants": variants,
        "bg_gap": bg_gap(variants),
        "chance": 1 / CLASS_COUNT,
    }
    out = SCORES / "in9" / f"{arguments.recipe}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text_whole(out, json.dumps(score, indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m pipeline.evaluate", description=__doc__)
    parser.add_argument("recipe", help="a recipe that the train stage has trained")
    run_stage(main, parser)
