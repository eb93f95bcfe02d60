"""SAM: equal to the package's predictor, bounded, and loaded strictly."""

from pathlib import Path

import numpy as np
import pytest
import torch
from segment_anything import SamPredictor
from segment_anything.modeling import Sam

from bgdata.errors import InputError
from models.segmenters import sam as adapter
from models.segmenters.sam import BoxMasks, load_box_masks
from models.segmenters.settings import SamSettings
from tests.models.tiny_networks import tiny_sam

SETTINGS = SamSettings(model="sam_vit_b", multimask=True, precision="float32")
BOXES = [(5.0, 8.5, 60.0, 70.25), (30.0, 2.0, 90.0, 44.0), (0.0, 0.0, 50.0, 80.0), (11.0, 12.0, 33.0, 31.0)]


@pytest.fixture(scope="module")
def network() -> Sam:
    return tiny_sam(side=128, patch=16)


def image(seed: int, size: tuple[int, int] = (90, 100)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def predictor_masks(network: Sam, photo: np.ndarray, *, multimask: bool = True) -> tuple[np.ndarray, list[float]]:
    """The masks of BOXES one by one through the package, as every public script does."""
    predictor = SamPredictor(network)
    predictor.set_image(photo)
    masks, scores = [], []
    for box in BOXES:
        found, predicted, _ = predictor.predict(box=np.array(box), multimask_output=multimask)
        masks.append(found[predicted.argmax()])
        scores.append(float(predicted.max()))
    return np.stack(masks), scores


@pytest.mark.parametrize("multimask", [True, False])
def test_masks_are_the_predictors(network: Sam, *, multimask: bool) -> None:
    photo = image(0)
    masks, scores = predictor_masks(network, photo, multimask=multimask)
    ours = BoxMasks(network, multimask=multimask)
    for box, mask, score in zip(BOXES, masks, scores, strict=True):
        found, predicted = ours.segment([photo], [[box]])[0]
        assert np.array_equal(found, mask)
        assert predicted == pytest.approx([score], abs=1e-6)
    union, predicted = ours.segment([photo], [BOXES])[0]
    assert (union != masks.any(0)).mean() < 1e-3  # four boxes in one product round otherwise than one
    assert predicted == pytest.approx(scores, abs=1e-5)
    assert 0 < union.mean() < 1


def test_photos_do_not_touch_each_other(network: Sam) -> None:
    photos = [image(seed, size) for seed, size in enumerate([(90, 100), (100, 90), (64, 128), (90, 100), (300, 200)])]
    boxes = [BOXES[: 1 + seed % 4] for seed in range(5)]
    alone = [BoxMasks(network, multimask=True).segment([one], [its])[0] for one, its in zip(photos, boxes, strict=True)]
    for batch, order in ((1, [0, 1, 2, 3, 4]), (3, [4, 2, 0, 1, 3]), (8, [3, 4, 1, 0, 2])):
        masks = BoxMasks(network, multimask=True, batch=batch)
        answers = masks.segment([photos[at] for at in order], [boxes[at] for at in order])
        for at, (mask, scores) in zip(order, answers, strict=True):
            assert mask.shape == photos[at].shape[:2]
            assert (mask != alone[at][0]).mean() < 1e-3
            assert scores == pytest.approx(alone[at][1], abs=1e-5)
            assert batch > 1 or (np.array_equal(mask, alone[at][0]) and scores == alone[at][1])


def test_boxes_are_decoded_in_bounded_calls(network: Sam) -> None:
    rng = np.random.default_rng(3)
    corners = np.sort(rng.uniform(0, 90, (50, 2, 2)), axis=1).reshape(50, 4)
    boxes = [tuple(map(float, box)) for box in corners]
    counts: list[int] = []
    hook = network.prompt_encoder.register_forward_hook(
        lambda _, __, named, ___: counts.append(len(named["boxes"])), with_kwargs=True
    )
    mask, scores = BoxMasks(network, multimask=True, boxes_at_once=16).segment([image(1)], [boxes])[0]
    hook.remove()
    assert counts == [16, 16, 16, 2]
    whole, whole_scores = BoxMasks(network, multimask=True, boxes_at_once=64).segment([image(1)], [boxes])[0]
    assert (mask != whole).mean() < 1e-3
    assert scores == pytest.approx(whole_scores, abs=1e-5)


def test_bfloat16_moves_little(network: Sam) -> None:
    full = BoxMasks(network, multimask=True).segment([image(2)], [BOXES])[0]
    half = BoxMasks(network, multimask=True, precision=torch.bfloat16).segment([image(2)], [BOXES])[0]
    assert (full[0] & half[0]).sum() / (full[0] | half[0]).sum() > 0.9
    assert full[1] != half[1]


@pytest.fixture
def weights(network: Sam, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of weights for a registry whose vit_b is tiny; returns the file."""
    monkeypatch.setattr(adapter, "sam_model_registry", {"vit_b": lambda: tiny_sam(side=128, seed=9)})
    path = tmp_path / "sam_vit_b" / "sam_vit_b_01ec64.pth"
    path.parent.mkdir()
    torch.save(network.state_dict(), path)
    return path


def load(path: Path) -> BoxMasks:
    return load_box_masks(path.parent.parent, SETTINGS, device="cpu")


def test_the_checkpoint_gives_its_masks(network: Sam, weights: Path) -> None:
    ours, loaded = BoxMasks(network, multimask=True), load(weights)
    assert np.array_equal(loaded.segment([image(4)], [BOXES])[0][0], ours.segment([image(4)], [BOXES])[0][0])


def test_checkpoints_that_are_none(network: Sam, weights: Path) -> None:
    state = network.state_dict()
    torch.save({"model": state}, weights)  # as GroundingDINO's is
    with pytest.raises(InputError, match="holds no state dict at its top: it is another network's checkpoint"):
        load(weights)
    torch.save(dict(list(state.items())[1:]) | {"more": torch.zeros(1)}, weights)
    with pytest.raises(InputError, match=r"do not fit the network: missing: image_encoder.pos_embed; unexpected: more"):
        load(weights)
    torch.save(state, weights)
    weights.write_bytes(weights.read_bytes()[:100_000])
    with pytest.raises(InputError, match=r"\(100000 bytes\) was cut short or damaged"):
        load(weights)
    weights.unlink()
    with pytest.raises(InputError, match=r"sam_vit_b_01ec64.pth are missing: run `dvc repro fetch_weights` \(runt"):
        load(weights)
