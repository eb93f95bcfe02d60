"""A driver that can be killed: python -m tests.engines.ray_driver <folder> <address or -> <count> <seconds>."""

import sys
from pathlib import Path

from bgdata import parallel
from bgdata.engines.ray import open_engine
from tests.engines.ray_tasks import engine_settings, shards


def main(folder: str, address: str, count: str, seconds: str) -> None:
    ray = {"address": None if address == "-" else address, "window": 2}
    work = shards(Path(folder), int(count), "", float(seconds))
    with parallel.spread_by(open_engine(engine_settings(ray=ray), Path(folder))):
        parallel.run_tasks(work.function, work.tasks, workers=2, total=6 * int(count), label="shards", unit="photo")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(130)
