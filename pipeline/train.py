"""Train one recipe: from its set to a checkpoint with its history and its provenance."""

import argparse
import json
from pathlib import Path

from bgdata.shards import MANIFEST, write_csv, write_text_whole
from models.checkpoints import file_sha256, save_classifier
from models.classifiers import build_classifier
from models.devices import resolve_device, resolve_precision
from models.training.loop import fit
from models.training.recipes import open_recipe, open_validation, sets_read
from models.training.settings import TrainJob
from pipeline._stage import RUNS, SETS, read_settings, run_stage, runtime, workspace


def main(arguments: argparse.Namespace) -> None:
    """Train, then write `model.pt`, `history.csv` and `provenance.json`."""
    settings = read_settings(f"train-{arguments.recipe}")
    job = TrainJob.model_validate(settings)
    recipe, train, workers = job.recipe, job.train, runtime()["workers"]
    device = resolve_device(runtime()["device"])
    precision = resolve_precision(train.precision, device)
    manifests = {name: SETS / name / MANIFEST for name in sets_read(recipe)}
    weights = {"weights": Path(train.weights)} if train.weights and Path(train.weights).is_file() else {}
    with workspace(
        f"train-{recipe.name}",
        settings=settings,
        inputs=manifests | weights,
        outs={"run": RUNS / recipe.name},
    ) as work:
        pixels, run = work / "pixels", work / "run"
        # Before the data: a mistake in arch or weights is told at once.
        classifier = build_classifier(train.arch, input_size=train.size, weights=train.weights, seed=job.seed)
        data = open_recipe(recipe, SETS, size=train.size, p=job.p, folder=pixels, workers=workers)
        history = fit(
            classifier,
            data,
            train,
            validation=open_validation(SETS, size=train.size, folder=pixels / "val", workers=workers),
            seed=job.seed,
            device=device,
            precision=precision,
            folder=work,
            label=recipe.name,
        )
        run.mkdir(exist_ok=True)
        record = save_classifier(
            run / "model.pt",
            classifier,
            {
                "recipe": recipe.model_dump(),
                "params": train.model_dump(),
                "data": {name: file_sha256(path) for name, path in (manifests | weights).items()},
                "seed": job.seed,
                "device": device.type,
                "precision": str(precision).removeprefix("torch."),
            },
        )
        write_csv(run / "history.csv", list(history[0]), history)
        provenance = record | {"checkpoint_sha256": file_sha256(run / "model.pt")}
        write_text_whole(run / "provenance.json", json.dumps(provenance, indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m pipeline.train", description=__doc__)
    parser.add_argument("recipe", help="a name under `recipes` in params.yaml")
    run_stage(main, parser)
