"""Who imports whom, read off the text by patterns: another way than `pipeline._code` goes, to hold it against."""

import re
from functools import cache
from pathlib import Path

ROOMS = ("bgdata", "models", "pipeline")
_FROM = re.compile(r"^\s*from ([\w.]+) import (\([^)]*\)|.+)$", re.MULTILINE)


@cache
def importers(root: Path) -> dict[str, set[str]]:
    """Each module's file to the files whose text imports it."""
    found: dict[str, set[str]] = {}
    for path in python_files(root):
        for module, names in _FROM.findall((root / path).read_text()):
            for name in (module, *(f"{module}.{name}" for name in re.findall(r"\w+", names))):
                stem = name.replace(".", "/")
                for file in (f"{stem}.py", f"{stem}/__init__.py"):
                    found.setdefault(file, set()).add(path)
    return found


def python_files(root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for room in ROOMS for path in (root / room).rglob("*.py")]


def stages_that_reach(root: Path, *files: str) -> set[str]:
    """The stages (and plain doors) that import one of these files, over however many others."""
    graph, reached, pending = importers(root), set(), list(files)
    while pending:
        path = pending.pop()
        if path not in reached:
            reached.add(path)
            pending += graph.get(path, ())
    names = (re.fullmatch(r"pipeline/([a-z]\w*)(/__main__)?\.py", path) for path in reached)
    return {name[1] for name in names if name}
