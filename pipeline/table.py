"""Print the table of all recipes, as the report has it."""

import argparse
from pathlib import Path

from pipeline._stage import REPORT, run_stage
from pipeline.report.table import read_metrics, render_markdown, write_between_marks

README = Path("README.md")


def main(arguments: argparse.Namespace) -> None:
    """Print the table, and write it where that is asked for."""
    table = render_markdown(read_metrics(arguments.metrics))
    print(table)
    if arguments.readme:
        write_between_marks(README, "seeds", table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m pipeline.table", description=__doc__)
    parser.add_argument("--metrics", type=Path, default=REPORT / "metrics.json", help="default: %(default)s")
    parser.add_argument("--readme", action="store_true", help="put it between README.md's <!-- seeds --> lines")
    run_stage(main, parser)
