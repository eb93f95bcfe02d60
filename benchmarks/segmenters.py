"""CPU seconds a photo of the segmenters that transformers runs: its own calls one photo at a time, and ours.

    OMP_NUM_THREADS=1 python -m benchmarks.segmenters sam2 mm_grounding_dino

Real architectures at their smallest, random weights, photos of ImageNet's mean size, two boxes or one phrase a photo;
all in one run. Last, how far bfloat16 moves masks (IoU with float32's, of the same boxes).
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from transformers import (
    BertConfig,
    GroundingDinoImageProcessor,
    GroundingDinoProcessor,
    MMGroundingDinoConfig,
    MMGroundingDinoForObjectDetection,
    Sam2Config,
    Sam2ImageProcessor,
    Sam2Model,
    Sam2Processor,
    SamHQConfig,
    SamHQModel,
    SamHQProcessor,
    SamImageProcessor,
    SwinConfig,
)

from benchmarks.segment import _photo as draw_photo
from bgdata.masks.metrics import iou
from models.segmenters.box_masks import MasksOfBoxes
from models.segmenters.mm_grounding_dino import MMGroundingDino
from models.segmenters.sam2 import Sam2BoxMasks
from models.segmenters.sam_hq import SamHQBoxMasks
from models.segmenters.text_boxes import caption_of
from models.segmenters.text_encoder import load_tokenizer
from tests.models.tiny_networks import draw_weights, write_bert

BOXES = [(20.0, 30.0, 300.0, 320.0), (210.0, 5.0, 480.0, 200.0)]
PROMPT = ("red dog",)
FULL, HALF = torch.float32, torch.bfloat16


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="+", choices=sorted(_NETWORKS))
    parser.add_argument("--photos", type=int, default=2)
    arguments = parser.parse_args()
    photos = [draw_photo(seed) for seed in range(arguments.photos)]
    print("| network | transformers' calls, CPU s a photo | ours, float32 | ours, bfloat16 | IoU of bfloat16 |")
    print("|---|---|---|---|---|")
    for name in arguments.networks:
        with TemporaryDirectory() as scratch:
            _NETWORKS[name](photos, Path(scratch))


def _sam2(photos: list[np.ndarray], _: Path) -> None:
    network: Any = _drawn(lambda: Sam2Model(Sam2Config()))
    _compare_masks("SAM 2.1 tiny", photos, network, Sam2Processor(Sam2ImageProcessor()), Sam2BoxMasks)


def _sam_hq(photos: list[np.ndarray], _: Path) -> None:
    network: Any = _drawn(lambda: SamHQModel(SamHQConfig(vision_config={"initializer_range": 0.02})))
    _compare_masks("SAM-HQ ViT-B", photos, network, SamHQProcessor(SamImageProcessor()), SamHQBoxMasks)


def _compare_masks(name: str, photos: list[np.ndarray], network: Any, processor: Any, adapter: Any) -> None:
    def public(photo: np.ndarray) -> Any:
        inputs = processor(images=[photo], input_boxes=[[list(box) for box in BOXES]], return_tensors="pt")
        answer = network(pixel_values=inputs["pixel_values"], input_boxes=inputs["input_boxes"].float())
        seen = [inputs["reshaped_input_sizes"]] if "reshaped_input_sizes" in inputs else []
        return processor.post_process_masks(answer.pred_masks, inputs["original_sizes"], *seen)

    full: MasksOfBoxes = adapter(network, multimask=True)
    half: MasksOfBoxes = adapter(network, multimask=True, precision=HALF)
    public_cost, _ = _cost(public, photos)
    full_cost, masks = _cost(lambda photo: full.segment([photo], [BOXES])[0][0], photos)
    half_cost, rough = _cost(lambda photo: half.segment([photo], [BOXES])[0][0], photos)
    overlap = np.mean([iou(*pair) for pair in zip(masks, rough, strict=True)])
    print(f"| {name} | {public_cost:.2f} | {full_cost:.2f} | {half_cost:.2f} | {overlap:.4f} |", flush=True)


def _mm_grounding_dino(photos: list[np.ndarray], scratch: Path) -> None:
    config = MMGroundingDinoConfig(
        backbone_config=SwinConfig(out_indices=[2, 3, 4]),
        text_config=BertConfig(),
        decoder_bbox_embed_share=False,
        decoder_cls_embed_share=False,
    )
    network: Any = _drawn(lambda: MMGroundingDinoForObjectDetection(config))
    tokenizer = load_tokenizer(write_bert(scratch / "bert", vocabulary=30522, hidden_size=768))
    processor = GroundingDinoProcessor(GroundingDinoImageProcessor(), tokenizer)

    def public(photo: np.ndarray) -> Any:
        answer = network(**processor(images=photo, text=caption_of(PROMPT), return_tensors="pt"))
        return processor.post_process_grounded_object_detection(answer, target_sizes=[photo.shape[:2]])

    public_cost, _ = _cost(public, photos)
    costs = []
    for precision in (FULL, HALF):
        ours = MMGroundingDino(
            network, tokenizer, box_threshold=0.0, text_threshold=0.0, nms_iou=1.0, precision=precision
        )
        costs.append(_cost(lambda photo, ours=ours: ours.detect([photo], [PROMPT]), photos)[0])
    print(f"| MM-GroundingDINO tiny | {public_cost:.2f} | {costs[0]:.2f} | {costs[1]:.2f} | - |", flush=True)


def _cost(run: Callable[[np.ndarray], Any], photos: list[np.ndarray]) -> tuple[float, list[Any]]:
    """CPU seconds a photo, the first one's left out, and what came out."""
    with torch.inference_mode():
        answers = [run(photos[0])]
        start = time.process_time()
        answers += [run(photo) for photo in photos[1:]]
    return (time.process_time() - start) / (len(photos) - 1), answers


def _drawn(build: Callable[[], Any]) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return draw_weights(build(), 0)


_NETWORKS: dict[str, Callable[[list[np.ndarray], Path], None]] = {
    "sam2": _sam2,
    "sam_hq": _sam_hq,
    "mm_grounding_dino": _mm_grounding_dino,
}

if __name__ == "__main__":
    main()
