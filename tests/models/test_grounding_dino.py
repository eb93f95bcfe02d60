"""GroundingDINO: equal to the package's predict, batched as one by one, text once a prompt, loaded strictly."""

import json
import socket
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision.ops import box_convert

from bgdata.errors import InputError
from models.segmenters import grounding_dino as adapter
from models.segmenters.base import Detection
from models.segmenters.grounding_dino import (
    GroundingDino,
    caption_of,
    load_grounding_dino,
    prepare_image,
    resized_size,
)
from models.segmenters.grounding_dino_network import quietly
from models.segmenters.settings import GroundingDinoSettings
from models.segmenters.text_encoder import build_bert
from tests.models.tiny_networks import quieten_text, tiny_grounding_dino, write_bert

with quietly():
    from groundingdino.util import inference

SHORTER, LONGEST = 96, 160
SETTINGS = GroundingDinoSettings(
    model="groundingdino_swint_ogc",
    prompts="superclass",
    box_threshold=0.0,
    text_threshold=0.25,
    nms_iou=1.0,
    keep="all",
    min_overlap=0.5,
    precision="float32",
)
PROMPTS = [("red circle", "dog"), ("tench",), ("fish", "wheeled vehicle", "bird"), ("tench",), ("blue square",)]


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bert(tmp_path_factory.mktemp("weights") / "bert_base_uncased")


@pytest.fixture(scope="module")
def network(bert: Path) -> nn.Module:
    return quieten_text(tiny_grounding_dino(bert), 0.01)


