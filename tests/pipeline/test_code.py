"""A stage's code as one dependency: what it imports, by meaning; what changes it, and what does not."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bgdata.errors import InputError
from pipeline._code import ROOMS, Code, changes
from tests.conftest import ROOT
from tests.imports import python_files, stages_that_reach

PASTE = "bgdata/compose/paste.py"
DATA = sorted(
    path.relative_to(ROOT).as_posix()
    for room in ROOMS
    for path in (ROOT / room).rglob("*.*")
    if path.suffix not in (".py", ".pyc")
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of the rooms, to be changed."""
    for room in ROOMS:
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def code(root: Path) -> dict[str, dict[str, str]]:
    of = Code(root)
    return {stage: of.of(stage) for stage in of.stages()}


BEFORE = code(ROOT)


def changed_stages(root: Path) -> set[str]:
    return {stage for stage, files in code(root).items() if files != BEFORE[stage]}


def edit(path: Path, pattern: str, new: str) -> None:
    text, count = re.subn(pattern, new, path.read_text(), count=1)
    assert count == 1
    path.write_text(text)


def test_comments_docstrings_and_blank_lines_change_nothing(root: Path) -> None:
    edit(root / PASTE, r"\A", "# a comment\n\n")
    edit(root / PASTE, r"Composite `background", "Another docstring: `background")
    edit(root / PASTE, r"\nimport numpy as np\n", "\n\n\nimport numpy as np  # noqa\n\n")
    edit(root / "bgdata/compose/__init__.py", r'\A"""', '"""Another docstring. ')
    assert changed_stages(root) == set()


def test_formatting_changes_nothing(root: Path) -> None:
    for path in python_files(root):
        text = (root / path).read_text()
        (root / path).write_text(ast.unparse(ast.parse(text)))
        assert (root / path).read_text() != text or not text.strip()
    assert changed_stages(root) == set()


def test_a_changed_constant_concerns_exactly_the_stages_that_reach_it(root: Path) -> None:
    edit(root / PASTE, r"clip\(0, 1\)", "clip(0, 2)")
    expected = stages_that_reach(ROOT, PASTE)
    assert {"render", "train", "challenge"} <= expected
    assert {"fetch", "ingest", "mix"}.isdisjoint(expected)
    assert changed_stages(root) == expected
    assert list(changes(BEFORE, code(root))) == [PASTE]


@pytest.mark.parametrize("path", ["bgdata/labels.py", "models/training/loop.py", "pipeline/_judging.py"])
def test_so_does_any_other_module(root: Path, path: str) -> None:
    (root / path).write_text((root / path).read_text() + "\nANOTHER = 1\n")
    assert changed_stages(root) == stages_that_reach(ROOT, path) != set()


@pytest.mark.parametrize("path", DATA)
def test_a_table_or_template_is_code_of_the_stages_that_read_it(path: str) -> None:
    names = {f'"{Path(path).name}"'}
    for _ in DATA:  # the templates that include it, and those that include them
        names |= {f'"{Path(each).name}"' for each in DATA if any(name in (ROOT / each).read_text() for name in names)}
    modules = [file for file in python_files(ROOT) if any(name in (ROOT / file).read_text() for name in names)]
    readers = {stage for stage, files in BEFORE.items() if path in files}
    assert readers == stages_that_reach(ROOT, *modules) != set()


def test_a_changed_byte_of_a_table_or_template_concerns_them(root: Path) -> None:
    touched = {"bgdata/synsets.csv", "pipeline/report/templates/style.css"}
    for path in touched:
        with (root / path).open("a") as file:
            file.write("\n")
    assert changed_stages(root) == {stage for stage, files in BEFORE.items() if touched & files.keys()}


def test_a_new_import_is_seen_wherever_it_stands(root: Path) -> None:
    (root / "pipeline/fresh.py").write_text("from . import _fresh\n")
    (root / "pipeline/_fresh.py").write_text("def late():\n    from bgdata.masks import clean\n")
    assert {"pipeline/_fresh.py", "bgdata/masks/clean.py", "bgdata/masks/__init__.py"} <= Code(root).of("fresh").keys()
    assert {stage: files for stage, files in code(root).items() if stage != "fresh"} == BEFORE


