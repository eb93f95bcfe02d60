"""Any model: what files and names lead to, what is refused, and how outputs are read."""

import argparse
import dataclasses
import pickle
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from bgdata.errors import InputError
from bgdata.labels import IN9, in9_label_by_imagenet_index
from models.classifiers.backbones import load_backbone
from models.classifiers.checkpoints import save_classifier
from models.classifiers.classifier import build_classifier
from models.classifiers.folding import fold_batch_norms
from models.classifiers.judged import IMAGENET_MEAN, IMAGENET_STD, IN9_MEAN, IN9_STD, Judged, judged_classifier
from models.classifiers.libraries import resolve_name
from models.classifiers.loading import ModelSource, load_judged, state_sha256
from models.classifiers.published import build_network
from models.classifiers.saved import saved_folder

IMAGES = torch.rand(3, 3, 48, 48, generator=torch.Generator().manual_seed(0))
# The smallest of torchvision's networks.
ARCH = "shufflenet_v2_x0_5"
Save = Callable[[nn.Module, Path], None]


@pytest.fixture(scope="module")
def network() -> nn.Module:
    """Nine classes."""
    torch.manual_seed(0)
    return torchvision.models.get_model(ARCH, num_classes=9).eval()


def normalised(mean: tuple[float, ...], std: tuple[float, ...]) -> torch.Tensor:
    return (IMAGES - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)


def save_madry(network: nn.Module, path: Path) -> None:
    """As the robustness library's AttackerModel in DataParallel is saved: the network twice, and its normaliser."""
    state = {}
    for key, value in network.state_dict().items():
        state |= {f"module.model.{key}": value, f"module.attacker.model.{key}": value}
    for place in ("normalizer", "attacker.normalize"):
        state[f"module.{place}.new_mean"] = torch.tensor([0.5, 0.4, 0.3]).view(3, 1, 1)
        state[f"module.{place}.new_std"] = torch.tensor([0.2, 0.25, 0.3]).view(3, 1, 1)
    torch.save({"model": state, "epoch": 3, "nat_prec1": torch.tensor(90.0), "optimizer": {"state": {}}}, path)


def save_prefixed(key: str | None, prefix: str) -> Save:
    def save(network: nn.Module, path: Path) -> None:
        state = {f"{prefix}{name}": value for name, value in network.state_dict().items()}
        torch.save(state if key is None else {key: state, "epoch": 1}, path)

    return save


