"""Train one recipe, once for each seed: from its start weights and its set to checkpoints with their histories."""

import argparse
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from models.devices import resolve_device
from models.training.distributed import first_ones, is_first, process_group
from pipeline._stage import run_stage, runtime
from pipeline._training import Training


def main(arguments: argparse.Namespace) -> None:
    """Train, then write `model.pt`, `history.csv` and `provenance.json` of each seed."""
    training = Training(arguments.recipe)
    local_rank = os.environ.get("LOCAL_RANK")  # torchrun's
    device = resolve_device(runtime()["device"])
    with (
        process_group(device, None if local_rank is None else int(local_rank)) as device,
        _shared(training.workspace()) as work,
    ):
        for number in training.left(work):
            training.train(number, work, device)


@contextmanager
def _shared(space: AbstractContextManager[Path]) -> Iterator[Path]:
    """The first process's workspace, which it alone locks and publishes, for all that train together."""
    if is_first():
        with space as work:
            yield first_ones(work)
    else:
        yield first_ones(None)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m pipeline.train", description=__doc__)
    parser.add_argument("recipe", help="a name under `recipes` in params.yaml")
    run_stage(main, parser)