def test_files_of_editors_and_systems_are_no_code(root: Path) -> None:
    (root / "pipeline/._mix.py").write_bytes(b"\0\5\x16\7")
    (root / "pipeline/.#mix.py").symlink_to("nobody@nowhere")
    assert changed_stages(root) == set()


def test_a_module_that_is_started_as_a_process_is_code_too(root: Path) -> None:
    (root / "pipeline/fresh.py").write_text('COMMAND = ["python", "-m", "pipeline.mix"]\n')
    assert Code(root).of("fresh").keys() > BEFORE["mix"].keys()


EVERY_SHAPE = """
@f
class A(B, c=1):
    x: int = 1_000
    y = f'{x!r:>{2}}' 'z', b'', u'u', None, ...
async def g(a, /, b=None, *c, d=-1.5, **e) -> None:
    match a:
        case [1, *_]:
            yield 1j, lambda: (await x)
"""


def test_a_meaning_is_the_same_for_every_python(tmp_path: Path) -> None:
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline/fresh.py").write_text(EVERY_SHAPE)
    assert Code(tmp_path).of("fresh") == {"pipeline/fresh.py": "13ce1e13e6fae71a"}  # as 3.11, 3.12 and 3.13 have it


def test_a_module_that_is_not_python_is_one_sentence(root: Path) -> None:
    (root / PASTE).write_text("def (:\n")
    with pytest.raises(InputError, match=r"bgdata/compose/paste.py, line 1 is not valid Python"):
        Code(root).of("render")


@pytest.mark.parametrize("path", ["bgdata/labels.py", "bgdata/parallel.py", "pipeline/params.py"])
def test_the_first_stage_says_so_before_python_does(root: Path, path: str) -> None:
    (root / path).write_bytes(b"x = '\xff'\n")
    done = config(root)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {path}")
    assert len(done.stderr.splitlines()) == 1


def test_the_first_stage_writes_code_and_says_what_changed(root: Path) -> None:
    shutil.copy(ROOT / "params.yaml", root)
    assert config(root).stdout == ""
    written = {path.stem: json.loads(path.read_text()) for path in (root / "build/code").iterdir()}
    assert written == BEFORE
    edit(root / PASTE, r"clip\(0, 1\)", "clip(0, 2)")
    for arguments in (("--changed",), ()):
        assert config(root, *arguments).stdout.startswith(f"code changed: {PASTE} (backgrounds, challenge, ")
    assert config(root).stdout == ""


def config(root: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "pipeline.config", *arguments]
    environment = os.environ | {"PYTHONPATH": str(root)}
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)


def test_the_first_stage_imports_no_network_library(root: Path) -> None:
    shutil.copy(ROOT / "params.yaml", root)
    code = (
        "import sys\nfrom pipeline.config import _settings\n_settings()\nprint({'torch', 'cv2'} & sys.modules.keys())"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "set()\n"), done.stderr


def test_what_was_kept_is_what_is_found_anew(root: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept/code.json"
    first = Code(root)
    found = {stage: first.of(stage) for stage in first.stages()}
    first.keep(kept)
    again = Code(root, known=kept)
    assert {stage: again.of(stage) for stage in again.stages()} == found == BEFORE


def test_what_was_kept_of_other_content_is_not_taken(root: Path, tmp_path: Path) -> None:
    kept = tmp_path / "code.json"
    before = Code(root)
    before.of("render")
    before.keep(kept)
    edit(root / PASTE, r"clip\(0, 1\)", "clip(0, 2)")
    assert Code(root, known=kept).of("render") == Code(root).of("render") != BEFORE["render"]
    # A new module can be what a text of another one names: then all are read again.
    (root / "pipeline/_fresh.py").write_text("")
    facts = json.loads(kept.read_text())
    kept.write_text(json.dumps(facts | {"facts": {content: ["no hash", []] for content in facts["facts"]}}))
    assert Code(root, known=kept).of("mix") == BEFORE["mix"]


@pytest.mark.parametrize("broken", ["", "{", "[]", '{"listing": 3, "facts": 4}'])
def test_a_broken_file_of_what_was_kept_is_passed_over(root: Path, tmp_path: Path, broken: str) -> None:
    kept = tmp_path / "code.json"
    kept.write_text(broken)
    assert Code(root, known=kept).of("mix") == BEFORE["mix"]