def save_torchscript(network: nn.Module, path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(network, IMAGES).save(path)


FILES: dict[str, Save] = {
    "plain.pt": save_prefixed(None, ""),
    "state.pt": save_prefixed("state_dict", "module."),
    "model_state.pt": save_prefixed("model_state_dict", ""),
    "compiled.pt": save_prefixed("state_dict", "_orig_mod."),
    "wrapped.pt": save_prefixed("model", "module.model."),
    "weights.safetensors": lambda network, path: save_file(dict(network.state_dict()), path),
    "script.pt": save_torchscript,
    "exported.pt2": lambda network, path: torch.export.save(torch.export.export(network, (IMAGES[:2],)), path),
}


@pytest.mark.parametrize("name", FILES)
def test_weights_and_programs_answer_as_the_network(name: str, network: nn.Module, tmp_path: Path) -> None:
    FILES[name](network, tmp_path / name)
    judged, record = load_judged(ModelSource(class_list=IN9, checkpoint=tmp_path / name, arch=ARCH, in9=True))
    with torch.inference_mode():
        expected = network(normalised(IN9_MEAN, IN9_STD))
        assert torch.allclose(judged(IMAGES), expected, atol=1e-4)
    assert record["classes"] == 9
    assert len(record["checkpoint_sha256"]) == 64
    assert len(state_sha256(judged)) == 64


def test_madrylabs_normaliser_is_taken_from_the_file(network: nn.Module, tmp_path: Path) -> None:
    save_madry(network, tmp_path / "madry.pt")
    judged, record = load_judged(ModelSource(class_list=IN9, checkpoint=tmp_path / "madry.pt", arch=ARCH, in9=True))
    with torch.inference_mode():
        assert torch.allclose(judged(IMAGES), network(normalised((0.5, 0.4, 0.3), (0.2, 0.25, 0.3))), atol=1e-4)
    assert record["mean"] == pytest.approx([0.5, 0.4, 0.3])
    said, _ = load_judged(
        ModelSource(
            class_list=IN9,
            checkpoint=tmp_path / "madry.pt",
            arch=ARCH,
            in9=True,
            mean=(0.0, 0.0, 0.0),
            std=(1.0, 1.0, 1.0),
            size=32,
        )
    )
    assert said.mean.flatten().tolist() == [0, 0, 0]
    assert said.size == 32


def test_our_checkpoints_bring_all_that_they_need(tmp_path: Path) -> None:
    classifier = build_classifier("resnet10", input_size=32, seed=1, classes=9).eval()
    save_classifier(tmp_path / "model.pt", classifier, {"recipe": "dynamic", "seed": 1})
    judged, record = load_judged(ModelSource(class_list=IN9, checkpoint=tmp_path / "model.pt", in9=True))
    with torch.inference_mode():
        assert torch.equal(judged(IMAGES), classifier(IMAGES))
        assert torch.equal(judged_classifier(classifier, IN9)(IMAGES), classifier(IMAGES))
    assert (record["arch"], record["recipe"], record["size"]) == ("resnet10", "dynamic", 32)
    with pytest.raises(InputError, match="has 9 classes, expected 1000: say --in9"):
        load_judged(ModelSource(class_list=IN9, checkpoint=tmp_path / "model.pt"))


def test_timm_names_bring_their_preprocessing(tmp_path: Path) -> None:
    import timm

    network = timm.create_model("test_vit", pretrained=False, num_classes=1000).eval()
    torch.save(network.state_dict(), tmp_path / "vit.pt")
    judged, record = load_judged(ModelSource(class_list=IN9, checkpoint=tmp_path / "vit.pt", arch="timm:test_vit"))
    config = network.pretrained_cfg
    assert record["arch"] == "timm:test_vit"
    assert (record["mean"], record["size"]) == ([*config["mean"]], config["input_size"][-1])
    assert judged(IMAGES).shape == (3, 1000)


def test_a_function_of_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "their_models.py").write_text(
        "import torch\n"
        "def nine():\n    return lambda images: images.mean((2, 3)).repeat(1, 3)\n"
        "def from_file(path):\n    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 9))\n"
        "def number():\n    return 5\n"
        "def broken():\n    raise KeyError('layers')\n"
        "def leaves():\n    raise SystemExit(3)\n"
        "def hungry(path, depth):\n    return path\n"
    )
    (tmp_path / "their_typo.py").write_text("def nine()\n    return 9\n")
    (tmp_path / "their_script.py").write_text("import argparse\nraise SystemExit('usage: train.py')\n")
    (tmp_path / "their_error.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    judged, record = load_judged(ModelSource(class_list=IN9, entry="their_models:nine", in9=True))
    assert torch.allclose(judged(IMAGES), IMAGES.mean((2, 3)).repeat(1, 3))
    assert record["entry"] == "their_models:nine"
    for entry in ("their_models:eight", "nowhere:nine", "their_models"):
        with pytest.raises(InputError, match="no function that can be imported"):
            load_judged(ModelSource(class_list=IN9, entry=entry, in9=True))
    for entry, sentence in {
        "their_models:broken": r"their_models:broken raised KeyError: 'layers' \(their_models.py, line 9\)",
        "their_models:leaves": "their_models:leaves raised SystemExit: 3",
        "their_models:hungry": "their_models:hungry raised TypeError: .*missing 2 required",
        "their_typo:nine": r"importing their_typo raised SyntaxError: expected ':' \(their_typo.py, line 1\)",
        "their_script:nine": "importing their_script raised SystemExit: usage",
        "their_error:nine": r"importing their_error raised ZeroDivisionError: .*\(their_error.py, line 1\)",
    }.items():
        with pytest.raises(InputError, match=sentence):
            load_judged(ModelSource(class_list=IN9, entry=entry, in9=True))
    with pytest.raises(InputError, match=r"none.pt is missing: --entry their_models:from_file was to read it"):
        load_judged(
            ModelSource(class_list=IN9, entry="their_models:from_file", checkpoint=tmp_path / "none.pt", in9=True)
        )
    of_folder = load_judged(ModelSource(class_list=IN9, entry="their_models:from_file", checkpoint=tmp_path, in9=True))[
        1
    ]
    assert of_folder["checkpoint"] == tmp_path.name
    assert "checkpoint_sha256" not in of_folder
    with pytest.raises(InputError, match="returned int, expected a network"):
        load_judged(ModelSource(class_list=IN9, entry="their_models:number", in9=True))
    with pytest.raises(InputError, match="gives 9 outputs an image, expected 1000"):
        load_judged(ModelSource(class_list=IN9, entry="their_models:nine"))[0](IMAGES)
    sys.modules.pop("their_models")


def test_what_does_not_fit_is_listed(network: nn.Module, tmp_path: Path) -> None:
    state = dict(network.state_dict())
    state["conv1.0.wieght"] = state.pop("conv1.0.weight")
    torch.save(state, tmp_path / "renamed.pt")
    with pytest.raises(InputError) as error:
        load_judged(ModelSource(class_list=IN9, checkpoint=tmp_path / "renamed.pt", arch=ARCH, in9=True))
    assert "missing: conv1.0.weight" in str(error.value)
    assert "unexpected: conv1.0.wieght" in str(error.value)
    torch.save(network.state_dict(), tmp_path / "nine.pt")
    with pytest.raises(InputError, match=r"nine.pt has 9 classes, expected 1000: say --in9"):
        load_judged(ModelSource(class_list=IN9, checkpoint=tmp_path / "nine.pt", arch=ARCH))


def test_a_second_copy_of_the_network_is_dropped_where_it_is_equal_and_asked_about_where_not(
    network: nn.Module, tmp_path: Path
) -> None:
    save_madry(network, tmp_path / "madry.pt")
    source = ModelSource(class_list=IN9, checkpoint=tmp_path / "madry.pt", arch=ARCH, in9=True)
    assert "left_over" not in load_judged(source)[1]
    content = torch.load(tmp_path / "madry.pt")
    content["model"]["module.attacker.model.conv1.0.weight"] = network.conv1[0].weight + 1
    torch.save(content, tmp_path / "madry.pt")
    with pytest.raises(InputError, match=r"holds 2 networks .*--prefix module.model.*--prefix module.attacker.model"):
        load_judged(source)
    # Until a copy fits the network too, it is only what is left over.
    content["model"]["module.attacker.model.conv1.0.weight"] = torch.zeros(1)
    torch.save(content, tmp_path / "madry.pt")
    judged, record = load_judged(source)
    assert torch.equal(judged.network.conv1[0].weight, network.conv1[0].weight)
    assert record["left_over"] == [f"model.module.attacker.* ({len(network.state_dict())})"]


class Print:
    """A pickle that runs code."""

    def __reduce__(self):
        return print, ("code ran",)


def test_files_that_are_no_weights_get_a_sentence(
    network: nn.Module, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"state_dict": network.state_dict(), "extra": Print()}, tmp_path / "code.pt")
    (tmp_path / "old.pt").write_bytes(pickle.dumps(Print(), protocol=2))
    (tmp_path / "page.safetensors").write_bytes(b"<html>not found</html>")
    torch.save({"epoch": 3}, tmp_path / "none.pt")
    (tmp_path / "cut.pt2").write_bytes(b"PK")
    for name, sentence in {
        "code.pt": "which could run code when loaded",
        "old.pt": "which could run code when loaded",
        "page.safetensors": "is a web page",
        "none.pt": "holds no state dict",
        "cut.pt2": "was cut short or damaged",
        "nowhere.pt": "nowhere.pt is missing",
    }.items():
        with pytest.raises(InputError, match=sentence):
            load_judged(ModelSource(class_list=IN9, checkpoint=tmp_path / name, arch=ARCH, in9=True))
    assert "code ran" not in capsys.readouterr().out


