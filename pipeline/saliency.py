"""Where the recipes' classifiers look: how much of the attribution is on the foreground, and a sheet of pictures."""

import argparse
from pathlib import Path
from typing import Any

from bgdata.sheets.sheet import SALIENCY, draw_sheet
from bgdata.sources import open_sources
from models.devices import resolve_device
from models.evaluation.saliency import SETS_READ, open_pairs, saliency_score
from models.evaluation.saliency_sheet import sheet_columns, sheet_rows
from pipeline._recipes import SPLIT, Judge, judge_recipes, read_judged
from pipeline._stage import RUNS, SCORES, SETS, pixel_cache, read_settings, run_stage, runtime


def main(arguments: argparse.Namespace) -> None:
    """Write scores/saliency/<recipe>.json and <recipe>.jpg: of the first seed."""
    out, endings = SCORES / "saliency", ("json", "jpg")
    judge_recipes("saliency", open_judge, only=arguments.recipe, out=out, sets=SETS_READ, endings=endings)


def open_judge() -> Judge:
    """The judge of a recipe, which also draws its sheet."""
    settings, sources = read_settings("saliency"), open_sources(SETS, SETS_READ)
    device = resolve_device(runtime()["device"])
    pairs = open_pairs(
        sources,
        split=SPLIT,
        per_class=settings["per_class"],
        seed=settings["seed"],
        workers=runtime()["workers"],
        cache=pixel_cache(),
    )

    def judge(recipe: str, scores: Path, _: Path) -> dict[str, Any]:
        model, origin = read_judged(RUNS / recipe / "model.pt", sources)
        score = saliency_score(model, pairs, device=device)
        rows = sheet_rows(model, pairs, score, count=settings["pictured"], device=device)
        columns = sheet_columns(score)
        sheet = draw_sheet(rows, title=f"{recipe}: evidence for the true class", columns=columns, legend=SALIENCY)
        (scores / f"{recipe}.jpg").write_bytes(sheet)
        return {"recipe": recipe} | origin | {"split": SPLIT} | score

    return judge


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m pipeline.saliency", description=__doc__)
    parser.add_argument("recipe", nargs="?", help="a recipe that the train stage has trained; default: all")
    run_stage(main, parser)
