from pathlib import Path

import pytest
import torch

from bgdata.errors import InputError
from models.classifiers.checkpoints import load_classifier, save_classifier
from models.classifiers.classifier import build_classifier
from models.weights.files import file_sha256

RECORD = {
    "recipe": {"name": "original"},
    "params": {"lr": 0.1},
    "data": {"original": "00ff"},
    "seed": 7,
    "device": "cpu",
}


def test_a_classifier_comes_back_with_its_record(tmp_path: Path) -> None:
    classifier = build_classifier("resnet10", input_size=32, seed=1, classes=9).eval()
    save_classifier(tmp_path / "model.pt", classifier, RECORD)
    loaded, record = load_classifier(tmp_path / "model.pt")
    images = torch.rand(2, 3, 40, 40)
    assert torch.equal(loaded(images), classifier(images))
    assert not loaded.training
    assert record | RECORD == record
    assert record["versions"]["torch"] == str(torch.__version__)
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt"]


def test_the_same_classifier_gives_the_same_bytes(tmp_path: Path) -> None:
    hashes = set()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        save_classifier(
            tmp_path / name / "model.pt", build_classifier("resnet10", input_size=32, seed=1, classes=9), RECORD
        )
        hashes.add(file_sha256(tmp_path / name / "model.pt"))
    assert len(hashes) == 1


def test_checkpoints_are_start_weights_too(tmp_path: Path) -> None:
    trained = build_classifier("resnet10", input_size=32, seed=1, classes=9)
    save_classifier(tmp_path / "model.pt", trained, RECORD)
    started = build_classifier("resnet10", input_size=64, weights=str(tmp_path / "model.pt"), seed=2, classes=9)
    assert torch.equal(started.network.fc.weight, trained.network.fc.weight)


def test_wrong_checkpoints_get_their_sentence(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    with pytest.raises(InputError, match="is missing"):
        load_classifier(path)
    torch.save(build_classifier("resnet10", input_size=32, classes=9).network.state_dict(), path)
    with pytest.raises(InputError, match="was not written by the train stage"):
        load_classifier(path)
    save_classifier(path, build_classifier("resnet10", input_size=32, classes=9), RECORD)
    content = torch.load(path, weights_only=True)
    torch.save(content | {"classes": 10}, path)
    with pytest.raises(InputError, match=r"wrong shape: fc.bias 9, expected 10"):
        load_classifier(path)
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(InputError, match="cut short"):
        load_classifier(path)
