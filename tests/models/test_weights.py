"""Weights in files as people have them: which tensors are the network's, what lies beside, what a file is at all."""

import argparse
import collections
import datetime
import decimal
import enum
import functools
import gzip
import io
import os
import pathlib
import pickle
import random
import tarfile
import types
import uuid
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save
from torch import nn

from bgdata.errors import InputError
from models.weights.files import read_torch_file
from models.weights.kinds import _MAGIC
from models.weights.readings import Choice
from models.weights.states import Weights, choose_weights, read_content, read_weights

State = dict[str, torch.Tensor]


def build(classes: int = 3) -> nn.Module:
    """A backbone of a convolution and a batch norm, and a head."""
    body = nn.Sequential(collections.OrderedDict(conv=nn.Conv2d(3, 4, 3, bias=False), norm=nn.BatchNorm2d(4)))
    parts = {"body": body, "pool": nn.AdaptiveAvgPool2d(1), "flat": nn.Flatten(), "head": nn.Linear(4, classes)}
    return nn.Sequential(collections.OrderedDict(parts))


def state_of(seed: int, classes: int = 3) -> State:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return dict(build(classes).state_dict())


ONE, OTHER = state_of(0), state_of(1)
HEAD = ("head.weight", "head.bias")


def prefixed(prefix: str, state: State = ONE) -> State:
    return {prefix + name: value for name, value in state.items()}


def inside(wrapper: str) -> State:
    return {name.replace("body.", f"body.{wrapper}.", 1): value for name, value in ONE.items()}


def read(path: Path, content: Any, **how: Any) -> Weights:
    torch.save(content, path)
    return read_weights(path, build(), **how)


def is_state(found: Weights, expected: State) -> bool:
    return found.state.keys() == expected.keys() and all(
        torch.equal(found.state[key], expected[key]) for key in expected
    )


