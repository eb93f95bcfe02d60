"""Where a recipe's classifier looks: the share of its attribution that falls on the foreground, and a picture sheet."""

import argparse

from bgdata.sheets.sheet import SALIENCY, draw_sheet
from bgdata.sources import open_sources
from models.devices import resolve_device
from models.evaluation.saliency import SETS_READ, open_pairs, saliency_score
from models.evaluation.saliency_sheet import sheet_columns, sheet_rows
from pipeline._judging import write_result
from pipeline._recipes import SPLIT, judging_space, read_judged
from pipeline._stage import RUNS, SETS, pixel_cache, read_settings, run_stage, runtime


def main(arguments: argparse.Namespace) -> None:
    """Write scores/saliency/<recipe>.json and <recipe>.jpg: of the first seed."""
    recipe, settings = arguments.recipe, read_settings("saliency")
    checkpoint = RUNS / recipe / "model.pt"
    with judging_space(
        "saliency", recipe, settings=settings, sets=SETS_READ, checkpoints=[checkpoint], endings=("json", "jpg")
    ) as work:
        sources = open_sources(SETS, SETS_READ)
        model, origin = read_judged(checkpoint, sources)
        device = resolve_device(runtime()["device"])
        pairs = open_pairs(
            sources,
            split=SPLIT,
            per_class=settings["per_class"],
            seed=settings["seed"],
            workers=runtime()["workers"],
            cache=pixel_cache(),
        )
        score = saliency_score(model, pairs, device=device)
        rows = sheet_rows(model, pairs, score, count=settings["pictured"], device=device)
        columns = sheet_columns(score)
        sheet = draw_sheet(rows, title=f"{recipe}: evidence for the true class", columns=columns, legend=SALIENCY)
        (work / f"{recipe}.jpg").write_bytes(sheet)
        write_result(work / f"{recipe}.json", {"recipe": recipe} | origin | {"split": SPLIT} | score)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m pipeline.saliency", description=__doc__)
    parser.add_argument("recipe", help="a recipe that the train stage has trained")
    run_stage(main, parser)
