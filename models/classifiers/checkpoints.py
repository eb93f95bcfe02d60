"""Trained classifiers at rest: weights and a record of where they came from, loadable without running code."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from models.classifiers.classifier import Classifier, build_classifier
from models.classifiers.libraries import LIBRARIES
from models.weights.files import load_weights, read_network, save_network

_NEEDED = ("arch", "input_size", "classes", "recipe", "seed")


def save_classifier(path: Path, classifier: Classifier, record: Mapping[str, Any]) -> dict[str, Any]:
    """Write a classifier with its record (recipe, params, data hashes, seed); returns the record completed."""
    built = {
        "arch": classifier.arch,
        "input_size": classifier.input_size,
        "classes": classifier.classes,
        "head": classifier.head,
    }
    versions = {library: version(library) for library in LIBRARIES}
    return save_network(path, classifier.network, built | dict(record), versions=versions)


def load_classifier(path: Path) -> tuple[Classifier, dict[str, Any]]:
    """A classifier in evaluation mode, on the CPU, and its record.

    Raises InputError where the file is missing, broken, holds code, is another program's, or belies its own record.
    """
    advice = "train the recipe, or give foreign weights as train.weights"
    state, record = read_network(path, _NEEDED, stage="train", advice=advice)
    classifier = build_classifier(
        record["arch"], input_size=record["input_size"], classes=record["classes"], head=record.get("head")
    )
    load_weights(classifier.network, state, source=str(path))
    return classifier.eval(), record
