"""SAM 2.1: equal to transformers' own calls, bounded, and loaded strictly."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import Sam2ImageProcessor, Sam2Model, Sam2Processor

from bgdata.errors import InputError
from models.segmenters import sam2 as adapter
from models.segmenters.parts import load_masks
from models.segmenters.sam2 import Sam2BoxMasks
from models.segmenters.settings import SamSettings
from tests.models.tiny_transformers import change_config, change_weights, same_weights, save_folder, tiny_sam2

SETTINGS = SamSettings(model="sam2_1_hiera_tiny", multimask=True, precision="float32")
BOXES = [(5.0, 8.5, 60.0, 70.25), (30.0, 2.0, 90.0, 44.0), (0.0, 0.0, 50.0, 60.0), (11.0, 12.0, 33.0, 31.0)]
SIZES = [(90, 100), (100, 90), (64, 128), (300, 200), (128, 128)]


@pytest.fixture(scope="module")
def network() -> Sam2Model:
    return tiny_sam2(side=128)


def image(seed: int, size: tuple[int, int] = (90, 100)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


@torch.inference_mode()
def public_masks(network: Sam2Model, photo: np.ndarray, *, multimask: bool = True) -> tuple[np.ndarray, list[float]]:
    """The masks of BOXES through transformers' processor, model and post-processing, as its page shows."""
    processor = Sam2Processor(Sam2ImageProcessor(size={"height": 128, "width": 128}))
    inputs = processor(images=[photo], input_boxes=[[list(box) for box in BOXES]], return_tensors="pt")
    outputs = network(**inputs, multimask_output=multimask)
    masks = processor.post_process_masks(outputs.pred_masks, inputs["original_sizes"])[0].numpy()  # n m h w
    best = outputs.iou_scores[0].argmax(1)
    return masks[np.arange(len(BOXES)), best], outputs.iou_scores[0].max(1).values.tolist()


@pytest.mark.parametrize("multimask", [True, False])
@pytest.mark.parametrize("size", SIZES)
def test_masks_are_transformers(network: Sam2Model, size: tuple[int, int], *, multimask: bool) -> None:
    photo = image(0, size)
    masks, scores = public_masks(network, photo, multimask=multimask)
    found, predicted = Sam2BoxMasks(network, multimask=multimask).segment([photo], [BOXES])[0]
    assert np.array_equal(found, masks.any(0))
    assert predicted == pytest.approx(scores, abs=1e-6)
    assert 0 < found.mean() < 1
    other = Sam2BoxMasks(network, multimask=multimask).segment([image(9, size)], [BOXES])[0]
    assert (other[0] != found).any()
    assert other[1] != predicted


def test_photos_do_not_touch_each_other(network: Sam2Model) -> None:
    photos = [image(seed, size) for seed, size in enumerate(SIZES)]
    boxes = [BOXES[: 1 + seed % 4] for seed in range(5)]
    alone = [
        Sam2BoxMasks(network, multimask=True).segment([one], [its])[0] for one, its in zip(photos, boxes, strict=True)
    ]
    for batch, order in ((1, [0, 1, 2, 3, 4]), (3, [4, 2, 0, 1, 3]), (8, [3, 4, 1, 0, 2])):
        masks = Sam2BoxMasks(network, multimask=True, batch=batch)
        answers = masks.segment([photos[at] for at in order], [boxes[at] for at in order])
        for at, (mask, scores) in zip(order, answers, strict=True):
            assert mask.shape == photos[at].shape[:2]
            assert (mask != alone[at][0]).mean() < 1e-3
            assert scores == pytest.approx(alone[at][1], abs=1e-5)
            assert batch > 1 or (np.array_equal(mask, alone[at][0]) and scores == alone[at][1])


def test_boxes_are_decoded_in_bounded_calls(network: Sam2Model) -> None:
    corners = np.sort(np.random.default_rng(3).uniform(0, 90, (50, 2, 2)), axis=1).reshape(50, 4)
    boxes = [tuple(map(float, box)) for box in corners]
    counts: list[int] = []
    hook = network.prompt_encoder.register_forward_hook(
        lambda _, __, named, ___: counts.append(named["input_boxes"].shape[1]), with_kwargs=True
    )
    mask, scores = Sam2BoxMasks(network, multimask=True, boxes_at_once=16).segment([image(1)], [boxes])[0]
    hook.remove()
    assert counts == [16, 16, 16, 2]
    whole, whole_scores = Sam2BoxMasks(network, multimask=True, boxes_at_once=64).segment([image(1)], [boxes])[0]
    assert (mask != whole).mean() < 1e-3
    assert scores == pytest.approx(whole_scores, abs=1e-5)


