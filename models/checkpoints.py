"""Trained classifiers at rest: weights and a record of where they came from, loadable without running code."""

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision

from bgdata.errors import InputError
from models.classifiers import Classifier, build_classifier
from models.weights import load_weights, read_torch_file, save_whole

_NEEDED = ("state_dict", "arch", "input_size", "classes", "recipe", "seed")


def save_classifier(path: Path, classifier: Classifier, record: Mapping[str, Any]) -> dict[str, Any]:
    """Write a classifier with its record (recipe, params, data hashes, seed); returns the record completed.

    The file is written whole, and its bytes depend on the content alone.
    """
    complete = {
        "arch": classifier.arch,
        "input_size": classifier.input_size,
        "classes": classifier.classes,
        "head": classifier.head,
        **record,
        "versions": {
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "torchvision": torchvision.__version__,
            "numpy": np.__version__,
        },
    }
    state = {key: value.cpu().contiguous() for key, value in classifier.network.state_dict().items()}
    save_whole({"state_dict": state, **complete}, path)
    return complete


def load_classifier(path: Path) -> tuple[Classifier, dict[str, Any]]:
    """A classifier in evaluation mode, on the CPU, and its record.

    Raises InputError where the file is missing, broken, holds code, is another program's, or belies its own record.
    """
    content = read_torch_file(path)
    missing = [key for key in _NEEDED if not isinstance(content, dict) or key not in content]
    if missing:
        raise InputError(
            f"{path} was not written by the train stage (it lacks {', '.join(missing)}): train the recipe, or give "
            "foreign weights as train.weights"
        )
    state = content.pop("state_dict")
    classifier = build_classifier(
        content["arch"], input_size=content["input_size"], classes=content["classes"], head=content.get("head")
    )
    load_weights(classifier.network, state, source=str(path))
    return classifier.eval(), content
