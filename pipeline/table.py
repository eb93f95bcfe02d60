"""Print the table of all recipes, as the report has it."""

import argparse
import json
from pathlib import Path

from bgdata.errors import InputError
from bgdata.shards import write_text_whole
from pipeline._stage import REPORT, run_stage
from pipeline.report.table import put_between_marks, render_markdown

README = Path("README.md")


def main(arguments: argparse.Namespace) -> None:
    """Print the table, and write it where that is asked for."""
    if not arguments.metrics.is_file():
        raise InputError(f"{arguments.metrics} is missing: run `dvc repro` first, or name another with --metrics")
    table = render_markdown(json.loads(arguments.metrics.read_text()))
    print(table)
    if arguments.readme:
        write_text_whole(README, put_between_marks(README.read_text(), "seeds", table))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m pipeline.table", description=__doc__)
    parser.add_argument("--metrics", type=Path, default=REPORT / "metrics.json", help="default: %(default)s")
    parser.add_argument("--readme", action="store_true", help="put it between README.md's <!-- seeds --> lines")
    run_stage(main, parser)
