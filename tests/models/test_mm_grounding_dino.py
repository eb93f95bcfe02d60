"""MM-GroundingDINO: equal to transformers' own calls, batched as one by one, text once a prompt, loaded strictly."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from transformers import BertTokenizer, GroundingDinoImageProcessor, GroundingDinoProcessor

from bgdata.errors import InputError
from models.segmenters import mm_grounding_dino as adapter
from models.segmenters.base import Detection
from models.segmenters.mm_grounding_dino import MMGroundingDino, expected_marks
from models.segmenters.parts import load_detector
from models.segmenters.settings import GroundingDinoSettings
from models.segmenters.text_boxes import caption_of
from models.segmenters.text_encoder import load_tokenizer
from tests.models.tiny_networks import write_bert
from tests.models.tiny_transformers import change_config, change_weights, save_folder, tiny_mm_grounding_dino

SHORTER, LONGEST = 96, 160
MODEL = "mm_grounding_dino_tiny_o365v1_goldg"
SETTINGS = GroundingDinoSettings(
    model=MODEL,
    prompts="superclass",
    box_threshold=0.0,
    text_threshold=0.25,
    nms_iou=1.0,
    keep="all",
    min_overlap=0.5,
    precision="float32",
)
PROMPTS = [("red circle", "dog"), ("tench",), ("fish", "wheeled vehicle", "bird"), ("tench",), ("blue square",)]
SIZES = [(100, 130), (130, 100), (60, 60), (100, 130), (33, 97)]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> BertTokenizer:
    return load_tokenizer(write_bert(tmp_path_factory.mktemp("weights") / "bert_base_uncased"))


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return quietened(tiny_mm_grounding_dino())


def quietened(network: nn.Module) -> nn.Module:
    """Scores that differ: random features match random words by tens."""
    with torch.no_grad():
        network.model.encoder.layers[-1].text_enhancer_layer.layer_norm_after.weight.mul_(0.05)
    return network


def detector(
    network: nn.Module, tokenizer: BertTokenizer, *, box_threshold: float = 0.0, nms_iou: float = 1.0, batch: int = 1
) -> MMGroundingDino:
    return MMGroundingDino(
        network,
        tokenizer,
        box_threshold=box_threshold,
        text_threshold=0.5,
        nms_iou=nms_iou,
        batch=batch,
        shorter=SHORTER,
        longest=LONGEST,
    )


def image(seed: int, size: tuple[int, int] = (100, 130)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def furthest(found: Sequence[Detection], others: Sequence[Detection]) -> float:
    """The greatest difference of a box's corners (pixels) or score to those of its nearest one among the others."""
    assert len(found) == len(others) > 0
    numbers, wanted = (np.array([(*detection.box, detection.score) for detection in some]) for some in (found, others))
    return float(np.abs(numbers[:, None] - wanted[None]).max(-1).min(1).max())


@torch.inference_mode()
def public_boxes(
    network: nn.Module, tokenizer: BertTokenizer, photo: np.ndarray, prompt: tuple[str, ...], threshold: float
) -> list[Detection]:
    """The boxes through transformers' processor, model and post-processing, as its page shows."""
    size = {"shortest_edge": SHORTER, "longest_edge": LONGEST}
    processor = GroundingDinoProcessor(GroundingDinoImageProcessor(size=size), tokenizer)
    inputs = processor(images=photo, text=caption_of(prompt), return_tensors="pt")
    (found,) = processor.post_process_grounded_object_detection(
        network(**inputs), threshold=threshold, text_threshold=0.5, target_sizes=[photo.shape[:2]]
    )
    return [
        Detection(tuple(box.tolist()), words, float(score))
        for box, words, score in zip(found["boxes"], found["text_labels"], found["scores"], strict=True)
    ]


@pytest.mark.parametrize("prompt", PROMPTS[:3])
@pytest.mark.parametrize("size", SIZES[:3])
def test_detections_are_transformers(tokenizer: BertTokenizer, size: tuple[int, int], prompt: tuple[str, ...]) -> None:
    photo = image(0, size)
    untouched = quietened(tiny_mm_grounding_dino())  # with its own text encoder
    threshold = float(np.median([found.score for found in public_boxes(untouched, tokenizer, photo, prompt, 0.0)]))
    public = sorted(public_boxes(untouched, tokenizer, photo, prompt, threshold), key=lambda found: -found.score)
    ours = detector(untouched, tokenizer, box_threshold=threshold).detect([photo], [prompt])[0]
    assert 0 < len(ours) < 30
    assert [found.box for found in ours] == pytest.approx(np.array([found.box for found in public]), abs=1e-3)
    assert [found.score for found in ours] == pytest.approx([found.score for found in public], abs=1e-5)
    for found, other in zip(ours, public, strict=True):
        matched = {phrase for phrase in prompt if set(phrase.split()) & set(other.phrase.split())}
        assert set(found.phrase.split(", ")) - {""} == matched


def test_batches_equal_one_by_one(network: nn.Module, tokenizer: BertTokenizer) -> None:
    photos = [image(seed) for seed in range(5)]
    ours, together = detector(network, tokenizer), detector(network, tokenizer, batch=5)
    alone = [ours.detect([photo], [prompt])[0] for photo, prompt in zip(photos, PROMPTS, strict=True)]
    # Captions of other lengths are padded; that, and sums in another order, may move the last digits alone.
    answers = together.detect(photos, PROMPTS)
    assert max(furthest(*pair) for pair in zip(alone, answers, strict=True)) < 1e-2
    assert furthest(alone[1], alone[3]) > 0.5  # the same prompt on another photo is another answer


