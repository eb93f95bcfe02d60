"""Training on biased digits, where its networks look, and MNIST's files."""

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.datasets import MNIST

from bgdata.digits.bias import BIASES, TESTS, bias_digits
from bgdata.digits.plain import Digits, open_embedded
from bgdata.errors import InputError
from models.digits.experiment import COLUMNS, METHODS, compare_methods
from models.digits.mnist import open_mnist
from models.digits.network import build_digit_classifier
from models.digits.scores import score_on_digits
from models.digits.settings import BiasWeights, DigitsSettings, PenaltyWeights
from models.digits.training import train_on_digits
from models.training.augment import crop_and_flip
from models.training.settings import PenaltySettings

CPU = torch.device("cpu")
WEIGHTS = PenaltyWeights(absolute=1000.0, proportional=1.0)
SETTINGS = DigitsSettings(
    source="embedded",
    noise=0.05,
    gap=3,
    epochs=1,
    batch_size=32,
    lr=1e-3,
    weights=BiasWeights(one_pixel=WEIGHTS, coloured=WEIGHTS, coloured_gap=WEIGHTS),
)


@pytest.fixture(scope="module")
def digits() -> tuple[Digits, Digits]:
    train, test = open_embedded(seed=0)
    return train.take(list(range(96))), test.take(list(range(40)))


def test_every_method_is_scored_on_every_bias_and_a_second_run_reads_it(
    digits: tuple[Digits, Digits], tmp_path: Path
) -> None:
    result, rows = compare_methods(*digits, SETTINGS, seed=0, seeds=[0, 4], device=CPU, folder=tmp_path, workers=1)
    assert result["images"] == {"train": 80, "validation": 16, "test": 40}
    assert tuple(result["sets"]) == BIASES
    for judged in result["sets"].values():
        assert tuple(judged["methods"]) == METHODS
        for method, score in judged["methods"].items():
            assert (score["weight"] is None) == (method == "plain")
            assert [run["seed"] for run in score["runs"]] == [0, 4]
            for run in score["runs"]:
                assert tuple(run["tests"]) == TESTS
                assert all(test["count"] == 40 for test in run["tests"].values())
                assert run["penalty_size"] > 0
    assert len(rows) == 2 * len(BIASES)
    assert all(len(row.cells) == len(COLUMNS) for row in rows)
    states = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("state.pt")}
    assert len(states) == len(BIASES) * len(METHODS) * 2
    again, _ = compare_methods(*digits, SETTINGS, seed=0, seeds=[0, 4], device=CPU, folder=tmp_path, workers=1)
    assert again == result
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("state.pt")} == states


@pytest.mark.slow
def test_processes_and_threads_change_nothing(digits: tuple[Digits, Digits], tmp_path: Path) -> None:
    one, two = (
        compare_methods(
            *digits, SETTINGS, seed=0, seeds=[0], device=CPU, folder=tmp_path / str(workers), workers=workers
        )
        for workers in (1, 2)
    )
    assert one[0] == two[0]


def test_a_penalty_turns_the_network_from_the_bias_and_it_still_learns(
    digits: tuple[Digits, Digits], tmp_path: Path
) -> None:
    train, test = (bias_digits(part, "one_pixel", says="biased", noise=0.0, gap=1, seed=0) for part in digits)
    settings = SETTINGS.model_copy(update={"epochs": 12, "batch_size": 16, "lr": 3e-3})
    share = {}
    for name, penalty in (("plain", None), ("absolute", PenaltySettings(kind="absolute", weight=300.0))):
        classifier, history = train_on_digits(
            train, train, settings, penalty=penalty, seed=0, device=CPU, folder=tmp_path / name, label=name
        )
        # A network that learnt nothing would look nowhere in particular, and pass.
        assert history[-1]["val_accuracy"] > 0.9
        share[name] = score_on_digits(classifier, {"biased": test}, device=CPU)["bias_share"]
    assert share["absolute"] < share["plain"] / 4


def test_the_network_is_drawn_by_its_seed_and_touches_no_other() -> None:
    before = torch.get_rng_state()
    first, same, other = (build_digit_classifier(seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(value, same[key]) for key, value in first.items())
    assert not torch.equal(first["network.0.weight"], other["network.0.weight"])


def write_mnist(folder: Path, *, images: int = 3, labels: int = 3) -> Path:
    """Four files as MNIST has them (idx: magic number, sizes, bytes), tiny."""
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part in ("train", "t10k"):
        pixels = np.zeros((images, 28, 28), np.uint8)
        pixels[:, 4:24, 10:18] = 255
        header = struct.pack(">iiii", 0x803, images, 28, 28)
        (raw / f"{part}-images-idx3-ubyte").write_bytes(header + pixels.tobytes())
        header = struct.pack(">ii", 0x801, labels)
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(header + bytes(range(labels)))
    return raw


def test_mnist_is_read_from_its_files(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    train, test = open_mnist(tmp_path)
    assert (train.ids[0], test.ids[2]) == ("train_00000", "test_00002")
    assert train.labels.tolist() == [0, 1, 2]
    assert test.images.max() == 255
    assert test.masks.any((1, 2)).all()


def test_broken_files_of_mnist_are_a_sentence(tmp_path: Path) -> None:
    raw = write_mnist(tmp_path / "short", labels=2)
    with pytest.raises(InputError, match="has 3 images and 2 labels: remove it and run again"):
        open_mnist(tmp_path / "short")
    (raw / "train-images-idx3-ubyte").write_bytes(b"<html>not found</html>")
    with pytest.raises(InputError, match=r"a file of MNIST in .*raw is broken .*: remove the folder, and run again"):
        open_mnist(tmp_path / "short")


def test_without_the_network_mnist_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MNIST, "mirrors", ["http://127.0.0.1:9/"])
    with pytest.raises(InputError, match=r"MNIST could not be downloaded \(.*digits.source to embedded"):
        open_mnist(tmp_path)


def test_without_a_random_crop_a_pixel_stays_where_it_is() -> None:
    images = torch.rand(2, 4, 8, 8)
    assert torch.equal(crop_and_flip(images, torch.Generator(), crop_scale=1.0, flip=False), images)
