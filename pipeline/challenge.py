"""Put one recipe's classifier to the Backgrounds Challenge: each foreground on each background of the test set."""

import argparse
import json

from bgdata.shards import MANIFEST, write_text_whole
from models.checkpoints import file_sha256, load_classifier
from models.devices import resolve_device
from models.evaluation.challenge import SETS_READ, challenge_score, judge_foregrounds, open_challenge
from pipeline._stage import RUNS, SCORES, SETS, run_stage, runtime, workspace

SPLIT = "val"


def main(arguments: argparse.Namespace) -> None:
    """Judge, then write `scores/challenge/<recipe>.json`."""
    checkpoint = RUNS / arguments.recipe / "model.pt"
    classifier, record = load_classifier(checkpoint)
    device = resolve_device(runtime()["device"])
    with workspace(
        f"challenge-{arguments.recipe}",
        settings=SPLIT,
        inputs={name: SETS / name / MANIFEST for name in SETS_READ} | {"checkpoint": checkpoint},
        outs={"score.json": SCORES / "challenge" / f"{arguments.recipe}.json"},
    ) as work:
        data, rows = open_challenge(SETS, split=SPLIT, workers=runtime()["workers"])
        verdicts = judge_foregrounds(
            classifier, data, device=device, eval_batch=runtime()["eval_batch"], progress=work / "progress.json"
        )
        score = {
            "recipe": arguments.recipe,
            "checkpoint_sha256": file_sha256(checkpoint),
            "seed": record["seed"],
            "split": SPLIT,
            **challenge_score(verdicts, data, rows),
        }
        write_text_whole(work / "score.json", json.dumps(score, indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m pipeline.challenge", description=__doc__)
    parser.add_argument("recipe", help="a recipe that the train stage has trained")
    run_stage(main, parser)
