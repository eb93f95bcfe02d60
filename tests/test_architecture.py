"""Imports go one way, and dvc.yaml names data, settings and code files alone."""

import ast
from functools import cache
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parent.parent
FLOORS = {"bgdata": 0, "models": 1, "pipeline": 2}


def module_path(name: str) -> Path | None:
    stem = ROOT / name.replace(".", "/")
    for path in (stem.with_suffix(".py"), stem / "__init__.py"):
        if path.is_file():
            return path.relative_to(ROOT)
    return None


@cache
def local_imports(path: Path) -> frozenset[Path]:
    """The project's modules that a file imports itself, the packages on the way to them included."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            if name.split(".")[0] in FLOORS:
                parts = name.split(".")
                found |= {module_path(".".join(parts[: depth + 1])) for depth in range(len(parts))}
    return frozenset(path for path in found if path)


def stages() -> dict[str, dict]:
    definitions = YAML(typ="safe", pure=True).load(ROOT / "dvc.yaml")["stages"]
    return {name: stage.get("do", stage) for name, stage in definitions.items()}


@pytest.mark.parametrize("path", [p.relative_to(ROOT) for room in FLOORS for p in (ROOT / room).rglob("*.py")], ids=str)
def test_imports_go_one_way(path: Path) -> None:
    for imported in local_imports(path):
        assert FLOORS[imported.parts[0]] <= FLOORS[path.parts[0]], f"{path} imports {imported}"


@pytest.mark.parametrize("name", stages())
def test_a_stage_depends_on_its_settings_its_code_and_its_data(name: str) -> None:
    stage = stages()[name]
    module = stage["cmd"].split()[2].removeprefix("pipeline.")
    code = [dep for dep in stage["deps"] if dep.startswith("build/code/") or dep.split("/")[0] in FLOORS]
    # The first stage finds the code of all others: it depends on the rooms as they are.
    assert code == (list(FLOORS) if name == "config" else [f"build/code/{module}.json"])


def test_nobody_imports_a_stage_but_stages() -> None:
    for path in (ROOT / "pipeline").rglob("*.py"):
        for imported in local_imports(path.relative_to(ROOT)):
            if imported.parts[0] == "pipeline" and imported.parts[1] != "report":
                assert imported.name.startswith("_") or imported.name == "params.py", f"{path} imports {imported}"


def test_dvc_config_holds_no_secret() -> None:
    text = (ROOT / ".dvc/config").read_text()
    assert not any(word in text for word in ("access_key", "secret", "password", "connection_string", "token"))


@pytest.mark.parametrize("path", [p.relative_to(ROOT) for p in sorted((ROOT / "bgdata").rglob("*.py"))], ids=str)
def test_bgdata_knows_no_network(path: Path) -> None:
    imported = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            imported.add(node.module.split(".")[0])
    assert not imported & {"torch", "torchvision"}, f"{path}: networks belong into models/"


@pytest.mark.parametrize("path", sorted((ROOT / "pipeline").glob("[a-z]*.py")), ids=lambda path: path.stem)
def test_a_workspace_is_named_after_its_stage(path: Path) -> None:
    """Its fingerprint is of that stage's code."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "workspace":
            (name, *_) = node.args
            text = name.values[0] if isinstance(name, ast.JoinedStr) else name
            assert text.value.removesuffix("-") == path.stem


# ImageNet-9 itself: its table, its drawn scenes, its release, and where it is the default.
OF_IN9 = {
    "bgdata/classes.py",
    "bgdata/labels.py",
    "bgdata/release.py",
    "bgdata/fetch/huggingface.py",
    "bgdata/fetch/sample.py",
    "bgdata/ingest/flat.py",
    "bgdata/ingest/ilsvrc.py",
    "bgdata/ingest/sources.py",
    "pipeline/_resolve_settings.py",
    "pipeline/in9l.py",
    "pipeline/report/leaderboard.py",
    "pipeline/report/words.py",
}


def test_the_table_of_imagenet_9_alone_knows_its_classes() -> None:
    knowing, counting = set(), set()
    for path in (path for room in FLOORS for path in (ROOT / room).rglob("*.py")):
        name, text = path.relative_to(ROOT).as_posix(), path.read_text()
        if name.startswith("bgdata/synthetic/"):
            continue
        knowing |= {name} if Path("bgdata/labels.py") in local_imports(path.relative_to(ROOT)) else set()
        counting |= {name} if any(word in text for word in ("CLASS_COUNT", "CLASS_NAMES", "CLASS_FOLDERS")) else set()
    assert counting == {"bgdata/labels.py"}
    assert knowing <= OF_IN9
