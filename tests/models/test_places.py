"""Centre bias and size bias: formulas by hand, and networks whose bias is known."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bgdata.classes import plain_class_list
from bgdata.errors import InputError
from bgdata.labels import IN9
from models.classifiers.judged import Judged
from models.evaluation.places import SIZES, brief_places, judge_places, places_score
from models.evaluation.sensitivity import MaskedPhotos

CLASSES = plain_class_list("two", ["dark", "bright"])
COUNT, SIDE = 20, 48
RUN = {"device": torch.device("cpu"), "eval_batch": 8}


class Window(nn.Module):
    """Says `bright` where something bright is inside a part of the frame (all of it: 0), else `dark`."""

    def __init__(self, margin: float, least: int = 1) -> None:
        super().__init__()
        self.margin, self.least = margin, least

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        cut = round(self.margin * images.shape[-1])
        seen = images[..., cut : images.shape[-2] - cut, cut : images.shape[-1] - cut]
        return nn.functional.one_hot(((seen.mean(1) > 0.8).sum((1, 2)) >= self.least).long(), 2).float()


def photos() -> tuple[MaskedPhotos, np.ndarray]:
    """Bright squares in the middle of grey frames, all of class `bright`; and the frames without them."""
    masks = np.zeros((COUNT, SIDE, SIDE), np.bool_)
    masks[:, 15:33, 15:33] = True
    backgrounds = np.full((COUNT, SIDE, SIDE, 3), 100, np.uint8)
    images = np.where(masks[..., None], np.uint8(250), backgrounds)
    ids = tuple(f"photo_{number}" for number in range(COUNT))
    return MaskedPhotos(ids, np.ones(COUNT, np.int64), images, masks, CLASSES), backgrounds


def judged(network: nn.Module) -> Judged:
    return Judged(network, class_list=CLASSES, classes=2)


def test_who_sees_the_whole_frame_has_no_bias() -> None:
    found = judge_places(judged(Window(0.0)), *photos(), **RUN)
    assert found["count"] == COUNT
    assert found["centre_bias"] == {"value": 1.0, "interval": [1.0, 1.0]}
    assert all(each["accuracy"] == 1.0 for each in (*found["cells"].values(), *found["sizes"].values()))
    assert len(found["cells"]) == 9
    assert list(found["sizes"]) == [f"{size:g}" for size in SIZES]


def test_who_sees_the_middle_alone_has_all_of_it() -> None:
    found = judge_places(judged(Window(0.34)), *photos(), **RUN)
    assert found["cells"]["centre"]["accuracy"] == 1.0
    assert found["centre_bias"]["value"] == 0.0
    blind = judge_places(judged(Window(0.0, least=SIDE * SIDE)), *photos(), **RUN)
    assert blind["centre_bias"] == {"value": None, "interval": None}
    assert blind["sizes"]["0.25"]["relative"]["value"] is None


def test_who_needs_a_large_object_has_a_size_bias() -> None:
    found = judge_places(judged(Window(0.0, least=300)), *photos(), **RUN)["sizes"]  # 18 x 18 is 324
    assert [found[name]["relative"]["value"] for name in ("0.5", "1", "2")] == [0.0, 1.0, 1.0]


def test_the_photo_at_its_own_size_is_the_photo() -> None:
    """Pasted onto its own background at its own place and size a foreground gives back the photo."""
    shown: list[Tensor] = []

    class Recorder(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            shown.append(images.clone())
            return torch.zeros(len(images), 2)

    masked, backgrounds = photos()
    noise = np.random.default_rng(0).integers(0, 256, masked.images.shape, dtype=np.uint8)
    masked = replace(masked, images=noise)
    judge_places(
        judged(Recorder()),
        masked,
        np.where(masked.masks[..., None], backgrounds, noise),
        device=RUN["device"],
        eval_batch=COUNT,
    )
    own = shown[9 + SIZES.index(1.0)]
    assert torch.equal(own, torch.from_numpy(noise).permute(0, 3, 1, 2) / 255)


def test_the_bias_by_hand() -> None:
    """Centre 0.8; the worst corner 0.4, the worst side 0.6: (0.4 + 0.6) / 1.6."""
    rates = dict(
        zip(
            ("top_left", "top", "top_right", "left", "centre", "right", "bottom_left", "bottom", "bottom_right"),
            (8, 6, 6, 7, 8, 9, 4, 8, 5),
            strict=True,
        )
    )
    cells = {name: np.arange(10) < hits for name, hits in rates.items()}
    sizes = {f"{size:g}": np.arange(10) < 5 for size in SIZES} | {"2": np.arange(10) < 6}
    found = places_score(cells, sizes)
    assert found["centre_bias"]["value"] == pytest.approx(1.0 / 1.6)
    low, high = found["centre_bias"]["interval"]
    assert low < 1.0 / 1.6 < high
    assert found["sizes"]["2"]["relative"]["value"] == pytest.approx(6 / 5)
    assert brief_places({"places": found})["places"]["sizes"]["2"] == 0.6
    assert brief_places({}) == {}


def test_another_list_of_classes_is_refused() -> None:
    masked, backgrounds = photos()
    with pytest.raises(InputError, match="the model"):
        judge_places(judged(Window(0.0)), replace(masked, class_list=IN9), backgrounds, **RUN)