def detector(network: nn.Module, *, box_threshold: float = 0.0, nms_iou: float = 1.0, batch: int = 1) -> GroundingDino:
    return GroundingDino(
        network,
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


@pytest.mark.parametrize("prompt", PROMPTS[:3])
def test_detections_are_the_packages(network: nn.Module, prompt: tuple[str, ...]) -> None:
    photo = image(0)
    with quietly():
        boxes, scores, phrases = inference.predict(
            network, prepare_image(photo, SHORTER, LONGEST), caption_of(prompt), 0.5, 0.5, device="cpu"
        )
    ours = detector(network, box_threshold=0.5).detect([photo], [prompt])[0]
    order = scores.argsort(descending=True, stable=True)
    corners = box_convert(boxes * torch.tensor([130, 100, 130, 100]), "cxcywh", "xyxy")[order]
    assert 0 < len(ours) < 30
    assert torch.equal(torch.tensor([found.box for found in ours]), corners)
    assert torch.equal(torch.tensor([found.score for found in ours]), scores[order])
    known = set(prompt)
    for found, place in zip(ours, order.tolist(), strict=True):
        words = phrases[place].replace("[CLS]", " ").replace("[SEP]", " ").split()
        matched = {phrase for phrase in known if set(phrase.split()) & set(words)}
        assert set(found.phrase.split(", ")) - {""} == matched


@pytest.mark.parametrize("size", [(375, 500), (500, 375), (100, 800), (1500, 90), (800, 800), (800, 1000), (7, 9)])
def test_photos_are_prepared_as_the_package_does(size: tuple[int, int], tmp_path: Path) -> None:
    photo = image(1, size)
    Image.fromarray(photo).save(tmp_path / "photo.png")
    _, expected = inference.load_image(str(tmp_path / "photo.png"))
    assert torch.equal(prepare_image(photo), expected)
    assert resized_size(size) == tuple(expected.shape[1:])


def test_batches_equal_one_by_one(network: nn.Module) -> None:
    photos = [image(seed) for seed in range(5)]
    alone = [detector(network).detect([photo], [prompt])[0] for photo, prompt in zip(photos, PROMPTS, strict=True)]
    together = detector(network, batch=5).detect(photos, PROMPTS)
    # Captions of other lengths are padded; that, and sums in another order, may move the last digits alone.
    assert max(furthest(*pair) for pair in zip(alone, together, strict=True)) < 1e-3
    assert furthest(alone[1], alone[3]) > 1  # the same prompt on another photo is another answer


def test_a_photo_does_not_depend_on_the_others(network: nn.Module) -> None:
    photos = [image(seed, size) for seed, size in enumerate([(100, 130), (130, 100), (60, 60), (100, 130), (9, 300)])]
    alone = [detector(network).detect([photo], [prompt])[0] for photo, prompt in zip(photos, PROMPTS, strict=True)]
    for order in ([0, 1, 2, 3, 4], [4, 1, 3, 0, 2]):
        answers = detector(network).detect([photos[at] for at in order], [PROMPTS[at] for at in order])
        assert answers == [alone[at] for at in order]
    assert detector(network).detect([], []) == []


def test_a_strip_of_an_image_has_no_box(bert: Path) -> None:
    photos = [image(0, size) for size in ((100, 130), (3, 300), (400, 2))]
    found = detector(tiny_grounding_dino(bert, num_queries=60)).detect(photos, [("dog",)] * 3)
    assert [len(boxes) for boxes in found] == [60, 0, 0]


def test_the_text_is_computed_once_a_prompt(network: nn.Module) -> None:
    ours = detector(network, batch=2)
    network.train().eval()  # forgets
    calls: list[int] = []
    hook = network.bert.encoder.register_forward_hook(lambda *_: calls.append(1))
    for _ in range(3):
        ours.detect([image(seed) for seed in range(5)], PROMPTS)
    hook.remove()
    assert len(calls) == len(set(PROMPTS)) == 4


def test_the_text_encoder_is_bert(bert: Path, network: nn.Module) -> None:
    """Transformers' own BERT, given the same mask, is the reference."""
    whole = build_bert(bert).eval()
    whole.load_state_dict(network.bert.state_dict())
    ids = torch.tensor([[101, 73, 1012, 77, 78, 1012, 102], [101, 80, 1012, 102, 0, 0, 0]])
    mask = torch.eye(7, dtype=torch.bool).repeat(2, 1, 1)
    mask[0, 1:3, 1:3] = mask[0, 3:6, 3:6] = mask[1, 1:3, 1:3] = True
    positions = torch.tensor([[0, 0, 1, 0, 1, 2, 0], [0, 0, 1, 0, 0, 0, 0]])
    named = {"input_ids": ids, "token_type_ids": torch.zeros_like(ids), "position_ids": positions}
    with torch.inference_mode():
        found = network.bert(attention_mask=mask, **named)["last_hidden_state"]
        expected = whole(attention_mask=mask[:, None], **named)["last_hidden_state"]
    assert found[0].allclose(expected[0], atol=1e-5)
    assert found[1, :4].allclose(expected[1, :4], atol=1e-5)
    assert not found[1, 4:].any()


def test_thresholds_and_overlaps(network: nn.Module) -> None:
    photo, prompt = [image(0)], [("red circle",)]
    every = detector(network).detect(photo, prompt)[0]
    assert [found.score for found in every] == sorted((found.score for found in every), reverse=True)
    middle = every[len(every) // 2].score
    above = detector(network, box_threshold=middle).detect(photo, prompt)[0]
    assert above == [found for found in every if found.score > middle]
    assert detector(network, box_threshold=1.0).detect(photo, prompt) == [[]]
    apart = detector(network, nms_iou=0.01).detect(photo, prompt)[0]
    assert apart[0] == every[0]
    assert 1 <= len(apart) < len(every)


def test_bfloat16_finds_much_the_same(network: nn.Module) -> None:
    half = GroundingDino(
        network,
        box_threshold=0.0,
        text_threshold=0.5,
        nms_iou=1.0,
        precision=torch.bfloat16,
        shorter=SHORTER,
        longest=LONGEST,
    )
    full = detector(network).detect([image(0)], [("dog",)])[0]
    assert 0 < furthest(full, half.detect([image(0)], [("dog",)])[0]) < 20


def test_captions() -> None:
    assert caption_of(("Tench", " fish ", "tench")) == "tench . fish ."
    assert caption_of(("St. Bernard", "crane (bird)", "what?")) == "st bernard . crane bird . what ."
    with pytest.raises(InputError, match="the prompt is empty, expected one or more phrases"):
        caption_of(())
    with pytest.raises(InputError, match=r"the class '\?' has neither letters nor digits to look for"):
        caption_of(("dog", "?"))


def test_a_detection_names_the_class_as_it_was_asked_for(network: nn.Module) -> None:
    found = detector(network).detect([image(0)] * 2, [("Fish [CLS].", "DOG"), ("fish cls", "dog")])
    assert [[detection.box for detection in boxes] for boxes in found[:1]] == [[one.box for one in found[1]]]
    asked = [{name for one in boxes for name in one.phrase.split(", ")} - {""} for boxes in found]
    assert asked[0] == {{"fish cls": "Fish [CLS].", "dog": "DOG"}[name] for name in asked[1]} != set()


def test_a_prompt_too_long(network: nn.Module) -> None:
    with pytest.raises(InputError, match=r"has 302 tokens, and GroundingDINO reads 256: ask for less at once"):
        detector(network).detect([image(0)], [("dog " * 299,)])


@pytest.fixture
def weights(network: nn.Module, bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of weights, the tiny network's as SwinT's; returns the checkpoint, laid out as published ones are."""
    monkeypatch.setattr(adapter, "build_network", lambda _, folder: tiny_grounding_dino(folder, seed=5))
    (tmp_path / "bert_base_uncased").symlink_to(bert)
    path = tmp_path / "groundingdino_swint_ogc" / "groundingdino_swint_ogc.pth"
    path.parent.mkdir()
    save(network, path)
    return path


def save(network: nn.Module, path: Path, without: str = "", **more: torch.Tensor) -> None:
    state = {f"module.{key}": value for key, value in network.state_dict().items() if key != without}
    unneeded = {"module.label_enc.weight": torch.zeros(2, 2), "module.bert.embeddings.position_ids": torch.arange(4)}
    torch.save({"model": state | unneeded | more}, path)


def load(path: Path) -> GroundingDino:
    return load_grounding_dino(path.parent.parent, SETTINGS, device="cpu", batch=4)


def test_the_checkpoint_gives_its_detections_without_a_hub(
    network: nn.Module, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    full_size = GroundingDino(network, box_threshold=0.0, text_threshold=0.25, nms_iou=1.0)
    assert load(weights).detect([image(0)], [("dog",)]) == full_size.detect([image(0)], [("dog",)])


def test_checkpoints_that_are_none(network: nn.Module, weights: Path) -> None:
    save(network, weights, without="feat_map.bias", extra=torch.zeros(1))
    with pytest.raises(InputError, match=r"do not fit the network: missing: feat_map.bias; unexpected: extra"):
        load(weights)
    torch.save({"image_encoder.pos_embed": torch.zeros(1)}, weights)  # as SAM's is
    with pytest.raises(InputError, match="holds no state dict under 'model': it is another network's checkpoint"):
        load(weights)
    save(network, weights)
    weights.write_bytes(weights.read_bytes()[:100_000])
    with pytest.raises(InputError, match=r"\(100000 bytes\) was cut short or damaged"):
        load(weights)
    torch.save({"model": network}, weights)
    with pytest.raises(InputError, match=r"besides tensors \(.*\._mask_by_photo\), which could run code"):
        load(weights)
    weights.unlink()
    with pytest.raises(InputError, match=r"groundingdino_swint_ogc.pth are missing: run `dvc repro fetch_weights`"):
        load(weights)


def test_bert_folders_that_are_none(tmp_path: Path) -> None:
    def refused(words: str) -> None:
        with pytest.raises(InputError, match=words):
            tiny_grounding_dino(folder)

    folder = tmp_path / "absent"
    refused("vocab.txt is missing: run `dvc repro fetch_weights`, or put bert-base-uncased's config.json and vocab.txt")
    folder = write_bert(tmp_path / "bert")
    config, vocabulary = (folder / "config.json").read_text(), (folder / "vocab.txt").read_text()
    (folder / "config.json").write_text(json.dumps(json.loads(config) | {"vocab_size": 1200}))
    refused("holds a vocab.txt of 1100 tokens and a config.json for 1200: fetch both from one place")
    (folder / "config.json").write_text('{"model_type": "roberta"}')
    refused("does not describe BERT")
    (folder / "config.json").write_text("<html>")
    refused("config.json is no JSON")
    (folder / "config.json").unlink()
    refused("config.json is missing")
    (folder / "config.json").write_text(config)
    (folder / "vocab.txt").write_text(vocabulary.replace("\n?\n", "\nmark\n"))
    refused(r"is not the vocabulary of bert-base-uncased: expected the tokens .*'\?': 1029")
    (folder / "vocab.txt").write_text(vocabulary.replace("\na\n", "\n[unused]\n"))
    refused("does not know the word 'a'")