def test_an_exported_program_with_python_objects_is_refused(network: nn.Module, tmp_path: Path) -> None:
    import zipfile

    path = tmp_path / "code.pt2"
    torch.export.save(torch.export.export(network, (IMAGES[:2],)), path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("code/data/constants/opaque_obj_0", pickle.dumps(Print()))
    with pytest.raises(InputError, match=r"opaque_obj_0.*could run code"):
        load_judged(ModelSource(class_list=IN9, checkpoint=path, arch=ARCH, in9=True))


def test_names_that_are_unknown_get_a_sentence(tmp_path: Path, network: nn.Module) -> None:
    torch.save(network.state_dict(), tmp_path / "nine.pt")
    for source, sentence in (
        (ModelSource(class_list=IN9, arch="resnet5", weights="x"), r"is called 'resnet5': try .*resnet50"),
        (ModelSource(class_list=IN9, arch="hub:resnet50"), "names no library"),
        (ModelSource(class_list=IN9, arch="resnet50", weights="IMAGENET_V2"), "expected one of IMAGENET1K_V1"),
        (ModelSource(class_list=IN9, arch="resnet50", in9=True), "has 1000 classes, 9 were asked for"),
        (ModelSource(class_list=IN9, checkpoint=tmp_path / "nine.pt", weights="x", in9=True), "choose one"),
        (
            ModelSource(class_list=IN9, checkpoint=tmp_path / "nine.pt", arch=ARCH, in9=True, std=(0.0, 1.0, 1.0)),
            "std above 0",
        ),
    ):
        with pytest.raises(InputError, match=sentence):
            load_judged(source)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("ResNet18", ("torchvision", "resnet18")),
        ("resnet-18", ("torchvision", "resnet18")),
        ("MobileNet_V3_Small", ("torchvision", "mobilenet_v3_small")),
        ("timm:ResNet18.a1_in1k", ("timm", "resnet18.a1_in1k")),
        ("TIMM:test_vit", ("timm", "test_vit")),
        ("resnet18.a1_in1k", ("timm", "resnet18.a1_in1k")),
        ("timm/resnet18.a1_in1k", ("timm", "resnet18.a1_in1k")),
        ("hf-hub:timm/resnet18.a1_in1k", ("timm", "resnet18.a1_in1k")),
        ("hf_hub:timm/resnet18", ("timm", "resnet18")),
        ("timm:hf_hub:timm/resnet18.a1_in1k", ("timm", "resnet18.a1_in1k")),
        ("https://huggingface.co/timm/resnet18.a1_in1k", ("timm", "resnet18.a1_in1k")),
    ],
)
def test_names_are_taken_as_people_write_them(name: str, found: tuple[str, str]) -> None:
    assert resolve_name(name) == found


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("resnet5", r"try resnet50, resnet\w+, resnet\w+ \(torchvision's or timm's\)$"),
        ("ResNet5", r"try resnet50, resnet\w+, resnet\w+ \("),
        ("vit_b_161", "try vit_b_16, "),
        ("owner/model", "is no folder here; a network on the Hugging Face hub is hf-hub:OWNER/NAME"),
        ("timm/nothing", "no classifier is called 'timm/nothing'"),
        ("timm:resnet18.a1_in2k", "timm has no weights 'a1_in2k' for resnet18: expected one of a1_in1k, "),
        ("local-dir:nowhere", "nowhere is no folder: expected one that timm's save_pretrained wrote"),
        ("", "no classifier is called ''"),
    ],
)
def test_names_that_mean_nothing_get_suggestions_once_each(name: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as error:
        build_network(name, classes=1000)
    listed = str(error.value).rpartition("try ")[2].partition(" (")[0].split(", ")
    assert len(listed) == len(set(listed))


def test_weights_are_named_as_people_write_them_too(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(torchvision.models, "get_model", lambda _, weights: asked.append(weights) or nn.Identity())
    for weights in ("ResNet18_Weights.IMAGENET1K_V1", "imagenet1k_v1", "default", "DEFAULT"):
        assert build_network("resnet18", classes=1000, weights=weights).weights == "IMAGENET1K_V1"
    assert len(asked) == 4


def test_a_name_on_the_hub_is_asked_of_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    import timm

    create, asked = timm.create_model, []

    def from_hub(name: str, **how: Any) -> nn.Module:
        asked.append((name, how))
        if name.endswith("transformers"):
            raise KeyError("architecture")
        return create("test_vit", num_classes=how.get("num_classes", 9))

    monkeypatch.setattr(timm, "create_model", from_hub)
    for name in ("hf-hub:owner/Model", "timm:hf_hub:owner/Model", "https://huggingface.co/owner/Model"):
        named = build_network(name, classes=9, weights="default")
        assert (named.arch, named.size, named.saved) == ("hf-hub:owner/Model", 160, True)
    build_network("hf-hub:owner/Model@main", classes=1000)
    assert asked[-1] == ("hf-hub:owner/Model@main", {"pretrained": False, "num_classes": 1000})
    build_network("hf-hub:timm/resnet18.a1_in1k@main", classes=1000)
    assert asked[-1][0] == "hf-hub:timm/resnet18.a1_in1k@main"
    with pytest.raises(InputError, match=r"owner/Model has 9 classes, expected 1000: say --in9"):
        build_network("hf-hub:owner/Model", classes=1000, weights="default")
    with pytest.raises(InputError, match=r"was saved with its own weights: leave out --weights x"):
        build_network("hf-hub:owner/Model", classes=1000, weights="x")
    with pytest.raises(InputError, match=r"config.json has no 'architecture': no network of timm's"):
        build_network("hf-hub:owner/transformers", classes=1000, weights="default")


@pytest.mark.parametrize("form", ["{}", "local-dir:{}", "timm:local_dir:{}"])
@pytest.mark.parametrize("safe", [True, False])
def test_a_folder_that_timm_saved_brings_all_that_it_needs(form: str, safe: bool, tmp_path: Path) -> None:
    import timm

    network = timm.create_model("test_vit", num_classes=9).eval()
    timm.models.save_for_hf(network, tmp_path / "saved", safe_serialization=safe)
    source = ModelSource(class_list=IN9, arch=form.format(tmp_path / "saved"), in9=True)
    judged, record = load_judged(source)
    assert record["arch"] == "timm:test_vit"
    assert record["checkpoint"] == ("model.safetensors" if safe else "pytorch_model.bin")
    # Its own preparation, also with nine classes: it was saved with these weights.
    assert (record["mean"], record["size"]) == ([0.5, 0.5, 0.5], 160)
    with torch.inference_mode():
        assert torch.equal(judged.network(torch.zeros(1, 3, 160, 160)), network(torch.zeros(1, 3, 160, 160)))
    assert load_backbone(source)[0].network(torch.zeros(1, 3, 160, 160)).shape == (1, 64)
    with pytest.raises(InputError, match="has 9 classes, expected 1000: say --in9"):
        load_judged(dataclasses.replace(source, in9=False))
    with pytest.raises(InputError, match="holds its own weights: leave out --weights x"):
        load_judged(dataclasses.replace(source, weights="x"))
    with pytest.raises(InputError, match=r"is a folder \(config.json, .*give --arch local-dir:"):
        load_judged(ModelSource(class_list=IN9, checkpoint=tmp_path / "saved", in9=True))


def test_a_folder_beside_the_user_is_meant_where_no_library_knows_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("mine", "resnet18"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
    assert saved_folder("mine") == Path("mine")
    assert saved_folder("./resnet18") == Path("resnet18")
    assert saved_folder("resnet18") is None
    assert saved_folder("nowhere/mine") is None


def test_folders_that_are_not_timms_get_a_sentence(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    source = ModelSource(class_list=IN9, arch=f"local-dir:{tmp_path}")
    for text, sentence in {
        '{"architectures": ["ResNetForImageClassification"]}': r"transformers \(ResNetFor.*--entry module:function",
        '{"a": 1}': "names no architecture",
        '{"a": ': "cannot be read",
        '{"architecture": "nonet"}': "could not be loaded",
    }.items():
        config.write_text(text)
        (tmp_path / "model.safetensors").touch()
        with pytest.raises(InputError, match=sentence):
            build_network(source.arch, classes=1000)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"holds no weights: expected model.safetensors"):
        load_judged(source)
    for name in ("a.pth", "b.pth"):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=r"several files of weights \(a.pth, b.pth\): give one as --checkpoint"):
        load_judged(source)
    config.unlink()
    with pytest.raises(InputError, match=r"holds no config.json"):
        build_network(source.arch, classes=1000)


def test_one_of_several_states_is_judged_by_its_key(network: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "train.pth.tar"
    averaged = {name: value + (value.dtype == torch.float32) for name, value in network.state_dict().items()}
    torch.save({"state_dict": averaged, "state_dict_ema": network.state_dict(), "args": argparse.Namespace()}, path)
    source = ModelSource(class_list=IN9, checkpoint=path, arch=ARCH, in9=True)
    with pytest.raises(InputError, match="`--key state_dict`, `--key state_dict_ema`"):
        load_judged(source)
    judged, record = load_judged(dataclasses.replace(source, key="state_dict_ema"))
    assert torch.equal(judged.network.fc.weight, network.fc.weight)
    assert (record["key"], record["prefix"]) == ("state_dict_ema", "")
    assert record["left_over"][0].startswith("state_dict.* (")
    backbone, of_backbone = load_backbone(dataclasses.replace(source, key="state_dict_ema"))
    assert of_backbone["key"] == "state_dict_ema"
    assert torch.equal(backbone.network.conv5[0].weight, network.conv5[0].weight)
    with pytest.raises(InputError, match="choose among the states of a --checkpoint"):
        load_judged(ModelSource(class_list=IN9, arch=ARCH, key="state_dict"))
    save_classifier(
        tmp_path / "ours.pt", build_classifier("resnet8", input_size=32, classes=9), {"recipe": "dynamic", "seed": 1}
    )
    with pytest.raises(InputError, match="holds one network, read without --key and --prefix"):
        load_judged(ModelSource(class_list=IN9, checkpoint=tmp_path / "ours.pt", prefix="x", in9=True))


def test_start_weights_are_read_by_the_same_rule(tmp_path: Path) -> None:
    one, other = (
        build_classifier("resnet8", input_size=32, seed=seed, classes=9).network.state_dict() for seed in (1, 2)
    )
    path = tmp_path / "start.pth"
    torch.save({"ema": {f"net.{name}": value for name, value in one.items()}}, path)
    built = build_classifier("resnet8", input_size=32, weights=str(path), seed=3, classes=9).network.state_dict()
    assert all(torch.equal(value, one[name]) for name, value in built.items())
    torch.save({"ema": one, "model": other}, path)
    with pytest.raises(InputError, match=r"2 networks that fit.*in a file of its own, and give that as train.weights"):
        build_classifier("resnet8", input_size=32, weights=str(path), classes=9)


def test_a_thousand_classes_are_read_as_the_official_evaluator_reads_them() -> None:
    logits = torch.randn(500, 1000, generator=torch.Generator().manual_seed(1))
    model = Judged(nn.Identity(), class_list=IN9, classes=1000, mean=IMAGENET_MEAN, std=IMAGENET_STD)
    mapping = torch.tensor([9 if label is None else label for label in in9_label_by_imagenet_index()])
    assert torch.equal(model.class_logits(logits).argmax(1), mapping[logits.argmax(1)])
    nine = model.among_nine().class_logits(logits)
    assert nine.shape == (500, 9)
    assert torch.equal(nine, model.class_logits(logits)[:, :9])
    inside = logits.masked_fill(mapping == 9, -torch.inf)
    assert torch.equal(nine.argmax(1), mapping[inside.argmax(1)])
    by_hand = torch.zeros(500, 10).index_add_(1, mapping, logits.softmax(1))
    assert torch.allclose(model.class_probabilities(logits), by_hand, atol=1e-6)


@pytest.mark.parametrize("arch", [ARCH, "resnet18", "mobilenet_v3_small", "efficientnet_b0", "densenet121"])
def test_folding_keeps_the_function(arch: str) -> None:
    torch.manual_seed(0)
    network = torchvision.models.get_model(arch, num_classes=9)
    network(torch.rand(4, 3, 64, 64))  # so that the batch norms have statistics
    network.eval()
    folded = fold_batch_norms(network)
    assert folded is not None
    with torch.inference_mode():
        expected = network(IMAGES)
        assert torch.allclose(folded(IMAGES), expected, atol=1e-4 * expected.abs().max().item())
    kept, left = (sum(isinstance(part, nn.BatchNorm2d) for part in net.modules()) for net in (network, folded))
    assert left < kept or arch == "densenet121"


def test_networks_that_cannot_be_traced_are_left_alone() -> None:
    class Branching(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images if images.mean() > 0 else -images

    assert fold_batch_norms(Branching()) is None


def test_a_network_that_fails_on_its_input_is_a_sentence() -> None:
    class Fails(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            assert images.shape[-1] == 224, "wrong\nheight"
            return images

    model = Judged(Fails(), class_list=IN9, classes=9, size=32)
    with pytest.raises(InputError, match=r"the model fails on images 2x3x32x32 \(wrong height.*\): give the --size"):
        model(torch.zeros(2, 3, 64, 64))
