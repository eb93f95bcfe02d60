"""Put the table of all recipes, as the report has it, into the README: between its lines `<!-- seeds -->` and
`<!-- /seeds -->`.
"""

import argparse
import json
from pathlib import Path

from bgdata.errors import InputError
from bgdata.report.table import put_between_marks, render_markdown
from bgdata.shards import write_text_whole
from pipeline._stage import REPORT, run_stage


def main(arguments: argparse.Namespace) -> None:
    """Print the table, and write it."""
    if not arguments.metrics.is_file():
        raise InputError(f"{arguments.metrics} is missing: run `dvc repro` first, or name another with --metrics")
    table = render_markdown(json.loads(arguments.metrics.read_text()))
    print(table)
    write_text_whole(arguments.readme, put_between_marks(arguments.readme.read_text(), "seeds", table))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m pipeline.table", description=__doc__)
    parser.add_argument("--metrics", type=Path, default=REPORT / "metrics.json", help="default: %(default)s")
    parser.add_argument("--readme", type=Path, default=Path("README.md"), help="default: %(default)s")
    run_stage(main, parser)
