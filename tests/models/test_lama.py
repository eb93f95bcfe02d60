"""LaMa: the published program's answers from a generator of our own, whatever file its weights lie in."""

import functools
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bgdata.compose.fill import Filler, OpenCvFiller
from bgdata.compose.settings import FilledSettings
from bgdata.errors import InputError
from bgdata.fetch.download import fetch_file
from bgdata.fetch.sources import SOURCES
from models.inpainting import lama
from models.inpainting.factory import load_filler
from models.inpainting.lama import LamaFiller, load_lama
from models.inpainting.network import Generator

CPU = torch.device("cpu")
SIZES = ((40, 56), (37, 45), (48, 48), (37, 45), (7, 9), (16, 200), (34, 41))
SETTINGS = FilledSettings(
    kind="filled",
    method="lama",
    weights=None,
    radius=3.0,
    dilate="foraug",
    at="photo",
    max_foreground=0.8,
    splits=["train"],
)


class Published(nn.Module):
    """What the published TorchScript is: the generator inside its training module, and the pasting around it."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.model = nn.Module()
        self.model.generator = generator

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        predicted = self.model.generator(torch.cat([image * (1 - mask), mask], dim=1))
        return mask * predicted + (1 - mask) * image


def random_network(seed: int = 0, **size: int) -> Generator:
    """Weights and statistics drawn, so that answers differ between pixels and no tensor is another one's equal."""
    generator = torch.Generator().manual_seed(seed)
    network = Generator(**size).eval()
    for name, value in network.state_dict().items():
        if name.endswith(("running_var", "bn_l.weight", "bn_g.weight", "bn.weight")):
            value.copy_(0.5 + torch.rand(value.shape, generator=generator))
        elif value.is_floating_point():
            spread = 0.3 if value.ndim == 1 else (2 / value[0].numel()) ** 0.5
            value.copy_(torch.randn(value.shape, generator=generator) * spread)
    # Neither black nor white throughout.
    with torch.inference_mode():
        last, images = network.model[-2], torch.rand(1, 4, 64, 64, generator=generator)
        last.weight /= network.model[:-1](images).std()
    return network


def traced(network: Generator, *, height: int, width: int) -> torch.jit.ScriptModule:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is traced here is deprecated, and made for one size
        example = torch.rand(1, 3, height, width), torch.rand(1, 1, height, width).round()
        return torch.jit.trace(Published(network).eval(), example)


