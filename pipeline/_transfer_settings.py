"""What each stage of the transfer reads of params.yaml."""

from typing import Any

from bgdata.transfer_sets.settings import Task
from models.transfer.settings import Mode, TransferSettings


def transfer_settings(transfer: TransferSettings, *, seed: int) -> dict[str, Any]:
    """The settings of the transfer's stages by the name of their file; None of a task that is left out."""
    used = {name for task in transfer.tasks if (name := transfer.by_task[task].set) is not None}
    sets = {name: transfer.sets[name].model_dump() for name in transfer.sets if name in used}
    backbones = {name: backbone.model_dump(exclude_unset=True) for name, backbone in transfer.backbones.items()}
    resolved: dict[str, Any] = {
        "fetch_transfer": {"sets": sets, "seed": seed},
        "transfer_backbones": {"backbones": backbones if used else {}},
    }
    for task in transfer.tasks:
        for mode in transfer.modes:
            for name in transfer.backbones:
                key = f"{task}-{name}-{mode}"
                resolved[f"transfer_train-{key}"] = _training(transfer, task, name, mode, seed)
                resolved[f"transfer_evaluate-{key}"] = _judging(transfer, task, seed)
    return resolved


def judged_transfers(transfer: TransferSettings) -> list[str]:
    """The `<task>-<backbone>-<mode>` that have results, in the order of params.yaml."""
    return [
        f"{task}-{name}-{mode}"
        for task in transfer.tasks
        for name in transfer.backbones
        for mode in transfer.modes
        if transfer.by_task[task].set is not None
    ]


def _training(transfer: TransferSettings, task: Task, backbone: str, mode: Mode, seed: int) -> dict[str, Any] | None:
    settings = transfer.by_task[task]
    if settings.set is None:
        return None
    return {
        "task": task,
        "backbone": {"name": backbone} | transfer.backbones[backbone].model_dump(exclude_unset=True),
        "network": settings.model_dump()["network"],
        "train": settings.schedule(mode).model_dump(),
        "data": _data(transfer, settings.set, seed),
        "seeds": transfer.seeds,
    }


def _judging(transfer: TransferSettings, task: Task, seed: int) -> dict[str, Any] | None:
    name = transfer.by_task[task].set
    if name is None:
        return None
    return {
        "data": _data(transfer, name, seed),
        "background": transfer.background if transfer.sets[name].has_objects else None,
        "corruptions": transfer.corruptions.model_dump(),
    }


def _data(transfer: TransferSettings, name: str, seed: int) -> dict[str, Any]:
    return {"name": name, "set": transfer.sets[name].model_dump(), "seed": seed}
