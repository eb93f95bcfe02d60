"""The code that a stage runs, as one dependency: the project's modules that it imports, each by its meaning.

DVC does not follow imports. `config` writes what is found here into `build/code/<stage>.json`, on which the stage
depends. Imports nothing of the project but the error, so that a mistake in any other module is a sentence.
"""

import ast
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bgdata.errors import InputError

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("bgdata", "models", "pipeline")
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


class Code:
    """The modules and data files of the rooms below `root`; each file is read once.

    `known`: a file that `keep` wrote, if it is there: what it knows of files of the same content is taken from it.
    """

    def __init__(self, root: Path = ROOT, known: Path | None = None) -> None:
        self._root = root
        self._files = {path.relative_to(root).as_posix() for room in ROOMS for path in (root / room).rglob("*.*")}
        self._data: dict[str, list[str]] = {}
        for path in sorted(self._files):
            if not path.endswith((".py", ".pyc")):
                self._data.setdefault(Path(path).name, []).append(path)
        # What files mean depends on which others there are.
        self._listing = hashlib.sha256("\0".join(sorted(self._files)).encode()).hexdigest()
        self._known = _read_known(known, self._listing)
        self._read: dict[str, tuple[str, set[str]]] = {}

    def stages(self) -> list[str]:
        """The names of the modules and packages that `python -m pipeline.<name>` runs, sorted."""
        modules = {path.removesuffix(".py").removesuffix("/__main__") for path in self._files if path.endswith(".py")}
        names = (path.removeprefix("pipeline/") for path in modules if path.startswith("pipeline/"))
        return sorted(name for name in names if "/" not in name and not name.startswith(("_", ".")))

    def of(self, stage: str) -> dict[str, str]:
        """Paths (from the root) to hashes: what `python -m pipeline.<stage>` imports, also inside functions.

        A module counts by its syntax tree without docstrings, which comments and formatting leave as it is, and which
        is the same for any Python from 3.11; a CSV or template that one of them names, by its bytes.

        Raises InputError where a module is not valid Python.
        """
        if stage not in self.stages():
            raise ValueError(f"there is no pipeline/{stage}.py")
        reached: dict[str, str] = {}
        pending = {*self._modules(f"pipeline.{stage}"), *self._modules(f"pipeline.{stage}.__main__")}
        while pending:
            path = pending.pop()
            reached[path], named = self._facts(path)
            pending |= named - reached.keys()
        return dict(sorted(reached.items()))

    def keep(self, path: Path) -> None:
        """Write what is known of each file's content, so that the next one starts sooner."""
        path.parent.mkdir(parents=True, exist_ok=True)
        facts = {content: (meaning, sorted(named)) for content, (meaning, named) in self._known.items()}
        partial = path.with_name(f"{path.name}.tmp")
        partial.write_text(json.dumps({"listing": self._listing, "facts": facts}))
        partial.replace(path)

    def _facts(self, path: str) -> tuple[str, set[str]]:
        """A file's hash, and the files that it names."""
        if path not in self._read:
            content = (self._root / path).read_bytes()
            key = hashlib.sha256(path.encode() + b"\0" + content).hexdigest()
            if key not in self._known:
                self._known[key] = self._understood(path, content)
            self._read[path] = self._known[key]
        return self._read[path]

    def _understood(self, path: str, content: bytes) -> tuple[str, set[str]]:
        if path.endswith(".py"):
            tree = _parse(content, path)
            meaning = repr(_meaning(tree)).encode()
            named = {file for name in _imported(tree, path) for file in self._modules(name)}
            texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
            # A literal may name a module as well: one that is started as a process, or imported by a table.
            named |= {file for text in texts if isinstance(text, str) for file in self._named_by(text)}
        else:
            meaning, text = content, content.decode(errors="replace")
            named = {file for name, files in self._data.items() if name in text for file in files} - {path}
        return hashlib.sha256(meaning).hexdigest()[:16], named

    def _named_by(self, text: str) -> Iterable[str]:
        if text in self._data:
            return self._data[text]
        return self._modules(text) if "." in text and text.partition(".")[0] in ROOMS else ()

    def _modules(self, name: str) -> Iterator[str]:
        """The files of a dotted name: the module, and the packages on the way to it."""
        parts = name.split(".")
        stems = ("/".join(parts[:depth]) for depth in range(1, len(parts) + 1))
        yield from (path for stem in stems for path in (f"{stem}.py", f"{stem}/__init__.py") if path in self._files)


def changes(before: Mapping[str, Mapping[str, str]], now: Mapping[str, Mapping[str, str]]) -> dict[str, list[str]]:
    """The files whose hashes differ, sorted, each with the stages that it concerns; both are code by stage."""
    found: dict[str, list[str]] = {}
    for stage, code in now.items():
        earlier = before.get(stage, {})
        for path in code.keys() | earlier.keys():
            if code.get(path) != earlier.get(path):
                found.setdefault(path, []).append(stage)
    return dict(sorted(found.items()))


def _read_known(path: Path | None, listing: str) -> dict[str, tuple[str, set[str]]]:
    """What `keep` wrote of the same listing of files; nothing where there is none, or half of one."""
    try:
        kept = json.loads(path.read_text()) if path is not None else {}
        facts = kept["facts"] if kept.get("listing") == listing else {}
        return {content: (meaning, set(named)) for content, (meaning, named) in facts.items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {}


def _parse(content: bytes, path: str) -> ast.Module:
    """The syntax tree without docstrings."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        raise InputError(f"{path}{line} is not valid Python ({getattr(error, 'msg', error)}): mend it") from None
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
    return tree


def _meaning(node: Any) -> Any:
    """A syntax tree as plain values, without places in the file and without what newer Pythons add empty."""
    if isinstance(node, ast.JoinedStr):  # Python 3.12.1 puts an empty text behind some
        node.values = [value for value in node.values if not isinstance(value, ast.Constant) or value.value != ""]
    if isinstance(node, ast.AST):
        fields = ((name, getattr(node, name, None)) for name in node._fields if name != "kind")
        return type(node).__name__, [(name, _meaning(value)) for name, value in fields if value not in (None, [])]
    return [_meaning(each) for each in node] if isinstance(node, list) else node


def _imported(tree: ast.Module, path: str) -> Iterator[str]:
    """The dotted names that a module imports, anywhere in it."""
    package = path.split("/")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