WHOLE: dict[str, Any] = {
    "plain": ONE,
    "ordered": collections.OrderedDict(ONE),
    "defaultdict": collections.defaultdict(None, ONE),
    "parameters": {k: nn.Parameter(v, requires_grad=False) for k, v in ONE.items()},
    **{
        f"under {key}": {key: ONE, "epoch": 3} for key in ("net", "state_dict_ema", "ema", "params", "generator", "any")
    },
    "under a number": {0: ONE, 1: "x"},
    "in a tuple": (ONE, {"lr": 0.1}),
    "nested": {"ckpt": {"model": {"net": prefixed("backbone.")}}},
    **{
        f"prefix {prefix}": {"state_dict": prefixed(prefix)}
        for prefix in ("net.", "student.", "module._orig_mod.", "a.b_")
    },
    "compiled inside": prefixed("model.", inside("_orig_mod")),
    "fsdp inside": inside("_fsdp_wrapped_module"),
    "parallel inside": {"state_dict": prefixed("module.", inside("module"))},
    "in parts": {
        part: {name.removeprefix(f"{part}."): value for name, value in ONE.items() if name.startswith(part)}
        for part in ("body", "head")
    },
    "twice the same": {"model": ONE, "best": {key: value.clone() for key, value in ONE.items()}},
    "with an optimizer": {
        "state_dict": ONE,
        "optimizer": {"state": {0: {"step": torch.ones(()), "exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 0.1}]},
        "epoch": 3,
    },
}


@pytest.mark.parametrize("name", WHOLE)
def test_what_fits_the_network_whole_is_found_wherever_it_stands(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = read(tmp_path / "model.pt", WHOLE[name])
    assert is_state(found, ONE)
    assert found.record == {}
    assert capsys.readouterr().err == ""


def test_counters_of_batch_norms_may_be_missing(tmp_path: Path) -> None:
    without = {name: value for name, value in ONE.items() if "num_batches" not in name}
    assert is_state(read(tmp_path / "old.pt", without), without)


@pytest.mark.parametrize(
    ("content", "record"),
    [
        (
            {"state_dict": {**prefixed("model."), "criterion.weight": torch.ones(2)}},
            {"key": "state_dict", "prefix": "model.", "left_over": ["state_dict.criterion.weight"]},
        ),
        (
            {**ONE, "head._extra_state": {"x": 1}, "aux.weight": torch.ones(1), "aux.bias": torch.ones(1)},
            {"key": "", "prefix": "", "left_over": ["aux.* (2)", "head._extra_state"]},
        ),
        (
            # An object as key has a name that is the same in each process.
            {**ONE, pathlib.PosixPath("a"): {"b.c": torch.ones(1)}},
            {"key": "", "prefix": "", "left_over": ["leftover.b.c"]},
        ),
        (
            {"generator": prefixed("g."), "discriminator": {"net.weight": torch.ones(2)}, "criterion": torch.ones(1)},
            {"key": "generator", "prefix": "g.", "left_over": ["discriminator.net.weight"]},
        ),
        (
            {"student": ONE, "teacher": state_of(2, classes=9)},
            {"key": "student", "prefix": "", "left_over": ["teacher.* (8)"]},
        ),
    ],
)
def test_what_is_left_over_is_said(
    content: Any, record: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = read(tmp_path / "model.pt", content, free=HEAD)
    assert is_state(found, ONE)
    assert found.record == record
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{tmp_path / 'model.pt'}: read from ")
    assert line.endswith(f"left over: {', '.join(record['left_over'])}")


SEVERAL: dict[str, tuple[Any, str, Choice]] = {
    "timm": ({"state_dict": ONE, "state_dict_ema": OTHER}, "`--key state_dict_ema`", Choice(key="state_dict_ema")),
    "torchvision": (
        {"model": ONE, "model_ema": {"n_averaged": torch.tensor(9), **prefixed("module.", OTHER)}},
        "`--key model`, `--key model_ema`",
        Choice(key="model_ema"),
    ),
    "dino": (
        {"student": prefixed("module.backbone."), "teacher": prefixed("backbone.", OTHER)},
        "`--key student`, `--key teacher`",
        Choice(key="teacher", prefix="backbone."),
    ),
    "moco": (
        {"state_dict": {**prefixed("module.encoder_q."), **prefixed("module.encoder_k.", OTHER)}},
        "`--prefix module.encoder_q.`, `--prefix module.encoder_k.`",
        Choice(prefix="module.encoder_k"),
    ),
    "plain beside": ({**ONE, **prefixed("ema.", OTHER)}, "`--prefix ''`, `--prefix ema.`", Choice(prefix="ema.")),
    "numbers": ([ONE, OTHER], "`--key 0`, `--key 1`", Choice(key="1")),
    "both needed": (
        {"a": {**ONE, **prefixed("m.", state_of(2))}, "b": {**state_of(3), **prefixed("m.", OTHER)}},
        "`--key b --prefix m.`",
        Choice(key="b", prefix="m."),
    ),
}


@pytest.mark.parametrize("name", SEVERAL)
def test_several_networks_that_fit_are_asked_about(name: str, tmp_path: Path) -> None:
    content, listed, choice = SEVERAL[name]
    with pytest.raises(InputError) as error:
        read(tmp_path / "model.pt", content)
    assert "networks that fit, with other weights each (" in str(error.value)
    assert listed in str(error.value)
    assert "say which with --key and --prefix" in str(error.value)
    found = read(tmp_path / "model.pt", content, choice=choice)
    assert is_state(found, OTHER)
    assert found.record["left_over"]


def test_what_does_not_fit_is_listed_for_the_closest_reading(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    spoilt = {name: value for name, value in prefixed("net.").items() if name != "net.head.bias"}
    spoilt |= {"net.stray": torch.ones(1), "net.body.conv.weight": torch.ones(4, 1, 3, 3)}
    with pytest.raises(InputError) as error:
        read(path, {"state_dict": spoilt, "ema": {"a.b": torch.ones(1)}, "epoch": 1})
    for part in (
        f"the weights of {path} do not fit the network (read from state_dict.net.*): missing: head.bias; ",
        "unexpected: stray; wrong shape: body.conv.weight 4x1x3x3, expected 4x3x3x3; ",
        "the file holds state_dict (8 tensors), ema (1 tensors)",
    ):
        assert part in str(error.value)
    with pytest.raises(
        InputError, match=r"model.module.\*\): missing: body.conv.weight, .*; unexpected: a.weight, b.weight"
    ):
        read(path, {"model": {"module.a.weight": torch.ones(1), "module.b.weight": torch.ones(1)}})
    for choice in (Choice(key="none"), Choice(prefix="none."), Choice(key="ema", prefix="x")):
        with pytest.raises(
            InputError, match=r"no such network under the --key and --prefix given; it holds model .*`--key"
        ):
            read(path, {"model": ONE, "ema": OTHER}, choice=choice)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"epoch": 3, "loss": 1.0}, "holds no state dict .*: it holds epoch, loss"),
        ({"optimizer": {"state": {0: {"step": torch.ones(1)}}}}, "holds no state dict .*: it holds optimizer"),
        ([*ONE.values()], "holds a list of 8 tensors without names"),
        (torch.ones(3), "holds no state dict .*its content is of type Tensor"),
        ({}, "holds no state dict"),
        (None, "holds no state dict"),
        (
            {**ONE, "head.bias": torch.tensor([1.0, torch.nan, torch.inf])},
            "2 of 3 values of head.bias are NaN or infinite",
        ),
        (
            {**ONE, "body.norm.running_var": torch.full((4,), torch.inf)},
            "4 of 4 values of body.norm.running_var are NaN",
        ),
    ],
)
def test_what_is_no_network_gets_a_sentence(content: Any, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"model.pt:? {sentence}"):
        read(tmp_path / "model.pt", content)


def test_a_head_of_another_size_is_taken_where_it_is_free_and_nothing_else_fits(tmp_path: Path) -> None:
    nine = state_of(2, classes=9)
    assert is_state(read(tmp_path / "model.pt", {"net": nine}, free=HEAD), nine)
    with pytest.raises(InputError, match=r"wrong shape: head.bias 9, expected 3"):
        read(tmp_path / "model.pt", {"net": nine})


def test_what_is_not_asked_for_is_not_left_over(tmp_path: Path) -> None:
    backbone = build()
    backbone.head = nn.Identity()
    found = choose_weights({"model": ONE}, tmp_path, backbone, unneeded=HEAD)
    assert found.record == {}


def test_containers_that_hold_themselves_or_grow_without_end_are_read(tmp_path: Path) -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    wide: list[Any] = [0]
    for _ in range(20):
        wide = [wide] * 30
    assert is_state(read(tmp_path / "model.pt", {"x": cycle, "y": wide, "z": {"w": ONE}}), ONE)


class Phase(enum.Enum):
    TRAIN = 1
    TEST = "test"


class Stage(enum.StrEnum):
    ONE = "one"


class Outer:
    class Level(enum.IntFlag):
        LOW = 1
        HIGH = 2


LEFTOVERS: dict[str, Any] = {
    "numpy scalars": [
        np.float64(1),
        np.float32(1),
        np.float16(1),
        np.bool_(True),
        np.int32(7),
        np.str_("x"),
        np.uint8(1),
    ],
    "numpy dates": [np.datetime64("2020-01-01"), np.dtype("f4"), np.complex64(1)],
    "numpy types": [np.float32, np.dtype([("a", "f4")])],
    "numpy arrays": [np.ones(3), np.array(["a"]), np.array([None, {}], object), np.zeros((0, 2), np.int8)],
    "numpy generators": [np.random.default_rng(0), np.random.RandomState(0), np.random.SeedSequence(1)],
    "random states": [random.getstate(), torch.get_rng_state(), np.random.get_state()],
    "options": argparse.Namespace(lr=0.1, out=pathlib.PosixPath("runs"), kind=Phase.TEST, inner=argparse.Namespace()),
    "paths": [pathlib.PosixPath("a"), pathlib.PureWindowsPath("c:\\a"), pathlib.PurePosixPath("a")],
    "enums": {Phase.TRAIN: Stage.ONE, "level": Outer.Level.LOW | Outer.Level.HIGH},
    "torch": [torch.device("cpu"), torch.float16, torch.Size([1, 2]), torch.__version__],
    "times": [datetime.datetime.now(datetime.UTC), datetime.timedelta(1), datetime.date(2020, 1, 1), datetime.time(1)],
    "containers": [
        collections.OrderedDict(a=1),
        collections.defaultdict(list, {1: [2]}),
        collections.defaultdict(int),
        collections.Counter("aab"),
        collections.deque([1], 3),
        frozenset([1]),
        {1, 2},
        range(3),
        slice(1),
    ],
    "values": [1j, b"x", b"", bytearray(b"y"), decimal.Decimal(1), uuid.UUID(int=1), types.SimpleNamespace(a=1), 2**70],
}


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("name", LEFTOVERS)
def test_what_training_leaves_beside_the_weights_is_read(name: str, zipped: bool, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save({"state_dict": ONE, "more": LEFTOVERS[name]}, path, _use_new_zipfile_serialization=zipped)
    assert is_state(read_weights(path, build()), ONE)


@pytest.mark.parametrize(
    ("now", "then"),
    [
        (b"numpy._core.multiarray", b"numpy.core.multiarray"),  # numpy 1
        (b"numpy\ndtype", b"dill._dill\n_create_dtypemeta"),
        (b"pathlib\nPosixPath", b"pathlib._local\nPosixPath"),  # Python 3.13
        (b"pathlib\nPosixPath", b"pathlib\nWindowsPath"),
        (b"__main__\nPhase", b"torchvision.transforms.functional\nInterpolationMode"),
        (b"__main__\nPhase", b"no.such.module\nPhase"),
    ],
)
def test_names_of_other_versions_and_places_are_known(
    now: bytes, then: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Phase, "__module__", "__main__")
    monkeypatch.setitem(vars(__import__("__main__")), "Phase", Phase)
    kept = {"a": np.float64(1), "b": np.ones(3), "c": pathlib.PosixPath("x"), "d": Phase.TRAIN}
    torch.save({"state_dict": ONE, **kept}, tmp_path / "now.pt")
    with zipfile.ZipFile(tmp_path / "now.pt") as source, zipfile.ZipFile(tmp_path / "then.pt", "w") as target:
        for name in source.namelist():
            assert now in source.read("now/data.pkl")
            target.writestr(name.replace("now/", "then/"), source.read(name).replace(now, then))
    assert is_state(read_weights(tmp_path / "then.pt", build()), ONE)


RAN = "IMAGE_BACKGROUNDS_RAN"


class Gadget:
    """Pickles a call."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


class SetsState:
    def __init__(self) -> None:
        self.value = 1

    def __setstate__(self, _: Any) -> None:
        os.environ[RAN] = "1"


class Config:
    def __init__(self, *values: Any) -> None:
        os.environ[RAN] = "1" if values else ""


GADGETS: dict[str, tuple[Any, str]] = {
    "system": (Gadget(os.system, f"touch {RAN}"), r"(posix|nt)\.system"),
    "eval": (Gadget(eval, f"__import__('os').environ.setdefault('{RAN}', '1')"), r"builtins\.eval"),
    "exec": (Gadget(exec, f"import os; os.environ['{RAN}'] = '1'"), r"builtins\.exec"),
    "hub": (Gadget(torch.hub.load, "owner/repository", "model"), r"torch\.hub\.load"),
    "hub with one value": (
        Gadget(torch.hub.load_state_dict_from_url, "http://x"),
        r"torch\.hub\.load_state_dict_from_url",
    ),
    "load": (Gadget(torch.load, "other.pt"), r"torch\.serialization\.load"),
    "import": (Gadget(__import__, "antigravity"), r"builtins\.__import__"),
    "popen": (Gadget(__import__("subprocess").Popen, "true"), r"subprocess\.Popen"),
    "partial": (functools.partial(print, 1), r"builtins\.print, functools\.partial"),
    "set state": (SetsState(), r"tests\.models\.test_weights\.SetsState"),
    "object": (Config(), r"tests\.models\.test_weights\.Config"),
    "two values": (Gadget(Config, 1, 2), r"tests\.models\.test_weights\.Config"),
    "an object as value": (Gadget(Config, [1]), r"tests\.models\.test_weights\.Config"),
    "optimizer": (torch.optim.SGD([torch.ones(1)], lr=1.0), r"torch\.optim\.sgd\.SGD"),
    "loss": (nn.CrossEntropyLoss(), r"torch\.nn\.modules\.loss\.CrossEntropyLoss"),
    "function": (os.getcwd, r"(posix|nt)\.getcwd"),
}


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("name", GADGETS)
def test_nothing_in_a_file_is_run_and_its_class_is_named(
    name: str, zipped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(RAN, raising=False)
    gadget, named = GADGETS[name]
    torch.save({"state_dict": ONE, "more": gadget}, tmp_path / "model.pt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(InputError, match=rf"besides tensors \(({named})\), which could run code"):
        read_content(tmp_path / "model.pt")
    assert not os.environ.get(RAN)
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt"]


def test_attributes_of_modules_cannot_be_had_by_name(tmp_path: Path) -> None:
    for module in (b"os", b"posix", b"torch.hub"):
        code = b"\x80\x02c__builtin__\ngetattr\nc" + module + b"\nload\nX\x06\x00\x00\x00systemq\x00\x86R."
        (tmp_path / "model.pt").write_bytes(_MAGIC + pickle.dumps(1001, 2) + pickle.dumps({}, 2) + code)
        with pytest.raises(InputError, match="which could run code"):
            read_content(tmp_path / "model.pt")


def test_pickles_of_other_protocols_are_refused_by_name_or_by_their_protocol(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    for protocol in (3, 4, 5):
        torch.save({"state_dict": ONE, "more": Gadget(os.system, "true")}, path, pickle_protocol=protocol)
        with pytest.raises(InputError, match=r"besides tensors \((posix|nt)\.system\)"):
            read_content(path)
        torch.save(ONE, path, pickle_protocol=protocol)
        with pytest.raises(InputError, match=rf"pickled with protocol {protocol}, .* save it again"):
            read_content(path)


def test_a_whole_network_is_called_one(tmp_path: Path) -> None:
    for zipped in (True, False):
        torch.save(build(), tmp_path / "model.pt", _use_new_zipfile_serialization=zipped)
        with pytest.raises(
            InputError, match=r"whole pickled network \(torch.nn.modules.container.Sequential\).*--entry"
        ):
            read_content(tmp_path / "model.pt")


def torch_bytes(**how: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(ONE, buffer, **how)
    return buffer.getvalue()


def archived(kind: str) -> bytes:
    buffer = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("model.pt", torch_bytes())
    elif kind == "npz":
        np.savez(buffer, **{"a.weight": np.ones(3)})
    else:
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            archive.addfile(tarfile.TarInfo("model.pt"))
    return buffer.getvalue()


SAFE, ZIP, LEGACY = save(ONE), torch_bytes(), torch_bytes(_use_new_zipfile_serialization=False)
KINDS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", r"is empty \(0 bytes\)"),
    "pointer": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n",
        "is a Git LFS pointer.*git lfs pull",
    ),
    "page": (b"<!DOCTYPE html><html>", r"is a web page \(HTML\), no checkpoint: the download failed"),
    "page after blanks": (b"\xef\xbb\xbf\n\n  <HTML>", r"is a web page \(HTML\)"),
    "xml": (b"<?xml version='1.0'?><Error/>", "is an XML document"),
    "json": (b'{"error": "not found"}', "is JSON .*not found"),
    "text": ("Eintrag nicht gefunden: größer".encode(), "is text .*Eintrag"),
    "gzip": (gzip.compress(ZIP), r"is compressed \(gzip\): unpack it"),
    "tar": (archived("tar"), "is a tar archive: unpack it"),
    "zip": (archived("zip"), r"is a zip archive \(model.pt\).*unpack it"),
    "npz": (archived("npz"), r"holds numpy arrays \(.npz\)"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(64), "is an HDF5 file"),
    "pickle": (pickle.dumps({"a": 1}, protocol=2), "is a Python pickle that torch.save did not write"),
    "noise": (bytes(range(255, 0, -1)) * 9, "no PyTorch checkpoint, or was cut short"),
    "cut zip": (ZIP[:-200], r"\(\d+ bytes\) was cut short or damaged"),
    "cut legacy": (LEGACY[: len(LEGACY) - 50], "was cut short"),
    "cut tensors": (SAFE[:-10], "is a safetensors file that was cut short"),
    "cut header": (SAFE[:100], "is a safetensors file that was cut short"),
}


@pytest.mark.parametrize("ending", [".pt", ".safetensors"])
@pytest.mark.parametrize("name", KINDS)
def test_a_file_is_what_it_holds_whatever_it_is_called(name: str, ending: str, tmp_path: Path) -> None:
    content, sentence = KINDS[name]
    path = tmp_path / f"model{ending}"
    path.write_bytes(content)
    with pytest.raises(InputError, match=sentence) as error:
        read_content(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["model.safetensors", "model.pt", "model.bin", "model"])
@pytest.mark.parametrize("content", [SAFE, ZIP, LEGACY], ids=["safetensors", "zip", "legacy"])
def test_weights_are_read_under_any_ending(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    assert is_state(read_weights(tmp_path / name, build()), ONE)


def test_what_is_no_file_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none.pt is missing"):
        read_content(tmp_path / "none.pt")
    (tmp_path / "folder").mkdir()
    for name in "abcd":
        (tmp_path / "folder" / name).touch()
    for reader in (read_content, read_torch_file):
        with pytest.raises(InputError, match=r"folder is a folder \(a, b, c \.\.\.\), no file"):
            reader(tmp_path / "folder")


@pytest.mark.parametrize("content", [SAFE, ZIP, LEGACY], ids=["safetensors", "zip", "legacy"])
def test_damage_ends_in_a_sentence(content: bytes, tmp_path: Path) -> None:
    rng, path = random.Random(0), tmp_path / "model.pt"
    refused = 0
    for _ in range(150):
        damaged = bytearray(content)
        for _ in range(rng.choice((1, 1, 2, 9))):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        path.write_bytes(damaged[: rng.randrange(len(damaged))] if rng.random() < 0.2 else damaged)
        try:
            read_content(path)
        except InputError as error:
            assert str(error).startswith(str(path))
            refused += 1
    assert refused > 20
