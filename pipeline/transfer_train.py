"""Train a network for another task on a backbone, once for each seed."""

import argparse
import json
from pathlib import Path
from typing import Any

from bgdata.errors import InputError
from bgdata.ingest.candidates import LISTING
from bgdata.shards import write_text_whole
from bgdata.transfer_sets.base import TaskSet
from models.devices import resolve_device
from models.transfer.checkpoints import load_for, open_task, save_transfer
from models.transfer.presets import find_preset
from models.transfer.settings import BackboneSettings, TrainSettings
from models.transfer.train import HISTORY, TransferRun, train_transfer
from models.weights.files import file_sha256
from pipeline._stage import BACKBONES, RUNS, TRANSFER, TRANSFER_SETS, read_settings, run_folder, run_stage, runtime
from pipeline._transfer import add_key, open_transfer_set
from pipeline._workspace import workspace


def main(arguments: argparse.Namespace) -> None:
    """Write `model.pt`, `history.csv` and `provenance.json` of each seed; nothing where the task has no set."""
    key = arguments.key
    settings = read_settings(f"transfer_train-{key}")
    if settings is None:
        (TRANSFER / key).mkdir(parents=True, exist_ok=True)
        return
    inputs = {
        "backbone": BACKBONES / f"{settings['backbone']['name']}.json",
        "set": TRANSFER_SETS / settings["data"]["name"] / LISTING,
    }
    with workspace(f"transfer_train-{key}", settings=settings, inputs=inputs, outs={"run": TRANSFER / key}) as work:
        data = open_transfer_set(settings["task"], settings["data"], split="train")
        for number, seed in enumerate(settings["seeds"]):
            run = run_folder(work / "run", number)
            if not (run / "provenance.json").is_file():
                _train(settings, seed, data, work / f"seed-{seed}", run)


def _train(settings: dict[str, Any], seed: int, data: TaskSet, state: Path, run: Path) -> None:
    state.mkdir(exist_ok=True)
    task = open_task(settings["task"], settings["network"])
    chosen = {name: value for name, value in settings["backbone"].items() if name != "name"}
    backbone, record = load_for(task.name, BackboneSettings.model_validate(chosen), runs=RUNS, seed=seed)
    _check_backbone(settings["backbone"]["name"], record)
    schedule = TrainSettings.model_validate(settings["train"])
    preset = find_preset(settings["task"], swin="swin" in record["arch"])
    device = resolve_device(runtime()["device"])
    transfer = TransferRun(seed, device, state, runtime()["workers"])
    network, _ = train_transfer(task, backbone, data, preset, schedule, transfer)
    run.mkdir(parents=True, exist_ok=True)
    complete = save_transfer(
        run / "model.pt",
        network,
        {
            "task": task.name,
            "mode": schedule.mode,
            "network": settings["network"],
            "backbone": record,
            "backbone_name": settings["backbone"]["name"],
            "categories": list(data.categories),
            "train": settings["train"],
            "data": {"name": data.name, "digest": data.digest, "images": len(data.ids)},
            "seed": seed,
            "device": device.type,
        },
    )
    write_text_whole(run / HISTORY, (state / HISTORY).read_text())
    provenance = complete | {"checkpoint_sha256": file_sha256(run / "model.pt")}
    write_text_whole(run / "provenance.json", json.dumps(provenance, indent=1) + "\n")


def _check_backbone(name: str, record: dict[str, Any]) -> None:
    """Raise InputError where its weights are others than DVC knows of: it watches the hash, not the file."""
    path = BACKBONES / f"{name}.json"
    if json.loads(path.read_text()).get("sha256") != record.get("checkpoint_sha256"):
        raise InputError(f"the weights of {name} are others than {path} says: run `dvc repro transfer_backbones` first")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m pipeline.transfer_train", description=__doc__)
    add_key(parser)
    run_stage(main, parser)
