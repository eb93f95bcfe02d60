"""Commands, run in this process: a process of its own takes three seconds to import torch."""

import runpy
import sys
from collections.abc import Callable

import pytest

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `python -m pipeline.<module> <arguments>`: its exit code, and what it said on stdout and stderr."""
    monkeypatch.setattr(sys, "path", list(sys.path))

    def run(module: str, *arguments: str) -> tuple[int, str, str]:
        monkeypatch.delitem(sys.modules, f"pipeline.{module}", raising=False)
        monkeypatch.setattr(sys, "argv", [f"{module}.py", *arguments])
        code = 0
        try:
            runpy.run_module(f"pipeline.{module}", run_name="__main__")
        except SystemExit as ended:
            code = int(ended.code or 0)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run
