"""The table of mean and spread over seeds, from DVC experiments, for the README.

    for seed in 0 1 2; do dvc exp run -n seed-$seed -S seed=$seed; done
    python -m benchmarks.seeds seed-0 seed-1 seed-2 --readme README.md

A seed draws its own scenes, backgrounds and weights, so the spread is that of the whole pipeline. `--readme` puts the
table between the lines `<!-- seeds -->` and `<!-- /seeds -->`.
"""

import argparse
import re
import statistics
from pathlib import Path
from typing import Any

import dvc.api

COLUMNS = ("original", "mixed_same", "mixed_rand", "only_fg", "no_fg", "bg_gap", "challenge_accuracy")


def main() -> None:
    """Print the table, and put it into the README where asked."""
    arguments = _parser().parse_args()
    runs = [dvc.api.metrics_show(rev=name)["in9"] for name in arguments.experiments]
    table = seeds_table(runs)
    print(table)
    if arguments.readme:
        text = arguments.readme.read_text(encoding="utf-8")
        put = re.sub(
            r"(<!-- seeds -->\n).*(<!-- /seeds -->)", lambda found: found[1] + table + "\n" + found[2], text, flags=re.S
        )
        arguments.readme.write_text(put, encoding="utf-8")


def seeds_table(runs: list[dict[str, dict[str, Any]]]) -> str:
    """Markdown: a row a recipe, mean and standard deviation over the runs, in percent."""
    lines = ["| recipe | " + " | ".join(COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for recipe in runs[0]:
        cells = []
        for column in COLUMNS:
            values = [100 * run[recipe][column] for run in runs]
            spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
            cells.append(f"{statistics.mean(values):.1f}{spread}")
        lines.append(f"| {recipe} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiments", nargs="+", help="names of DVC experiments (or any Git revisions)")
    parser.add_argument("--readme", type=Path, help="file to put the table into")
    return parser


if __name__ == "__main__":
    main()
