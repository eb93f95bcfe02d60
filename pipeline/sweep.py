"""Put the accuracy against p of several experiments together: a table, `docs/p_sweep.csv`, and a picture of it.

Each experiment (or any Git revision) has its rows in report/p_sweep.csv; `workspace` names the files as they lie here.

    dvc exp run --queue -S train.p=0,0.2,0.4,0.6,0.8,1 && dvc queue start && dvc queue status
    python -m pipeline.sweep EXPERIMENT ... --into docs/measured.md
"""

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import dvc.api
from dvc.exceptions import DvcException
from scmrepo.exceptions import SCMError

from bgdata.errors import InputError
from bgdata.shards import write_csv, write_text_whole
from pipeline._stage import REPORT, run_stage
from pipeline.report.sweep import SWEEP_COLUMNS, draw_sweep, read_sweep, render_sweep
from pipeline.report.table import write_between_marks

TABLE = REPORT / "p_sweep.csv"
OUT = Path("docs/p_sweep.csv")


def main(arguments: argparse.Namespace) -> None:
    """Read all, print the table, write the files."""
    rows = _counted_once(row for name in arguments.experiments for row in _read(name))
    table = render_sweep(rows)
    print(table)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    write_csv(OUT, ("experiment", *SWEEP_COLUMNS), rows)
    write_text_whole(OUT.with_suffix(".svg"), draw_sweep(rows))
    if arguments.into:
        write_between_marks(arguments.into, "p-sweep", table)


def _counted_once(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without the repetitions of runs that several experiments share: a recipe without train.p is trained in one."""
    first: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        first.setdefault(tuple(row[column] for column in SWEEP_COLUMNS), row)
    return list(first.values())


def _read(experiment: str) -> list[dict[str, Any]]:
    try:
        text = TABLE.read_text() if experiment == "workspace" else dvc.api.read(str(TABLE), rev=experiment)
    except (OSError, DvcException, SCMError) as error:
        raise InputError(f"{experiment} has no {TABLE} ({error}): `dvc exp show` lists the experiments") from None
    return [{"experiment": experiment} | row for row in read_sweep(text, f"{TABLE} of {experiment}")]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.sweep", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("experiments", nargs="+", metavar="EXPERIMENT", help="an experiment's name, or a Git revision")
    parser.add_argument(
        "--into", type=Path, metavar="PAGE", help="a Markdown file: put the table between its <!-- p-sweep --> lines"
    )
    run_stage(main, parser)
