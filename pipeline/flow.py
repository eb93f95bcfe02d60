"""What the flows of recipes know: held-out likelihood, samples against real embeddings, calibration, and a map."""

import argparse
import json
from pathlib import Path

from bgdata.classes import check_same, read_class_list
from bgdata.shards import MANIFEST, write_text_whole
from bgdata.sheets.sheet import draw_sheet
from bgdata.sources import open_sources
from models.classifiers.checkpoints import load_classifier
from models.flow.diagnostics import diagnose, embed_swaps, open_flow
from models.flow.picture import COLUMNS, LEGEND, sheet_rows
from models.flow.swaps import open_swaps, sets_read
from models.weights.files import file_sha256
from pipeline._stage import RUNS, SCORES, SETS, read_settings, run_stage, runtime
from pipeline._workspace import workspace

_PICTURED = 6
# Train photos that the Gaussian is fitted to, for each dimension of the embedding.
_FITTED = 32


def main(_: argparse.Namespace) -> None:
    """Write scores/flow/<recipe>.json and <recipe>.jpg of each recipe with a flow, and which these are."""
    settings = read_settings("flow")
    behind: dict[str, str] = settings["recipes"]  # of each recipe the source of its backgrounds
    checkpoints = {recipe: RUNS / recipe / "model.pt" for recipe in behind}
    sets = dict.fromkeys(name for source in behind.values() for name in sets_read(source))
    with workspace(
        "flow",
        settings=settings,
        inputs={name: SETS / name / MANIFEST for name in sets} | checkpoints,
        outs={"scores": SCORES / "flow"},
    ) as work:
        scores = work / "scores"
        scores.mkdir(exist_ok=True)
        for recipe, checkpoint in checkpoints.items():
            if not (scores / f"{recipe}.json").is_file():
                _measure(recipe, checkpoint, scores, work, source=behind[recipe], seed=settings["seed"])
        write_text_whole(scores / MANIFEST, json.dumps({"recipes": list(checkpoints)}, indent=1) + "\n")


def _measure(recipe: str, checkpoint: Path, scores: Path, work: Path, *, source: str, seed: int) -> None:
    classifier, record = load_classifier(checkpoint)
    backbone, head = open_flow(classifier)
    swaps = {
        split: open_swaps(
            open_sources(SETS, sets_read(source)),
            split=split,
            size=classifier.input_size,
            most=_FITTED * head.latents.shape[1] if split == "train" else None,
            folder=work / f"pixels-{classifier.input_size}",
            workers=runtime()["workers"],
            background_from=source,
        )
        for split in ("train", "val")
    }
    known = read_class_list(record.get("class_list"), where=str(checkpoint))
    check_same({str(checkpoint): known, str(SETS): swaps["val"].classes})
    embedded = {split: embed_swaps(backbone, head, found, seed=seed) for split, found in swaps.items()}
    rows = sheet_rows(backbone, head, swaps["val"], embedded["val"], count=_PICTURED, seed=seed)
    title = f"{recipe}: embeddings on other backgrounds"
    (scores / f"{recipe}.jpg").write_bytes(draw_sheet(rows, title=title, columns=COLUMNS, legend=LEGEND))
    origin = {"recipe": recipe, "checkpoint_sha256": file_sha256(checkpoint), "seed": record["seed"], "split": "val"}
    origin |= {"z_count": record["head"]["z_count"]}
    score = diagnose(head, embedded["train"], embedded["val"], seed=seed)
    write_text_whole(scores / f"{recipe}.json", json.dumps(origin | score, indent=1) + "\n")


if __name__ == "__main__":
    run_stage(main, argparse.ArgumentParser(prog="python -m pipeline.flow", description=__doc__))