def test_bfloat16_moves_little(network: Sam2Model) -> None:
    full = Sam2BoxMasks(network, multimask=True).segment([image(2)], [BOXES])[0]
    half = Sam2BoxMasks(network, multimask=True, precision=torch.bfloat16).segment([image(2)], [BOXES])[0]
    assert (full[0] & half[0]).sum() / (full[0] | half[0]).sum() > 0.9
    assert full[1] != half[1]
    assert half[1] == pytest.approx(full[1], abs=0.02)


@pytest.fixture
def folder(network: Sam2Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of weights whose tiny network counts as the published one."""
    monkeypatch.setitem(adapter.SIZES, SETTINGS.model, {"vision_config.backbone_config.blocks_per_stage": [1, 1, 2, 1]})
    return save_folder(network, tmp_path / SETTINGS.model)


def load(folder: Path) -> Sam2BoxMasks:
    return load_masks(folder.parent, SETTINGS, device="cpu")


def test_the_folder_gives_its_masks(network: Sam2Model, folder: Path) -> None:
    drawn = torch.random.get_rng_state()
    loaded = load(folder)
    assert torch.equal(torch.random.get_rng_state(), drawn)
    assert same_weights(network, loaded._sam)
    ours = Sam2BoxMasks(network, multimask=True)
    assert np.array_equal(loaded.segment([image(4)], [BOXES])[0][0], ours.segment([image(4)], [BOXES])[0][0])


def test_the_published_folder_is_a_videos(network: Sam2Model, folder: Path) -> None:
    """Its checkpoint holds the memory beside the network, and its type is the video network's."""
    memory = {"memory_encoder.projection.weight": torch.zeros(3), "no_memory_positional_encoding": torch.zeros(1)}
    change_weights(folder, lambda state: state | memory)
    change_config(folder, lambda config: config | {"model_type": "sam2_video", "memory_attention_num_layers": 4})
    assert same_weights(network, load(folder)._sam)


def shortened(config: dict[str, Any]) -> dict[str, Any]:
    config["vision_config"]["backbone_config"]["blocks_per_stage"] = [1, 1, 1, 1]
    return config


def test_folders_that_are_none(folder: Path) -> None:
    def refused(words: str) -> None:
        with pytest.raises(InputError, match=words):
            load(folder)

    whole, config = (folder / "model.safetensors").read_bytes(), (folder / "config.json").read_text()
    change_weights(folder, lambda state: dict(list(state.items())[1:]))
    refused(r"model.safetensors do not fit the network: missing: mask_decoder.conv_s0.bias$")
    change_weights(folder, lambda state: state | {"more": torch.zeros(1), "mask_decoder.conv_s0.bias": torch.zeros(9)})
    refused(r"do not fit the network: unexpected: more; wrong shape: mask_decoder.conv_s0.bias$")
    (folder / "model.safetensors").write_bytes(whole[:100_000])
    refused(r"is a safetensors file that was cut short \(.*\): download it again")
    (folder / "model.safetensors").write_text("<html>not here</html>")
    refused("model.safetensors is a web page")
    (folder / "model.safetensors").unlink()
    refused(r"model.safetensors are missing: run `dvc repro fetch_weights` \(runtime.mirror names another")
    (folder / "model.safetensors").write_bytes(whole)
    change_config(folder, lambda config: config | {"model_type": "sam"})
    refused(r"describes another network \(`model_type` is 'sam', expected 'sam2'\): run `dvc repro fetch_weights`, or")
    (folder / "config.json").write_text(config)
    change_config(folder, shortened)
    refused(r"another size of the network \(vision_config.backbone_config.blocks_per_stage is \[1, 1, 1, 1\], expected")
    change_config(folder, lambda content: content | {"vision_config": "large"})
    refused(r"config.json is no configuration of it \(")
    (folder / "config.json").write_text("<html>")
    refused("config.json is no JSON")
    (folder / "config.json").unlink()
    refused("config.json is missing: run `dvc repro fetch_weights`, or put the files of the network as transformers")
