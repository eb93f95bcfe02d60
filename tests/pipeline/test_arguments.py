"""Arguments that cannot be meant: a sentence and exit code 2 before any work starts."""

import argparse
import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bgdata.compose.names import FG_MASK, VARIANTS
from bgdata.errors import InputError
from models.classifiers import loading
from pipeline._arguments import check_file, check_folder, number, part, positive, positive_number, seed
from tests.pipeline.conftest import Run
from tests.releases import draw_release


@pytest.mark.parametrize(
    ("kind", "texts"),
    [
        (positive, ("0", "-3", "", "1.5", "x", "1e3")),
        (seed, ("-1", "x", "0.5")),
        (number, ("x", "", "nan", "inf", "-inf")),
        (positive_number, ("0", "-1", "nan", "inf", "x")),
        (part, ("3/2", "0/2", "-1/2", "1/0", "2", "1/2/3", "a/b", "")),
    ],
)
def test_what_cannot_be_meant_is_refused(kind: Callable[[str], object], texts: tuple[str, ...]) -> None:
    for text in texts:
        with pytest.raises(argparse.ArgumentTypeError, match="expected"):
            kind(text)


def test_what_can_is_taken() -> None:
    assert [positive("1"), seed("0"), number("-1e3"), positive_number("0.5"), part("2/4")] == [1, 0, -1000, 0.5, (2, 4)]


def test_a_place_for_a_result_is_tried_and_left_as_it_was(tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    kept.write_text("kept")
    for out in (kept, tmp_path / "new/folder/out.json", None):
        check_file(out, argument="--out")
    assert kept.read_text() == "kept"
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["kept.json"]


def test_a_place_where_nothing_can_be_written_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    os.mkfifo(tmp_path / "pipe")
    for out, sentence in (
        (tmp_path, r"--out .* is a folder: name a file"),
        (tmp_path / "pipe", r"--out .*pipe is no plain file: name a file"),
        (tmp_path / "file/out.json", r"--out cannot be written \(.*file: File exists\)"),
        (tmp_path / "file/folder/out.json", r"--out cannot be written \(.*folder: Not a directory\)"),
        (tmp_path / ("long" * 70), r"--out cannot be written \(.*File name too long\)"),
    ):
        with pytest.raises(InputError, match=sentence):
            check_file(out, argument="--out")
    with pytest.raises(InputError, match=r"--work cannot be written \(.*file: File exists\)"):
        check_folder(tmp_path / "file", argument="--work")

    def refuse(**_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("tempfile.NamedTemporaryFile", refuse)
    with pytest.raises(InputError, match=r"--out cannot be written \(.*: Read-only file system\)"):
        check_file(tmp_path / "out.json", argument="--out")


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_command: Run) -> Callable[..., str]:
    """Runs a command that must end with code 2 before a model is made; its last line."""
    draw_release(tmp_path / "release", names=(*VARIANTS, FG_MASK), side=16)
    (tmp_path / "file").write_text("{")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(loading, "build_network", lambda *_, **__: pytest.fail("work was begun"))

    def refused(module: str, *arguments: str) -> str:
        code, _, said = run_command(module, *arguments)
        assert code == 2, said
        return said.splitlines()[-1]

    return refused


WHOLE = "expected a whole number of 1 or more"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--size", "0"), f"argument --size: '0': {WHOLE}"),
        (("--size", "-5"), f"argument --size: '-5': {WHOLE}"),
        (("--workers", "0"), f"argument --workers: '0': {WHOLE}"),
        (("--batch", "0"), f"argument --batch: '0': {WHOLE}"),
        (("--batch", "-3"), f"argument --batch: '-3': {WHOLE}"),
        (("--mean", "a", "0", "0"), "argument --mean: 'a': expected a number"),
        (("--std", "1", "0", "1"), "argument --std: '0': expected a number above 0"),
        (("--out", "release"), "--out release is a folder: name a file"),
        (("--out", "file/out.json"), "--out cannot be written (file: File exists)"),
        (("--device", "abacus"), "'abacus', expected auto, cpu, cuda"),
        (("--split", "train"), "has no image of the split train (it has val)"),
    ],
)
def test_the_judges_refuse_before_they_work(
    refused: Callable[..., str], arguments: tuple[str, ...], sentence: str
) -> None:
    for judge in ("evaluate", "challenge"):
        assert sentence in refused(judge, "--data", "release", *arguments)
    if arguments[0] != "--split":
        assert sentence in refused("probe", "--train-data", "release", *arguments)


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("challenge --data release --processes 0", f"argument --processes: '0': {WHOLE}"),
        ("challenge --data release --part 3/2", "argument --part: '3/2': expected I/N with I from 1 to N"),
        ("challenge --data release --processes 2 --part 1/2", "give it, or --processes"),
        ("challenge --data release --work file", "--work cannot be written (file: File exists)"),
        ("evaluate original --out out.json", "--out says nothing of recipes"),
        ("probe --seed -1", "argument --seed: '-1': expected a whole number of 0 or more"),
        ("probe --train-data release", "has no image of the split train (it has val)"),
        ("leaderboard check file --photos -3", f"argument --photos: '-3': {WHOLE}"),
        ("leaderboard check file --foregrounds 0", f"argument --foregrounds: '0': {WHOLE}"),
        ("leaderboard submit --name a --link b --trained-on c --out release", "--out release is a folder"),
        ("fetch_release --out file", "--out cannot be written (file: File exists)"),
        ("export release file", "the folder to export to cannot be written (file: File exists)"),
        ("table --metrics release", "release is missing or a folder"),
        ("table --metrics file", "file is no JSON"),
    ],
)
def test_the_other_doors_do_too(refused: Callable[..., str], command: str, sentence: str) -> None:
    assert sentence in refused(*command.split())


def test_a_table_of_another_file_is_a_sentence(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text(json.dumps({"in9": [1]}))
    assert "other.json holds no `in9`, a row a recipe" in refused("table", "--metrics", "other.json")


def test_exports_are_chosen_by_their_format(run_command: Run, tmp_path: Path) -> None:
    code, _, said = run_command("export", "set", str(tmp_path / "out"), "--format", "voc")
    assert code == 2
    assert "invalid choice: 'voc'" in said
    code, _, said = run_command("export", str(tmp_path / "set"), "--format", "coco")
    assert code == 2
    assert "a folder to export to is missing" in said
    for kind in ("tree", "hf", "subpop", "masks"):
        code, _, said = run_command("export", str(tmp_path / "set"), str(tmp_path / "out"), "--format", kind)
        assert code == 2
        assert "set is not a finished set" in said
    code, _, said = run_command("apply_masks", str(tmp_path / "masks.jsonl"), str(tmp_path))
    assert code == 2
    assert "masks.jsonl is no file: give a masks.jsonl that python -m pipeline.export" in said
