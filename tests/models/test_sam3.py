"""SAM 3: equal to transformers' own calls, each image and phrase encoded once, which objects count, loaded strictly."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import CLIPTokenizer, Sam3ImageProcessor, Sam3Model, Sam3Processor

from bgdata.errors import InputError
from bgdata.geometry import Box
from models.segmenters import sam3 as adapter
from models.segmenters.base import Photo, Segmenter
from models.segmenters.keeping import box_iou
from models.segmenters.sam3 import Sam3, load_sam3
from models.segmenters.settings import Sam3Settings
from tests.models.tiny_transformers import (
    change_config,
    change_weights,
    same_weights,
    save_folder,
    tiny_sam3,
    write_clip_vocabulary,
)

SETTINGS = Sam3Settings(
    model="sam3",
    prompts="superclass",
    score_threshold=0.3,
    mask_threshold=0.5,
    keep="all",
    min_overlap=0.5,
    precision="float32",
)
SIZES = [(90, 100), (100, 90), (64, 128), (300, 200), (112, 112)]
TEXT = "text_encoder.text_model.encoder.layers.1."


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> CLIPTokenizer:
    return adapter._read_tokenizer(write_clip_vocabulary(tmp_path_factory.mktemp("clip")))


@pytest.fixture(scope="module")
def network() -> Sam3Model:
    return tiny_sam3()


def segmenter(network: Sam3Model, tokenizer: CLIPTokenizer, **changed: Any) -> Sam3:
    usual = {"score_threshold": 0.1, "mask_threshold": 0.5, "keep": "all", "min_overlap": 0.5}
    return Sam3(network, tokenizer, **(usual | changed))


def photo(seed: int, size: tuple[int, int] = (90, 100), *, prompt: tuple[str, ...] = ("dog",)) -> Photo:
    image = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    return Photo(f"n1_{seed}", 0, "n1", image, None, prompt)


@torch.inference_mode()
def public_objects(network: Sam3Model, tokenizer: CLIPTokenizer, one: Photo, threshold: float) -> dict[str, Any]:
    """The objects of a photo's first phrase through transformers' processor, model and post-processing."""
    size = {"height": 112, "width": 112}
    processor = Sam3Processor(Sam3ImageProcessor(size=size), tokenizer)
    inputs = processor(images=one.image, text=one.prompt[0], return_tensors="pt")
    inputs.pop("original_sizes")
    (found,) = processor.post_process_instance_segmentation(
        network(**inputs), threshold=threshold, mask_threshold=0.5, target_sizes=[one.image.shape[:2]]
    )
    order = found["scores"].argsort(descending=True, stable=True)
    return {name: values[order] for name, values in found.items()}


def middle_score(network: Sam3Model, tokenizer: CLIPTokenizer, one: Photo) -> float:
    scores = public_objects(network, tokenizer, one, 0.0)["scores"]
    return float((scores[4] + scores[5]) / 2)


@pytest.mark.parametrize("size", SIZES)
def test_objects_are_transformers(network: Sam3Model, tokenizer: CLIPTokenizer, size: tuple[int, int]) -> None:
    one = photo(0, size, prompt=("red dog",))
    threshold = middle_score(network, tokenizer, one)
    public = public_objects(network, tokenizer, one, threshold)
    ours = segmenter(network, tokenizer, score_threshold=threshold)
    assert isinstance(ours, Segmenter)
    (answer,) = ours.segment([one])
    assert len(answer.detections) == len(public["scores"]) == 5
    assert [found.score for found in answer.detections] == pytest.approx(public["scores"].tolist(), abs=1e-6)
    assert np.array([found.box for found in answer.detections]) == pytest.approx(public["boxes"].numpy(), abs=1e-3)
    assert {found.phrase for found in answer.detections} == {"red dog"}
    assert (answer.mask != public["masks"].bool().any(0).numpy()).mean() < 1e-3
    assert 0 < answer.mask.mean() < 1
    assert answer.score == answer.detections[0].score


def test_the_best_object_alone(network: Sam3Model, tokenizer: CLIPTokenizer) -> None:
    one = photo(1)
    public = public_objects(network, tokenizer, one, middle_score(network, tokenizer, one))
    (answer,) = segmenter(network, tokenizer, keep="best", score_threshold=0.0).segment([one])
    assert (answer.mask != public["masks"][0].bool().numpy()).mean() < 1e-3
    assert len(answer.detections) == 20


def test_the_object_in_the_annotated_box(network: Sam3Model, tokenizer: CLIPTokenizer) -> None:
    one = photo(1)
    public = public_objects(network, tokenizer, one, 0.0)
    third = Box(*(round(edge) for edge in public["boxes"][2].tolist()))
    ours = segmenter(network, tokenizer, keep="best_overlapping", score_threshold=0.0, min_overlap=0.9)
    boxed, nowhere, unboxed = ours.segment([replace(one, box=third), replace(one, box=Box(0, 0, 1, 1)), one])
    fitting = [place for place, found in enumerate(boxed.detections) if box_iou(found.box, third) >= 0.9]
    assert boxed.score == boxed.detections[fitting[0]].score
    assert (boxed.mask != public["masks"][fitting[0]].bool().numpy()).mean() < 1e-3
    assert (nowhere.mask, nowhere.reason) == (None, "no_overlap")
    assert (unboxed.mask, unboxed.reason, len(unboxed.detections)) == (None, "no_box", 20)


def test_phrases_are_looked_for_one_by_one(network: Sam3Model, tokenizer: CLIPTokenizer) -> None:
    ours = segmenter(network, tokenizer, score_threshold=middle_score(network, tokenizer, photo(2)))
    dog, red, both = ours.segment([photo(2), photo(2, prompt=("Red",)), photo(2, prompt=("dog", "Red", "red"))])
    assert {found.phrase for found in both.detections} == {"dog", "Red"}
    expected = sorted([*dog.detections, *red.detections], key=lambda found: -found.score)
    assert list(both.detections) == expected
    assert [found.score for found in dog.detections] != [found.score for found in red.detections]
    assert np.array_equal(both.mask, dog.mask | red.mask)


def test_photos_do_not_touch_each_other(network: Sam3Model, tokenizer: CLIPTokenizer) -> None:
    photos = [photo(seed, size) for seed, size in enumerate(SIZES)]
    photos[3] = replace(photos[3], prompt=())
    alone = [segmenter(network, tokenizer).segment([one])[0] for one in photos]
    assert [answer.reason for answer in alone] == [None, None, None, "no_prompt", None]
    for batch, order in ((1, [0, 1, 2, 3, 4]), (3, [4, 2, 0, 1, 3]), (8, [3, 4, 1, 0, 2])):
        answers = segmenter(network, tokenizer, batch=batch).segment([photos[at] for at in order])
        for at, answer in zip(order, answers, strict=True):
            assert answer.reason == alone[at].reason
            scores = [found.score for found in alone[at].detections]
            assert [found.score for found in answer.detections] == pytest.approx(scores, abs=1e-5)
            assert answer.mask is None or (answer.mask != alone[at].mask).mean() < 1e-2
    assert segmenter(network, tokenizer).segment([]) == []
    assert segmenter(network, tokenizer, score_threshold=1.0).segment(photos[:1])[0].reason == "no_detection"


def test_an_image_and_a_phrase_are_encoded_once(network: Sam3Model, tokenizer: CLIPTokenizer) -> None:
    calls = {"vision": 0, "text": 0}

    def count(name: str) -> Any:
        return lambda *_: calls.update({name: calls[name] + 1})

    hooks = [network.vision_encoder.register_forward_hook(count("vision"))]
    hooks.append(network.text_encoder.register_forward_hook(count("text")))
    ours = segmenter(network, tokenizer)
    for _ in range(2):
        ours.segment([photo(seed, prompt=("dog", "red")) for seed in range(3)])
    for hook in hooks:
        hook.remove()
    assert calls == {"vision": 6, "text": 2}


def test_bfloat16_moves_little(network: Sam3Model, tokenizer: CLIPTokenizer) -> None:
    (full,) = segmenter(network, tokenizer, score_threshold=0.0).segment([photo(2)])
    (half,) = segmenter(network, tokenizer, score_threshold=0.0, precision=torch.bfloat16).segment([photo(2)])
    assert (full.mask & half.mask).sum() / (full.mask | half.mask).sum() > 0.9
    assert full.score != half.score
    assert half.score == pytest.approx(full.score, abs=0.05)


def test_a_phrase_too_long(network: Sam3Model, tokenizer: CLIPTokenizer) -> None:
    with pytest.raises(InputError, match=r"has 42 tokens, and SAM 3 reads 32: ask for less"):
        segmenter(network, tokenizer).segment([photo(0, prompt=("dog " * 40,))])


@pytest.fixture
def folder(network: Sam3Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of weights whose tiny network counts as the published one."""
    monkeypatch.setattr(adapter, "MARKS", {"detr_decoder_config.num_queries": 20, "text_config.num_hidden_layers": 2})
    return write_clip_vocabulary(save_folder(network, tmp_path / "sam3"))