def scene(seed: int, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    hole = np.zeros(size, bool)
    hole[size[0] // 4 : size[0] // 2 + 1, size[1] // 3 :] = True
    return rng.integers(0, 256, (*size, 3), dtype=np.uint8), hole


def publisheds_answer(program: nn.Module, image: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """As ForAug calls it: image and mask padded by mirroring, one at a time; 255 times what comes back, in [0, 255]."""
    height, width = hole.shape
    padding = (0, -height % 8), (0, -width % 8)
    padded = np.pad(image, (*padding, (0, 0)), mode="symmetric").astype(np.float32) / 255
    mask = np.pad(hole, padding, mode="symmetric").astype(np.float32)
    with torch.inference_mode():
        answer = program(torch.from_numpy(padded).permute(2, 0, 1)[None], torch.from_numpy(mask)[None, None])
    grey = answer[0].permute(1, 2, 0).numpy()[:height, :width] * 255
    return np.where(hole[..., None], grey, image)


@pytest.fixture(scope="module")
def network() -> Generator:
    return random_network(width=8, blocks=2)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Files are read into the small generator."""
    monkeypatch.setattr(lama, "Generator", functools.partial(Generator, width=8, blocks=2))
    yield


def test_the_big_model_is_the_published_one(tmp_path: Path) -> None:
    """The published file: 989 tensors of 51,057,179 values in all, 205,669,692 bytes."""
    network = Generator().eval()
    network.model[-2].weight.data *= 100  # as it is drawn, all answers are grey
    state = network.state_dict()
    assert (len(state), sum(value.numel() for value in state.values())) == (989, 51_057_179)
    assert state["model.4.ffc.convl2g.weight"].shape == (384, 256, 3, 3)
    assert state["model.22.conv2.ffc.convg2g.fu.conv_layer.weight"].shape == (384, 384, 1, 1)
    program = traced(network, height=40, width=48)
    program.save(tmp_path / "big-lama.pt")
    assert (tmp_path / "big-lama.pt").stat().st_size == pytest.approx(SOURCES["big_lama"][0].size, rel=0.01)
    image, hole = scene(0, (37, 45))
    (filled,) = load_lama(tmp_path / "big-lama.pt", device=CPU).fill([image], [hole])
    expected = publisheds_answer(program, image, hole)
    np.testing.assert_array_equal(filled, np.rint(expected))
    assert len(np.unique(filled[hole])) > 20


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("kind", ["torchscript", "checkpoint", "generator", "state_dict"])
def test_whatever_file_the_weights_lie_in_the_answer_is_the_programs(
    kind: str, network: Generator, tmp_path: Path
) -> None:
    image, hole = scene(1, (37, 45))
    program, path = traced(network, height=40, width=48), tmp_path / "weights"
    state = network.state_dict()
    if kind == "torchscript":
        program.save(path)
    elif kind == "checkpoint":
        judged = {"discriminator.model0.0.weight": torch.ones(3), "loss_resnet_pl.impl.conv1.weight": torch.ones(2)}
        torch.save({"epoch": 39, "state_dict": {f"generator.{key}": state[key] for key in state} | judged}, path)
    else:
        torch.save({f"generator.{key}": state[key] for key in state} if kind == "generator" else state, path)
    (filled,) = load_lama(path, device=CPU).fill([image], [hole])
    np.testing.assert_array_equal(filled, np.rint(publisheds_answer(program, image, hole)))
    assert len(np.unique(filled[hole])) > 100


@pytest.mark.parametrize("batch", [1, 3])
def test_pixels_outside_stay_and_those_inside_do_not_matter(batch: int, network: Generator) -> None:
    images, holes = zip(*(scene(seed, size) for seed, size in enumerate(SIZES)), strict=True)
    filler = LamaFiller(network, device=CPU, batch=batch)
    assert isinstance(filler, Filler)
    blackened = [np.where(hole[..., None], np.uint8(0), image) for image, hole in zip(images, holes, strict=True)]
    filled = filler.fill(images, holes)
    for image, hole, one, other in zip(images, holes, filled, filler.fill(blackened, holes), strict=True):
        np.testing.assert_array_equal(one[~hole], image[~hole])
        np.testing.assert_array_equal(one, other)
        assert not np.array_equal(one[hole], image[hole])


@pytest.mark.parametrize("batch", [1, 3])
def test_an_answer_does_not_depend_on_its_batch(batch: int, network: Generator) -> None:
    """Five of these seven have two padded sizes: with batches of three, one is full and one is filled up."""
    images, holes = zip(*(scene(seed, size) for seed, size in enumerate(SIZES)), strict=True)
    filler = LamaFiller(network, device=CPU, batch=batch)
    together, backwards = filler.fill(images, holes), filler.fill(images[::-1], holes[::-1])[::-1]
    for place, found in enumerate(together):
        np.testing.assert_array_equal(found, backwards[place])
        np.testing.assert_array_equal(found, filler.fill([images[place]], [holes[place]])[0])


def test_without_a_hole_the_network_is_not_asked() -> None:
    image, hole = scene(0, (30, 30))
    broken = Generator(width=8, blocks=2)
    broken.forward = None  # type: ignore[assignment, method-assign] # must not be called
    (filled,) = LamaFiller(broken, device=CPU, batch=1).fill([image], [np.zeros_like(hole)])
    np.testing.assert_array_equal(filled, image)


def test_a_hole_that_covers_everything_is_refused(network: Generator) -> None:
    with pytest.raises(InputError, match=r"^the hole covers the whole image \(30x20, height x width\): nothing"):
        LamaFiller(network, device=CPU, batch=1).fill([np.zeros((30, 20, 3), np.uint8)], [np.ones((30, 20), bool)])


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        load_lama(path, device=CPU)
    words = str(caught.value)
    assert words.startswith((f"{path} ", f"the weights {path} ", f"the weights of {path} "))
    assert "\n" not in words
    return words


@pytest.mark.usefixtures("small")
def test_files_that_are_not_lamas_are_refused_by_what_they_are(network: Generator, tmp_path: Path) -> None:
    state, path = network.state_dict(), tmp_path / "big-lama.pt"
    assert "are missing: run `dvc repro fetch_weights@inpainting` (runtime.mirror" in refusal(path)
    path.write_text("Not Found\n")
    assert "is text ('Not Found' ...), no checkpoint: the download failed" in refusal(path)
    torch.save(nn.Linear(2, 3).state_dict(), path)
    assert "holds no generator of LaMa's (tensors named ...model.1.ffc.convl2l.weight): give big-lama.pt" in refusal(
        path
    )
    torch.save(torch.ones(3), path)
    assert "holds no generator of LaMa's" in refusal(path)
    torch.save({"a.model.1.ffc.convl2l.weight": torch.ones(1), "model.1.ffc.convl2l.weight": torch.ones(1)}, path)
    assert "holds several generators of LaMa's" in refusal(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(nn.Linear(2, 3), torch.rand(1, 2)).save(path)
    assert "holds no generator of LaMa's" in refusal(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "was cut short or damaged" in refusal(path)
    torch.save(state | {"model.1.bn_l.weight": torch.full((8,), torch.nan)}, path)
    assert "holds weights that are NaN or infinite" in refusal(path)
    torch.save({key: value for key, value in state.items() if not key.startswith("model.6.conv2.bn_g")}, path)
    assert "do not fit the network: missing: model.6.conv2.bn_g.bias" in refusal(path)
    torch.save(state | {"model.5.conv1.ffc.convg2g.lfu.bn.weight": torch.ones(3)}, path)
    assert "do not fit the network: unexpected: model.5.conv1.ffc.convg2g.lfu.bn.weight" in refusal(path)


def test_another_lama_is_refused(network: Generator, tmp_path: Path) -> None:
    torch.save(network.state_dict(), tmp_path / "narrow.pt")
    assert "wrong shape: model.1.bn_l.bias 8, expected 64" in refusal(tmp_path / "narrow.pt")


def test_a_wrong_download_is_refused(tmp_path: Path) -> None:
    """The mirror has a file of the right name and size."""
    (remote,) = SOURCES["big_lama"]
    assert remote.size is not None
    (tmp_path / "mirror").mkdir()
    with (tmp_path / "mirror" / remote.name).open("wb") as file:
        file.truncate(remote.size)
    with pytest.raises(InputError, match=r"big-lama\.pt.*344c77bb"):
        fetch_file(remote, tmp_path / "out", mirror=f"file://{tmp_path}/mirror/", delays=())
    assert not (tmp_path / "out" / remote.name).exists()


@pytest.mark.usefixtures("small")
def test_settings_name_the_filler_and_its_file(network: Generator, tmp_path: Path) -> None:
    telea = SETTINGS.model_copy(update={"method": "telea"})
    assert load_filler(telea, weights=tmp_path, device="cpu") == OpenCvFiller("telea", 3.0)
    with pytest.raises(InputError, match=rf"^the weights {tmp_path}/big_lama/big-lama\.pt are missing: run"):
        load_filler(SETTINGS, weights=tmp_path, device="cpu")
    (tmp_path / "big_lama").mkdir()
    for path in (tmp_path / "big_lama" / "big-lama.pt", tmp_path / "local"):
        torch.save(network.state_dict(), path)
    local = SETTINGS.model_copy(update={"weights": str(tmp_path / "local")})
    image, hole = scene(2, (24, 32))
    for settings in (SETTINGS, local):
        (filled,) = load_filler(settings, weights=tmp_path, device="cpu").fill([image], [hole])
        np.testing.assert_array_equal(filled, LamaFiller(network, device=CPU, batch=1).fill([image], [hole])[0])
    with pytest.raises(InputError, match=r"^runtime\.device is 'tpu'"):
        load_filler(SETTINGS, weights=tmp_path, device="tpu")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA here")
def test_cuda_answers_as_the_cpu_does() -> None:
    images, holes = zip(*(scene(seed, size) for seed, size in enumerate(SIZES)), strict=True)
    on_cpu = LamaFiller(random_network(width=8, blocks=2), device=CPU, batch=1).fill(images, holes)
    on_cuda = LamaFiller(random_network(width=8, blocks=2), device=torch.device("cuda"), batch=3).fill(images, holes)
    for one, other in zip(on_cpu, on_cuda, strict=True):
        assert np.abs(one.astype(int) - other).max() <= 1
