"""Photos a second per core of filling holes, ours against the straightforward way; in one run.

    python -m benchmarks.fill ../shared/data/imagenet_sample

The folder holds photos in ILSVRC's layout and `masks/` beside it. Each row fills the same photos, as crops of 224 px
and at their own size, one thread. OpenCV alone gets the whole image as it is, and lets what stood in a hole show in it.
LaMa's other way is ForAug's: the mask blurred by PIL, the photo and it padded by mirroring, and the TorchScript program
asked for one photo at a time; both have the same random weights in the real architecture, so that only speed can be
told. Times are CPU seconds (user and system), so that other work on the machine counts for none of them; ways take
turns photo by photo.
"""

import argparse
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor, nn

from bgdata.compose.fill import Method, OpenCvFiller, hole_of
from bgdata.geometry import CentreCrop
from bgdata.io import decode_image, decode_mask
from models.inpainting.lama import LamaFiller
from models.inpainting.network import Generator

Pair = tuple[np.ndarray, np.ndarray]
Way = Callable[[np.ndarray, np.ndarray], object]
RADIUS, DILATE = 3.0, 3
FLAGS: Mapping[Method, int] = {"telea": cv2.INPAINT_TELEA, "navier_stokes": cv2.INPAINT_NS}


def main() -> None:
    """Measure and print the table."""
    arguments = _parser().parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    own = list(_photos(arguments.folder))
    crop = CentreCrop()
    sizes = {"224": [(crop.image(image), crop.mask(mask)) for image, mask in own], "own": own}
    pixels = sum(mask.size for _, mask in own) / len(own)
    print(f"{len(own)} photos of {pixels:,.0f} pixels on average; LaMa: the first {arguments.lama} of them\n")
    print("| what | 224 px, photos/s/core | own size, photos/s/core |\n|---|---|---|")
    for name, ways in _ways().items():
        count = arguments.lama if name == "LaMa" else len(own)
        rates = {size: _rates(ways, _fillable(pairs)[:count]) for size, pairs in sizes.items()}
        for way in ways:
            print(f"| {name}: {way} | " + " | ".join(f"{rates[size][way]:.3g}" for size in sizes) + " |")


def _ways() -> dict[str, dict[str, Way]]:
    """By what is done, ours and others'."""
    ways: dict[str, dict[str, Way]] = {
        "hole": {
            f"disc of {DILATE} px": lambda _, mask: hole_of(mask, DILATE),
            "PIL's blur (foraug)": lambda _, mask: hole_of(mask, "foraug"),
        }
    }
    for method, flag in FLAGS.items():
        filler = OpenCvFiller(method, RADIUS)
        ways[method] = {
            "ours": lambda image, mask, filler=filler: filler.fill([image], [hole_of(mask, DILATE)]),
            "OpenCV alone (reads under the hole)": lambda image, mask, flag=flag: cv2.inpaint(
                image, hole_of(mask, DILATE).view(np.uint8), RADIUS, flag
            ),
        }
    network = Generator().eval()
    ours, program = LamaFiller(network, device=torch.device("cpu"), batch=1), _published(network)
    ways["LaMa"] = {
        "ours": lambda image, mask: ours.fill([image], [hole_of(mask, "foraug")]),
        "ForAug's way": lambda image, mask: _foraugs_way(program, image, mask),
    }
    return ways


def _rates(ways: Mapping[str, Way], pairs: list[Pair]) -> dict[str, float]:
    seconds = dict.fromkeys(ways, 0.0)
    for place, pair in enumerate([*pairs[:1], *pairs]):
        for name, way in ways.items():
            start = time.process_time()
            way(*pair)
            # The first photo warms up.
            seconds[name] += (time.process_time() - start) if place else 0.0
    return {name: len(pairs) / spent for name, spent in seconds.items()}


def _fillable(pairs: list[Pair]) -> list[Pair]:
    """Those of which any dilation leaves something."""
    return [(image, mask) for image, mask in pairs if mask.any() and not hole_of(mask, "foraug").all()]


class _Published(nn.Module):
    """The generator and the pasting around it, as in the published program."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        """The image with its hole filled, in [0, 1]."""
        predicted = self.generator(torch.cat([image * (1 - mask), mask], dim=1))
        return mask * predicted + (1 - mask) * image


def _published(network: Generator) -> torch.jit.ScriptModule:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated, and what the published file is
        traced = torch.jit.trace(_Published(network).eval(), (torch.rand(1, 3, 64, 96), torch.ones(1, 1, 64, 96)))
    assert isinstance(traced, torch.jit.ScriptModule)
    return traced


def _foraugs_way(program: torch.jit.ScriptModule, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    blurred = Image.fromarray(mask.view(np.uint8) * np.uint8(255)).filter(ImageFilter.GaussianBlur(7))
    hole = np.asarray(blurred) > 0
    height, width = hole.shape
    padding = (0, -height % 8), (0, -width % 8)
    padded = np.pad(image, (*padding, (0, 0)), mode="symmetric").astype(np.float32) / 255
    holes = np.pad(hole, padding, mode="symmetric").astype(np.float32)
    with torch.no_grad():
        answer = program(torch.from_numpy(padded).permute(2, 0, 1)[None], torch.from_numpy(holes)[None, None])
    grey = answer[0].permute(1, 2, 0).numpy()[:height, :width] * 255
    return np.where(hole[..., None], grey, image).clip(0, 255).astype(np.uint8)


def _photos(folder: Path) -> Iterator[Pair]:
    for path in sorted((folder / "masks").rglob("*.png")):
        photo = folder / "ILSVRC/Data/CLS-LOC" / path.relative_to(folder / "masks").with_suffix(".JPEG")
        yield decode_image(photo.read_bytes()), decode_mask(path.read_bytes())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="photos in ILSVRC's layout, and masks/")
    parser.add_argument("--lama", type=int, default=12, help="photos that LaMa fills")
    return parser


if __name__ == "__main__":
    main()