def load(folder: Path) -> Sam3:
    return load_sam3(folder.parent, SETTINGS, device="cpu")


def test_the_folder_gives_its_masks(network: Sam3Model, tokenizer: CLIPTokenizer, folder: Path) -> None:
    one = photo(3)
    ours = segmenter(network, tokenizer, score_threshold=SETTINGS.score_threshold)
    (found,), (expected,) = load(folder).segment([one]), ours.segment([one])
    assert found.detections == expected.detections
    assert (found.mask is None) == (expected.mask is None)
    assert found.mask is None or np.array_equal(found.mask, expected.mask)


def test_the_published_folder_is_a_videos(network: Sam3Model, folder: Path) -> None:
    """Its checkpoint holds the tracker beside the detector, and its configuration both."""
    tracker = {"tracker_model.mask_decoder.weight": torch.zeros(3), "tracker_neck.weight": torch.zeros(1)}
    change_weights(folder, lambda state: {f"detector_model.{key}": value for key, value in state.items()} | tracker)
    change_config(folder, lambda config: {"model_type": "sam3_video", "detector_config": config})
    assert same_weights(network, load(folder)._network)


def test_a_text_encoder_that_was_renamed_is_never_left_as_drawn(folder: Path) -> None:
    change_weights(folder, lambda state: {key.replace("text_encoder.", "language."): state[key] for key in state})
    with pytest.raises(InputError, match=r"fit the network: missing: text_encoder\..* more; unexpected: language\."):
        load(folder)