def test_a_photo_does_not_depend_on_the_others(network: nn.Module, tokenizer: BertTokenizer) -> None:
    photos = [image(seed, size) for seed, size in enumerate(SIZES)]
    ours = detector(network, tokenizer)
    alone = [ours.detect([photo], [prompt])[0] for photo, prompt in zip(photos, PROMPTS, strict=True)]
    for order in ([0, 1, 2, 3, 4], [4, 1, 3, 0, 2]):
        assert ours.detect([photos[at] for at in order], [PROMPTS[at] for at in order]) == [alone[at] for at in order]
    assert ours.detect([], []) == []


def test_a_strip_of_an_image_has_no_box(tokenizer: BertTokenizer) -> None:
    photos = [image(0, size) for size in ((100, 130), (3, 300), (400, 1))]
    found = detector(tiny_mm_grounding_dino(queries=60), tokenizer).detect(photos, [("dog",)] * 3)
    assert [len(boxes) for boxes in found] == [60, 0, 0]


def test_the_text_is_computed_once_a_prompt(network: nn.Module, tokenizer: BertTokenizer) -> None:
    ours = detector(network, tokenizer, batch=2)
    network.train().eval()  # forgets
    calls: list[int] = []
    hook = network.model.text_backbone.encoder.register_forward_hook(lambda *_: calls.append(1))
    for _ in range(3):
        ours.detect([image(seed) for seed in range(5)], PROMPTS)
    hook.remove()
    assert len(calls) == len(set(PROMPTS)) == 4


def test_overlapping_boxes_are_dropped(network: nn.Module, tokenizer: BertTokenizer) -> None:
    every = detector(network, tokenizer).detect([image(0)], [("red circle",)])[0]
    apart = detector(network, tokenizer, nms_iou=0.01).detect([image(0)], [("red circle",)])[0]
    assert [found.score for found in every] == sorted((found.score for found in every), reverse=True)
    assert apart[0] == every[0]
    assert 1 <= len(apart) < len(every)


def test_bfloat16_finds_much_the_same(network: nn.Module, tokenizer: BertTokenizer) -> None:
    half = MMGroundingDino(
        network,
        tokenizer,
        box_threshold=0.0,
        text_threshold=0.5,
        nms_iou=1.0,
        precision=torch.bfloat16,
        shorter=SHORTER,
        longest=LONGEST,
    )
    full = detector(network, tokenizer).detect([image(0)], [("dog",)])[0]
    assert 0 < furthest(full, half.detect([image(0)], [("dog",)])[0]) < 20
    assert detector(network, tokenizer).detect([image(0)], [("dog",)])[0] == full  # as it was before


def test_a_prompt_too_long(network: nn.Module, tokenizer: BertTokenizer) -> None:
    with pytest.raises(InputError, match=r"has 302 tokens, and GroundingDINO reads 256: ask for less at once"):
        detector(network, tokenizer).detect([image(0)], [("dog " * 299,)])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of weights whose tiny network counts as the published one, with the vocabulary beside it."""
    monkeypatch.setattr(adapter, "expected_marks", lambda _: {"backbone_config.embed_dim": 24, "num_queries": 30})
    write_bert(tmp_path / "bert_base_uncased")
    return save_folder(tiny_mm_grounding_dino(), tmp_path / MODEL)


def load(folder: Path) -> MMGroundingDino:
    return load_detector(folder.parent, SETTINGS, device="cpu", batch=4)


def test_the_folder_gives_its_boxes(folder: Path, tokenizer: BertTokenizer) -> None:
    full_size = MMGroundingDino(
        tiny_mm_grounding_dino(), tokenizer, box_threshold=0.0, text_threshold=0.25, nms_iou=1.0
    )
    assert load(folder).detect([image(0)], [("dog",)]) == full_size.detect([image(0)], [("dog",)])


def test_folders_that_are_none(folder: Path) -> None:
    def refused(words: str) -> None:
        with pytest.raises(InputError, match=words):
            load(folder)

    whole, vocabulary = (folder / "model.safetensors").read_bytes(), folder.parent / "bert_base_uncased/vocab.txt"
    text = "model.text_backbone.encoder."
    change_weights(folder, lambda state: {key.replace(text, "model.text.encoder."): state[key] for key in state})
    refused(rf"do not fit the network: missing: {text}layer.0.attention.* and 27 more; unexpected: model.text.encoder")
    change_weights(folder, lambda state: {key: value for key, value in state.items() if key.startswith("bbox")})
    refused(r"do not fit the network: missing: ")
    (folder / "model.safetensors").write_bytes(whole)
    change_config(folder, lambda config: config | {"num_queries": 20})
    refused(r"describes another size of the network \(num_queries is 20, expected 30\)")
    change_config(folder, lambda config: config | {"model_type": "grounding-dino"})
    refused(r"another network \(`model_type` is 'grounding-dino', expected 'mm-grounding-dino'\)")
    change_config(folder, lambda config: config | {"model_type": "mm-grounding-dino", "num_queries": 30})
    vocabulary.unlink()
    refused("vocab.txt is missing: run `dvc repro fetch_weights`, or put bert-base-uncased's")


def test_what_each_name_stands_for() -> None:
    marks = [expected_marks(f"mm_grounding_dino_{size}_all") for size in ("tiny", "base", "large")]
    assert [mark["backbone_config.embed_dim"] for mark in marks] == [96, 128, 192]
