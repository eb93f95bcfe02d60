"""Photos a second of our GroundingDINO + SAM and of the loop that every public script uses; in one run, on the CPU.

    python -m benchmarks.segment --photos 6

Real architectures (SwinT-OGC with BERT-base, SAM ViT-B), random weights, photos of ImageNet's mean size. Both do the
work of two boxes a photo. The public loop takes one photo at a time through the packages' own `predict`,
`SamPredictor.set_image` and, box by box, `SamPredictor.predict`, all in float32, the text encoded for each photo. The
rows of ours add one measure after the other. Last, what 50,000 photos would cost on a GPU, reckoned from the FLOPs and
from the bytes that eager PyTorch moves. Set OMP_WAIT_POLICY=PASSIVE where cores are shared.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import torch
from segment_anything import SamPredictor, sam_model_registry
from segment_anything.modeling import Sam
from torch import nn
from torchvision.ops import box_convert, box_iou

from benchmarks.reckoning import ARITHMETIC, GPUS, MEMORY, Work, counted
from bgdata.masks.metrics import iou
from models.segmenters.base import Detection
from models.segmenters.grounding_dino import GroundingDino, caption_of, prepare_image
from models.segmenters.grounding_dino_network import quietly
from models.segmenters.sam import BoxMasks
from tests.models.tiny_networks import real_networks

with quietly():
    from groundingdino.util.inference import predict

SIZE = (375, 500)
PROMPT = ("dog",)
BOXES = 2  # a photo
MANY_BOXES = 16
PHOTOS = 50_000


@dataclass(frozen=True)
class Networks:
    """Both networks, float32 on the CPU."""

    dino: nn.Module
    sam: Sam


@dataclass(frozen=True)
class Cost:
    """Of one photo: seconds on the clock and of CPU; the peak of resident memory in GiB."""

    wall: float
    cpu: float
    memory: float


def main() -> None:
    """Measure and print the tables."""
    arguments = _parser().parse_args()
    torch.set_num_threads(arguments.threads)
    with TemporaryDirectory() as scratch:
        networks = Networks(*real_networks(Path(scratch) / "bert"))
    photos = [_photo(seed) for seed in range(arguments.photos)]
    print(f"{len(photos)} photos of {SIZE[0]}x{SIZE[1]}, {BOXES} boxes each, {arguments.threads} threads\n")
    _print_speed(networks, photos)
    _print_agreement(networks, photos)
    _print_projection(networks)


def _print_speed(networks: Networks, photos: list[np.ndarray]) -> None:
    full, half = torch.float32, torch.bfloat16
    rows: dict[str, Callable[[], Cost]] = {
        "public loop": lambda: _time_public(networks, photos),
        "ours, float32, text for each photo": lambda: _time_ours(networks, photos, full, full, forget=True),
        "+ text once a prompt": lambda: _time_ours(networks, photos, full, full),
        "+ detector in bfloat16": lambda: _time_ours(networks, photos, half, full),
        "+ image encoder in bfloat16 (ours as it is)": lambda: _time_ours(networks, photos, half, half),
    }
    print("| what | photos/s | s a photo | CPU s a photo | peak GiB | public loop / this | in CPU s |")
    print("|---|---|---|---|---|---|---|")
    public = None
    for name, measure in rows.items():
        cost = measure()
        public = public or cost
        print(
            f"| {name} | {1 / cost.wall:.3f} | {cost.wall:.2f} | {cost.cpu:.2f} | {cost.memory:.1f} | "
            f"{public.wall / cost.wall:.2f}x | {public.cpu / cost.cpu:.2f}x |"
        )
    singly, together = (_time_boxes(networks, photos[0], at_once) for at_once in (1, MANY_BOXES))
    print(f"\nDecoding {MANY_BOXES} boxes: {singly:.2f} CPU s one by one, {together:.2f} in one call.\n")


def _print_agreement(networks: Networks, photos: list[np.ndarray]) -> None:
    """How far bfloat16 moves masks (from the same boxes) and boxes (each with its nearest one).

    Random weights make the choice of boxes chaotic: one grey level of noise is the measure of that.
    """
    prompts = [PROMPT] * len(photos)
    full, half = torch.float32, torch.bfloat16
    found = _detector(networks, full).detect(photos, prompts)
    others = {
        "in bfloat16": _detector(networks, half).detect(photos, prompts),
        "in float32 after noise of one grey level": _detector(networks, full).detect(
            [_noisy(photo) for photo in photos], prompts
        ),
    }
    boxes = [[detection.box for detection in best[:BOXES]] for best in found]
    masks = [
        [mask for mask, _ in BoxMasks(networks.sam, multimask=True, precision=precision).segment(photos, boxes)]
        for precision in (full, half)
    ]
    overlaps = [iou(*pair) for pair in zip(*masks, strict=True)]
    print(f"Masks of the same boxes, bfloat16 to float32: IoU {np.mean(overlaps):.4f} (least {min(overlaps):.4f}).")
    for name, moved in others.items():
        share = np.mean([_matched(*pair) for pair in zip(found, moved, strict=True)])
        print(f"Of the boxes in float32 {share:.3f} have one of IoU >= 0.9 among those {name}.")
    print()


def _print_projection(networks: Networks) -> None:
    detector = _count_detector(networks)
    print(f"A photo's detector: {detector.flops / 1e12:.2f} TFLOP, {detector.moved / 1e9:.0f} GB moved")
    for name in ("vit_b", "vit_h"):
        encoder = _count_encoder(name)
        print(f"SAM {name}'s image encoder: {encoder.flops / 1e12:.2f} TFLOP, {encoder.moved / 1e9:.0f} GB moved")
        print(f"\n{PHOTOS} photos, SwinT + {name}, bfloat16: seconds a photo = FLOP / ({ARITHMETIC} x peak FLOP/s)")
        print(f"+ bytes / ({MEMORY} x bandwidth); decoding boxes and reading photos are left out\n")
        print("| GPU | photos/s | hours | dollars an hour (assumed) | dollars |\n|---|---|---|---|---|")
        work = Work(detector.flops + encoder.flops, detector.moved + encoder.moved)
        for name_of_gpu, gpu in GPUS.items():
            seconds = gpu.seconds(work)
            hours = PHOTOS * seconds / 3600
            print(f"| {name_of_gpu} | {1 / seconds:.1f} | {hours:.1f} | {gpu.price:.2f} | {hours * gpu.price:.2f} |")
        print()


def _time_public(networks: Networks, photos: list[np.ndarray]) -> Cost:
    prepared = [prepare_image(photo) for photo in photos]
    thresholds = [_threshold(networks, image) for image in prepared]  # so that BOXES pass
    predictor = SamPredictor(networks.sam)
    with _measured(len(photos)) as cost, quietly():
        for photo, threshold in zip(photos, thresholds, strict=True):
            _forget_text(networks)
            boxes, _, _ = predict(
                networks.dino, prepare_image(photo), caption_of(PROMPT), threshold, threshold, device="cpu"
            )
            predictor.set_image(photo)
            scale = torch.tensor([SIZE[1], SIZE[0], SIZE[1], SIZE[0]])
            corners = box_convert(boxes * scale, "cxcywh", "xyxy").numpy()
            masks = [predictor.predict(box=box, multimask_output=True) for box in corners]
            np.any([found[scores.argmax()] for found, scores, _ in masks], axis=0)
    return cost[0]


def _time_ours(
    networks: Networks, photos: list[np.ndarray], detecting: torch.dtype, encoding: torch.dtype, *, forget: bool = False
) -> Cost:
    detector = _detector(networks, detecting)
    masks = BoxMasks(networks.sam, multimask=True, precision=encoding)
    with _measured(len(photos)) as cost:
        for photo in photos:
            if forget:
                _forget_text(networks)
            found = detector.detect([photo], [PROMPT])[0][:BOXES]
            masks.segment([photo], [[detection.box for detection in found]])
    return cost[0]


def _time_boxes(networks: Networks, photo: np.ndarray, at_once: int) -> float:
    """Seconds to decode many boxes, the encoding taken off."""
    masks = BoxMasks(networks.sam, multimask=True, precision=torch.bfloat16, boxes_at_once=at_once)
    seconds = []
    for count in (1, MANY_BOXES + 1):
        start = time.process_time()
        masks.segment([photo], [[(10.0 + place, 10.0, 200.0, 200.0) for place in range(count)]])
        seconds.append(time.process_time() - start)
    return seconds[1] - seconds[0]


@contextmanager
def _measured(photos: int) -> Iterator[list[Cost]]:
    cost: list[Cost] = []
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    wall, cpu = time.perf_counter(), time.process_time()
    yield cost
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    cost.append(Cost(wall / photos, cpu / photos, int(peak.split()[1]) / 2**20))


def _threshold(networks: Networks, image: torch.Tensor) -> float:
    with torch.inference_mode(), quietly():
        answers = networks.dino(image[None], captions=[caption_of(PROMPT)])
    scores = answers["pred_logits"].sigmoid().max(-1).values[0].sort(descending=True).values
    return float(scores[BOXES - 1 : BOXES + 1].mean())


def _detector(networks: Networks, precision: torch.dtype) -> GroundingDino:
    return GroundingDino(networks.dino, box_threshold=0.0, text_threshold=0.0, nms_iou=1.0, precision=precision)


def _forget_text(networks: Networks) -> None:
    networks.dino.bert.train().eval()


def _matched(found: list[Detection], others: list[Detection]) -> float:
    corners, wanted = (torch.tensor([detection.box for detection in some]) for some in (found, others))
    return float((box_iou(corners, wanted).max(1).values >= 0.9).float().mean())


def _count_detector(networks: Networks) -> Work:
    detector = _detector(networks, torch.bfloat16)
    detector.detect([_photo(0)], [PROMPT])  # the text is remembered
    with counted() as work:
        detector.detect([_photo(0)], [PROMPT])
    return work[0]


def _count_encoder(name: str) -> Work:
    with torch.device("meta"), torch.inference_mode():
        encoder = sam_model_registry[name]().image_encoder.to(torch.bfloat16)
        with counted() as work:
            encoder(torch.empty(1, 3, 1024, 1024, dtype=torch.bfloat16))
    return work[0]


def _photo(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse, fine = rng.integers(0, 256, (6, 8, 3), np.uint8), rng.integers(0, 256, (*SIZE, 3), np.uint8)
    return cv2.addWeighted(cv2.resize(coarse, SIZE[::-1], interpolation=cv2.INTER_CUBIC), 0.85, fine, 0.15, 0)


def _noisy(photo: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(1).integers(-1, 2, photo.shape)
    return (photo + noise).clip(0, 255).astype(np.uint8)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=6, help="photos a variant (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="PyTorch's threads (default: %(default)s)")
    return parser


if __name__ == "__main__":
    main()
