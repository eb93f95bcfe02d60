"""Reading the result files of the recipes, and refusing those that do not belong together."""

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bgdata.classes import ClassList, check_same, read_class_list
from bgdata.compose.names import VARIANTS
from bgdata.errors import InputError
from pipeline.report.corruptions import read_corruptions
from pipeline.report.flow import read_flow
from pipeline.report.numbers import HISTORY_COLUMNS, SEGMENTATION_SETS, Results
from pipeline.report.transfer import read_transfer

# The stages that judge the recipes, by the kind of their scores.
_STAGES = {
    "in9": "evaluate",
    "challenge": "challenge",
    "saliency": "saliency",
    "corruptions": "corruptions",
    "flow": "flow",
}


def read_results(
    scores: Path,
    runs: Path,
    *,
    recipes: Sequence[str],
    seeds: Sequence[int],
    flows: Sequence[str] = (),
    corrupted: bool = False,
    transfer: Sequence[str] = (),
) -> Results:
    """Read the files of these recipes, and no others: files of recipes that are gone may still lie there.

    `flows` are those of the recipes that have a flow; `corrupted` says whether recipes were judged under corruptions;
    `transfer` are the `<task>-<backbone>-<mode>` that were judged.

    Raises InputError, naming the file and what to run, where a file is missing, broken, of another recipe, lacks a
    seed, a variant or the challenge's gallery, where a judge judged another checkpoint than the one that training
    left, or where two were judged on different lists of classes.
    """
    if not recipes:
        raise InputError("params.yaml has no recipes: add one under recipes, then run `dvc repro`")
    in9 = {name: _read_json(scores / "in9" / f"{name}.json", "evaluate", name) for name in recipes}
    challenge = {name: _read_json(scores / "challenge" / f"{name}.json", "challenge", name) for name in recipes}
    saliency = {name: _read_json(scores / "saliency" / f"{name}.json", "saliency", name) for name in recipes}
    provenance = {name: _read_json(runs / name / "provenance.json", f"train@{name}") for name in recipes}
    flow = {name: read_flow(scores, name) for name in flows}
    corruptions = read_corruptions(scores, recipes) if corrupted else {}
    # The judges that judge each seed.
    seeded: dict[str, Mapping[str, Any]] = {"in9": in9, "challenge": challenge}
    if corrupted:
        seeded["corruptions"] = {name: found.model_dump() for name, found in corruptions.items()}
    for name in recipes:
        for kind, files in seeded.items():
            _check_seeds(scores / kind / f"{name}.json", files[name], seeds, _STAGES[kind])
        _check_variants(scores / "in9" / f"{name}.json", in9[name])
        _check_gallery(scores / "challenge" / f"{name}.json", challenge[name])
        judged = {kind: files[name] for kind, files in ({"runs": provenance, "saliency": saliency} | seeded).items()}
        _check_checkpoints(name, judged | ({"flow": flow[name].model_dump()} if name in flow else {}))
        for number in range(1, len(seeds)):
            judged = {kind: files[name]["seeds"][number] for kind, files in seeded.items()}
            trained = _read_json(runs / name / f"seed-{number}" / "provenance.json", f"train@{name}")
            _check_checkpoints(name, {"runs": trained} | judged)
    return Results(
        recipes=tuple(recipes),
        seeds=tuple(seeds),
        in9=in9,
        challenge=challenge,
        history={name: _read_history(runs / name / "history.csv", f"train@{name}") for name in recipes},
        provenance=provenance,
        segmentation={name: _read_segmentation(scores, name) for name in SEGMENTATION_SETS},
        saliency=saliency,
        flow=flow,
        corruptions=corruptions,
        transfer=read_transfer(scores, transfer),
        classes=_read_classes(scores, seeded | {"saliency": saliency}),
    )


def _read_json(path: Path, stage: str, recipe: str | None = None) -> dict[str, Any]:
    content = _read(path, stage, json.loads)
    if not isinstance(content, dict):
        raise InputError(f"{path} is not a JSON object: run `dvc repro --force {stage}`")
    if recipe is not None and content.get("recipe") != recipe:
        raise InputError(f"{path} is of recipe {content.get('recipe')}, not {recipe}: run `dvc repro --force {stage}`")
    return content


def _read_classes(scores: Path, judged: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> ClassList:
    """The one list of all results; of saliency's, whose numbers name no class, where they say it."""
    files = {
        str(scores / kind / f"{name}.json"): content
        for kind, by_recipe in judged.items()
        for name, content in by_recipe.items()
        if kind != "saliency" or "class_list" in content
    }
    return check_same({path: read_class_list(file.get("class_list"), where=path) for path, file in files.items()})


def _read_segmentation(scores: Path, name: str) -> dict[str, Any]:
    path, stage = scores / "segmentation" / f"{name}.json", f"evaluate_segmentation@{name}"
    judged = _read_json(path, stage)
    if judged.get("set") != name or not isinstance(judged.get("methods"), dict):
        raise InputError(f"{path} is no result of the set {name}: run `dvc repro --force {stage}`")
    return judged


def _read_history(path: Path, stage: str) -> list[dict[str, str]]:
    rows = _read(path, stage, lambda text: list(csv.DictReader(text.splitlines())))
    missing = [column for column in HISTORY_COLUMNS[1:] if not rows or column not in rows[0]]
    if missing:
        raise InputError(f"{path} has no rows with {', '.join(missing)}: run `dvc repro --force {stage}`")
    return rows


def _read(path: Path, stage: str, parse: Callable[[str], Any]) -> Any:
    try:
        return parse(path.read_text())
    except FileNotFoundError:
        raise InputError(f"{path} is missing: run `dvc repro {stage}`, or `dvc repro` for all") from None
    except (ValueError, csv.Error) as error:
        raise InputError(f"{path} cannot be read ({error}): run `dvc repro --force {stage}`") from error


def _check_seeds(path: Path, score: Mapping[str, Any], seeds: Sequence[int], stage: str) -> None:
    judged = [of_seed.get("seed") for of_seed in score.get("seeds", ())]
    if judged != list(seeds):
        said = ", ".join(map(str, judged)) or "none"
        expected = ", ".join(map(str, seeds))
        raise InputError(
            f"{path} has scores of seeds {said}, expected {expected} (params.yaml): run `dvc repro {stage}`"
        )


def _check_variants(path: Path, in9: Mapping[str, Any]) -> None:
    judged = [in9["variants"], *(of_seed["variants"] for of_seed in in9["seeds"])]
    lacking = [variant for variant in VARIANTS if any(variant not in variants for variants in judged)]
    if lacking:
        raise InputError(f"{path} lacks {', '.join(lacking)}: run `dvc repro --force evaluate`")


def _check_gallery(path: Path, challenge: Mapping[str, Any]) -> None:
    if "gallery" not in challenge:
        raise InputError(f"{path} lacks the gallery: run `dvc repro --force challenge`")


def _check_checkpoints(recipe: str, files: Mapping[str, Mapping[str, Any]]) -> None:
    judged = {name: str(content.get("checkpoint_sha256")) for name, content in files.items()}
    if len(set(judged.values())) > 1:
        of = ", ".join(f"{name} {digest[:12]}" for name, digest in judged.items())
        stages = [stage for kind, stage in _STAGES.items() if kind in files]
        raise InputError(
            f"recipe {recipe} was trained and judged with different checkpoints ({of}): run "
            f"`dvc repro {' '.join(stages)}`"
        )
