"""Validate params.yaml, and write what stages depend on: their settings (build/config/) and code (build/code/)."""

import argparse
import json
from pathlib import Path
from typing import Any

from pipeline._code import Code, changes
from pipeline._stage import CODE, CONFIG, known_code, run_stage


def main(arguments: argparse.Namespace) -> None:
    """Resolve params.yaml and the code; with `--changed`, only say what has changed since."""
    code = Code()
    by_stage = {stage: code.of(stage) for stage in code.stages()}
    before = {path.stem: json.loads(path.read_text()) for path in CODE.glob("*.json")}
    for path, stages in changes(before, by_stage).items() if before else ():
        print(f"code changed: {path} ({', '.join(stages)})")
    if not arguments.changed:
        _write(CODE, by_stage)
        code.keep(known_code())
        _write(CONFIG, _settings())


def _settings() -> dict[str, Any]:
    # Here, as the code is read first: a module that is not valid Python is a sentence of `Code`, not a traceback.
    from pipeline._read_params import read_params
    from pipeline._resolve_settings import resolve_settings

    return resolve_settings(read_params(Path("params.yaml")))


def _write(folder: Path, contents: dict[str, Any]) -> None:
    """One JSON file for each of the contents, and no other."""
    from bgdata.shards import write_text_whole

    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        write_text_whole(folder / f"{name}.json", json.dumps(content, indent=1, sort_keys=True) + "\n")
    for path in set(folder.glob("*.json")) - {folder / f"{name}.json" for name in contents}:
        path.unlink()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m pipeline.config", description=__doc__)
    parser.add_argument("--changed", action="store_true", help="only print which modules changed since the last run")
    run_stage(main, parser)
