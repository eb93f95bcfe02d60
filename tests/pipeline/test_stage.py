"""The workspace: resumed, locked, published whole; errors are sentences with exit code 2."""

import argparse
import errno
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from bgdata.errors import InputError
from pipeline._stage import run_stage
from pipeline._workspace import workspace

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WORK_DIR", raising=False)
    monkeypatch.delenv("DVC_STAGE", raising=False)
    Path("input").write_text("input")


def build(settings: object, *, fail: bool = False, text: str = "whole") -> list[str]:
    """Run a stage of one file; returns what it found of an earlier run."""
    with workspace("mix", settings=settings, inputs={"in": Path("input")}, outs={"set": Path("out/set")}) as work:
        found = sorted(path.name for path in work.rglob("*.tar"))
        (work / "set/parts").mkdir(parents=True, exist_ok=True)
        (work / "set/a.tar").write_text(text)
        (work / "set/parts/a.json").write_text("")
        if fail:
            raise RuntimeError("killed")
    return found


def test_outs_are_published_whole_and_without_scratch() -> None:
    assert build({"a": 1}) == []
    assert [path.name for path in Path("out/set").iterdir()] == ["a.tar"]


def test_a_failed_run_publishes_nothing_and_the_next_goes_on() -> None:
    with pytest.raises(RuntimeError):
        build({"a": 1}, fail=True)
    assert not Path("out").exists()
    assert build({"a": 1}) == ["a.tar"]


def test_other_settings_or_inputs_start_anew() -> None:
    with pytest.raises(RuntimeError):
        build({"a": 1}, fail=True)
    assert build({"a": 2}) == []
    Path("input").write_text("other")
    assert build({"a": 2}) == []


def test_scratch_outlives_a_kill_before_dvc_records_the_outs() -> None:
    build({"a": 1})
    assert build({"a": 1}) == ["a.tar"]
    time.sleep(0.02)
    Path("dvc.lock").write_text("stages:\n  other:\n    outs:\n    - path: out/other\n      size: 5\n")
    assert build({"a": 1}) == ["a.tar"], "another stage was recorded, not this one"
    time.sleep(0.02)
    entry = "    - path: out/set\n      hash: md5\n      md5: 0f.dir\n      size: 5\n      nfiles: 1\n"
    Path("dvc.lock").write_text(f"stages:\n  mix:\n    outs:\n{entry}")
    assert build({"a": 1}) == []


def test_a_removal_that_was_cut_short_is_not_taken_up() -> None:
    with pytest.raises(RuntimeError):
        build({"a": 1}, fail=True)
    (work,) = [path for path in Path(".work/mix").iterdir() if path.is_dir()]
    work.rename(work.with_name(f".gone-{work.name}"))
    assert build({"a": 1}) == []
    assert not list(Path(".work/mix").glob(".gone-*"))


def test_two_writers_never_share_a_workspace() -> None:
    code = """
        import time
        from pathlib import Path
        from pipeline._workspace import workspace
        with workspace("mix", settings={}, inputs={}, outs={}):
            Path("ready").touch()
            time.sleep(60)
    """
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    other = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], env=environment)
    try:
        while not Path("ready").exists():
            time.sleep(0.05)
        with (
            pytest.raises(InputError, match="another process is running mix"),
            workspace("mix", settings={}, inputs={}, outs={}),
        ):
            pass
    finally:
        other.send_signal(signal.SIGKILL)
        other.wait()
    with workspace("mix", settings={}, inputs={}, outs={}):
        pass  # a killed writer's lock is free


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (InputError("mask a is 5x7, its image is 6x7: re-run segment"), "error: mask a is 5x7"),
        (OSError(errno.ENOSPC, "No space left on device", "data/x.tar"), "error: no space is left on data/x.tar"),
        (OSError(errno.ENOSPC, "No space left on device"), "error: no space is left on the disk"),
        (PermissionError(errno.EACCES, "Permission denied", "x"), "error: x cannot be read or written (Permission"),
        (FileExistsError(errno.EEXIST, "File exists", "x"), "error: x cannot be read or written (File exists)"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "x"), "error: x cannot be read or written (File name"),
    ],
)
def test_a_users_mistake_is_a_sentence_and_exit_code_2(
    failure: Exception, words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def main(_: argparse.Namespace) -> None:
        raise failure

    monkeypatch.setattr(sys, "argv", ["stage"])
    with pytest.raises(SystemExit) as caught:
        run_stage(main, argparse.ArgumentParser())
    assert caught.value.code == 2
    printed = capsys.readouterr().err
    assert printed.startswith(words)
    assert "Traceback" not in printed


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def main(_: argparse.Namespace) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(sys, "argv", ["stage"])
    with pytest.raises(ValueError, match="a bug"):
        run_stage(main, argparse.ArgumentParser())
