"""The weights from which recipes begin: train.weights (a file, or torchvision's), or drawn by each seed."""

import argparse
from pathlib import Path

from bgdata.classes import read_class_list
from models.classifiers.checkpoints import save_classifier
from models.classifiers.classifier import build_classifier
from models.training.settings import INIT
from models.training.start import check_start
from pipeline._stage import RUNS, read_settings, run_folder, run_stage
from pipeline._workspace import workspace


def main(_: argparse.Namespace) -> None:
    """Write one `model.pt` a seed."""
    settings = read_settings("init")
    weights = settings["weights"]
    classes = read_class_list(settings.get("classes"), where="build/config/init.json")
    inputs = {"weights": Path(weights)} if weights and Path(weights).is_file() else {}
    for path in inputs.values():
        check_start(path, classes)
    with workspace("init", settings=settings, inputs=inputs, outs={"run": RUNS / INIT}) as work:
        for number, seed in enumerate(settings["seeds"]):
            classifier = build_classifier(
                settings["arch"], input_size=settings["size"], classes=len(classes), weights=weights, seed=seed
            )
            record = {"recipe": {"name": INIT}, "seed": seed, "class_list": classes.to_record()}
            folder = run_folder(work / "run", number)
            folder.mkdir(parents=True, exist_ok=True)
            save_classifier(folder / "model.pt", classifier, record)


if __name__ == "__main__":
    run_stage(main, argparse.ArgumentParser(prog="python -m pipeline.init", description=__doc__))
