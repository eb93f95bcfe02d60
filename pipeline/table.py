"""Print the table of all recipes, as the report has it, and that of the transfer to other tasks."""

import argparse
from pathlib import Path

from pipeline._stage import REPORT, run_stage
from pipeline.report.table import read_metrics, render_markdown, render_transfer, write_between_marks


def main(arguments: argparse.Namespace) -> None:
    """Print the tables, and write that of the recipes where that is asked for."""
    numbers = read_metrics(arguments.metrics)
    table, transfer = render_markdown(numbers), render_transfer(numbers)
    print(table)
    if transfer is not None:
        print(f"\n{transfer}")
    if arguments.into:
        write_between_marks(arguments.into, "results", table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m pipeline.table", description=__doc__)
    parser.add_argument("--metrics", type=Path, default=REPORT / "metrics.json", help="default: %(default)s")
    parser.add_argument(
        "--into", type=Path, metavar="PAGE", help="a Markdown file: put it between its <!-- results --> lines"
    )
    run_stage(main, parser)
