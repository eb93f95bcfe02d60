"""params.yaml as a person wrote it: read, merged with its profile, and every mistake in it named at once."""

import difflib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from bgdata.errors import InputError
from bgdata.settings import Settings
from bgdata.text import read_text
from pipeline.params import PROFILES, Params


def read_params(path: Path) -> Params:
    """Read, merge and validate the whole file, all profiles of it.

    Raises InputError with one line for each mistake, each with its YAML path.
    """
    try:
        raw = YAML(typ="safe", pure=True).load(read_text(path))
    except YAMLError as error:
        raise InputError(_broken(path, error)) from error
    if not isinstance(raw, dict) or raw.get("profile") not in PROFILES or not isinstance(raw.get("profiles"), dict):
        raise InputError(f"{path}: profile must be one of {', '.join(PROFILES)}, and profiles must hold their settings")
    sections = {key: value for key, value in raw.items() if key not in ("profile", "profiles")}
    mistakes: dict[str, None] = {}
    for name in raw["profiles"]:
        if name not in PROFILES:
            mistakes[f"profiles.{name}: unknown profile (known: {', '.join(PROFILES)})"] = None
    merged: dict[str, Params] = {}
    for name in PROFILES:
        overrides = raw["profiles"].get(name) or {}
        if not isinstance(overrides, dict):
            mistakes[f"profiles.{name}: {overrides!r} is wrong: it should hold sections"] = None
            overrides = {}
        overrides = _of_known_recipes(overrides, sections)
        mistakes |= dict.fromkeys(_doubly_set(sections, overrides, f"profiles.{name}"))
        try:
            merged[name] = Params.model_validate(_merge(sections, overrides))
        except ValidationError as error:
            mistakes |= dict.fromkeys(_sentence(detail, overrides, name) for detail in error.errors())
    mistakes = _said_once(mistakes)
    if mistakes:
        count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        raise InputError(f"{path} has {count}:\n" + "\n".join(f"  {mistake}" for mistake in mistakes))
    return merged[raw["profile"]]


def _said_once(mistakes: dict[str, None]) -> dict[str, None]:
    """What every profile says of the file as a whole is the file's mistake."""
    found: dict[str, None] = {}
    for mistake in mistakes:
        said = mistake.partition(": ")[2]
        is_files = all(f"profiles.{name}: {said}" in mistakes for name in PROFILES)
        found[f"params.yaml: {said}" if is_files else mistake] = None
    return found


def _broken(path: Path, error: YAMLError) -> str:
    """One line where the parser writes ten."""
    if isinstance(error, MarkedYAMLError) and error.problem_mark:
        place = f"{path}:{error.problem_mark.line + 1}"
        return f"{place} is not valid YAML: {' '.join((error.problem or 'broken').split())}"
    return f"{path} is not valid YAML: {' '.join(str(error).split())}"


def _of_known_recipes(overrides: Mapping[str, Any], sections: Mapping[str, Any]) -> Mapping[str, Any]:
    """Without what a profile sets of recipes that are not there, so that a recipe can be taken out in one place."""
    recipes, known = overrides.get("recipes"), sections.get("recipes")
    if not isinstance(recipes, dict) or not isinstance(known, dict):
        return overrides
    return {**overrides, "recipes": {name: recipe for name, recipe in recipes.items() if name in known}}


def _merge(sections: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(sections)
    for key, value in overrides.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _doubly_set(sections: Any, overrides: Any, path: str) -> Iterator[str]:
    for key, value in overrides.items():
        if key not in sections:
            continue
        if isinstance(value, dict) and isinstance(sections[key], dict):
            yield from _doubly_set(sections[key], value, f"{path}.{key}")
        else:
            place = f"{path}.{key}".split(".", 2)[2]
            yield f"{path}.{key}: also set as {place}; keep one (in the profile where the profiles differ)"


def _sentence(detail: ErrorDetails, overrides: Mapping[str, Any], profile: str) -> str:
    keys = [str(key) for key in detail["loc"] if key not in ("[key]", "int", "literal['auto']")]
    value: Any = overrides
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    in_profile = value is not None
    path = ".".join([*(["profiles", profile] if in_profile else []), *keys]) or "params.yaml"
    if detail["type"] == "extra_forbidden":
        near = difflib.get_close_matches(keys[-1], _known_keys() - {keys[-1]}, n=1)
        return f"{path}: unknown key" + (f" (did you mean {near[0]}?)" if near else "")
    if detail["type"] == "missing":
        return f"{path}: missing (set it there, or in profiles.{profile})"
    if detail["type"] == "value_error":
        return f"{path}: {detail['msg'].removeprefix('Value error, ')}"
    return f"{path}: {detail['input']!r} is wrong: {re.sub('^Input', 'it', detail['msg'])}"


def _known_keys() -> set[str]:
    known: set[str] = set()
    models = [Settings]
    for model in models:
        known |= model.model_fields.keys()
        models += model.__subclasses__()
    return known