def test_folders_that_are_none(folder: Path) -> None:
    def refused(words: str) -> None:
        with pytest.raises(InputError, match=words):
            load(folder)

    whole, config = (folder / "model.safetensors").read_bytes(), (folder / "config.json").read_text()
    key = f"{TEXT}mlp.fc1.bias"
    change_weights(
        folder, lambda state: {name: state[name] for name in state if name != key} | {"more": torch.zeros(1)}
    )
    refused(rf"do not fit the network: missing: {key}; unexpected: more$")
    (folder / "model.safetensors").write_bytes(whole)
    change_config(folder, lambda content: content | {"model_type": "sam3_lite_text"})
    refused(r"another network \(`model_type` is 'sam3_lite_text', expected 'sam3'\)")
    change_config(folder, lambda _: {"model_type": "sam3_video"})
    refused("config.json has no detector_config: run `dvc repro fetch_weights`, or put")
    (folder / "config.json").write_text(config)
    (folder / "merges.txt").unlink()
    refused("merges.txt is missing: run `dvc repro fetch_weights`, or put the files of the network")
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "vocab.json").write_text('{"<|startoftext|>": 0, "<|endoftext|>": 1}')
    refused("vocab.json does not know the word 'a'")
    (folder / "vocab.json").write_text("<html>")
    refused("vocab.json is no vocabulary")
