"""Judge a network of another task on clean images, under corruptions, and before other images' backgrounds."""

import argparse
import json
from collections.abc import Sequence
from typing import Any

from bgdata.corrupt.names import Corruption
from bgdata.errors import InputError
from bgdata.ingest.candidates import LISTING
from bgdata.shards import write_text_whole
from models.devices import resolve_device
from models.transfer.judge import (
    JudgedConditions,
    JudgeRun,
    TrainedNetwork,
    judge_transfer,
    load_networks,
    open_conditions,
)
from models.transfer.pictures import draw_examples
from pipeline._stage import SCORES, TRANSFER, TRANSFER_SETS, read_settings, run_checkpoints, run_stage, runtime
from pipeline._transfer import add_key, open_transfer_set
from pipeline._workspace import workspace


def main(arguments: argparse.Namespace) -> None:
    """Write `scores.json` (all seeds) and `examples.jpg` (the first one's); nothing where the task has no set."""
    key = arguments.key
    settings, out = read_settings(f"transfer_evaluate-{key}"), SCORES / "transfer" / key
    if settings is None:
        out.mkdir(parents=True, exist_ok=True)
        return
    checkpoints = run_checkpoints(TRANSFER / key)
    inputs = {"set": TRANSFER_SETS / settings["data"]["name"] / LISTING}
    inputs |= {f"checkpoint {number}": path for number, path in enumerate(checkpoints)}
    with workspace(f"transfer_evaluate-{key}", settings=settings, inputs=inputs, outs={"scores": out}) as work:
        (work / "scores").mkdir(exist_ok=True)
        (work / "conditions").mkdir(exist_ok=True)
        networks = load_networks(checkpoints)
        conditions = _conditions(key, networks, settings)
        device = resolve_device(runtime()["device"])
        score = judge_transfer(networks, conditions, JudgeRun(device, runtime()["workers"], work / "conditions"))
        write_text_whole(work / "scores" / "scores.json", json.dumps(score, indent=1) + "\n")
        (work / "scores" / "examples.jpg").write_bytes(draw_examples(networks[0], conditions, device, title=key))
    _print(key, score)


def _conditions(key: str, networks: Sequence[TrainedNetwork], settings: dict[str, Any]) -> JudgedConditions:
    """Raises InputError where the checkpoint is another network's."""
    record = networks[0].record
    found = f"{record['task']}-{record['backbone_name']}-{record['mode']}"
    if found != key:
        raise InputError(f"{TRANSFER / key} holds a checkpoint of {found}: train {key} (dvc repro transfer_train)")
    corruptions = [
        Corruption(name, severity, "whole")
        for name in settings["corruptions"]["names"]
        for severity in settings["corruptions"]["severities"]
    ]
    data = open_transfer_set(record["task"], settings["data"], split="val")
    return open_conditions(
        data, background=settings["background"], corruptions=corruptions, seed=settings["data"]["seed"]
    )


def _print(key: str, score: dict[str, Any]) -> None:
    for metric, summary in score["summary"].items():
        numbers = {"clean": score["clean"][metric], "mPC": summary["mpc"], "rPC": summary["rpc"]}
        numbers |= {"swapped": summary["swapped"]}
        said = ", ".join(f"{name} {_number(found)}" for name, found in numbers.items() if found is not None)
        print(f"{key}: {metric} {said}")


def _number(found: dict[str, Any]) -> str:
    return "-" if found["value"] is None else f"{found['value']:.3f}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m pipeline.transfer_evaluate", description=__doc__)
    add_key(parser)
    run_stage(main, parser)
