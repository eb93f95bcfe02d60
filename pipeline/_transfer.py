"""What the stages of the transfer share: the key of a network, and its task's set."""

import argparse
from collections.abc import Mapping
from typing import Any

from bgdata.transfer_sets.base import TaskSet
from bgdata.transfer_sets.opening import open_task_set
from bgdata.transfer_sets.settings import TransferSetSettings
from pipeline._stage import transfer_root


def add_key(parser: argparse.ArgumentParser) -> None:
    """Add the argument `key`."""
    parser.add_argument(
        "key",
        metavar="TASK-BACKBONE-MODE",
        help="of transfer.tasks, backbones and modes in params.yaml: detection-original-fixed_feature",
    )


def open_transfer_set(task: str, data: Mapping[str, Any], *, split: str) -> TaskSet:
    """The split of a task's set that a stage's settings name (`name`, `set`, `seed`)."""
    settings = TransferSetSettings.model_validate(data["set"])
    root = transfer_root(data["name"], settings.source)
    return open_task_set(task, settings, root=root, split=split, seed=data["seed"])
