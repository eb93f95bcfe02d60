"""Train the U-Net student on the masks that the segment stage made: a checkpoint, its history and its provenance."""

import argparse
import json
from pathlib import Path
from typing import Any

from bgdata.shards import MANIFEST, write_csv, write_text_whole
from models.devices import resolve_device, resolve_precision
from models.unet.checkpoints import save_unet
from models.unet.settings import UNetJob
from models.unet.train import fit_unet
from models.weights.files import file_sha256
from pipeline._stage import RUNS, SETS, read_settings, run_stage, runtime
from pipeline._workspace import workspace


def main(_: argparse.Namespace) -> None:
    """Write `model.pt`, `history.csv` and `provenance.json`; the last alone where no student is asked for."""
    settings = read_settings("train_unet")
    manifests = {name: SETS / name / MANIFEST for name in ("photos", "masks")}
    with workspace("train_unet", settings=settings, inputs=manifests, outs={"run": RUNS / "unet"}) as work:
        run = work / "run"
        run.mkdir(exist_ok=True)
        provenance = _train(UNetJob.model_validate(settings), work, run) if settings["unet"] else {"trained": False}
        write_text_whole(run / "provenance.json", json.dumps(provenance, indent=1) + "\n")


def _train(job: UNetJob, work: Path, run: Path) -> dict[str, Any]:
    device = resolve_device(runtime()["device"])
    precision = resolve_precision(job.unet.precision, device)
    unet, history = fit_unet(
        SETS / "photos",
        SETS / "masks",
        work,
        settings=job.unet,
        seed=job.seed,
        device=device,
        precision=precision,
        workers=runtime()["workers"],
    )
    record = save_unet(
        run / "model.pt",
        unet,
        threshold=job.unet.threshold,
        record={
            "params": job.unet.model_dump(),
            "data": {name: file_sha256(SETS / name / MANIFEST) for name in ("photos", "masks")},
            "seed": job.seed,
            "device": device.type,
            "precision": str(precision).removeprefix("torch."),
        },
    )
    write_csv(run / "history.csv", list(history[0]), history)
    return record | {"checkpoint_sha256": file_sha256(run / "model.pt")}


if __name__ == "__main__":
    run_stage(main, argparse.ArgumentParser(prog="python -m pipeline.train_unet", description=__doc__))
