"""Boxes from text: what the detectors of the GroundingDINO family share, whichever network it is."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor
from torchvision.ops import box_convert, nms

from bgdata.errors import InputError
from bgdata.prompts import plain_phrase
from models.segmenters.base import Detection

_LONGEST_CAPTION = 256  # tokens; the networks cut longer ones


@runtime_checkable
class Detector(Protocol):
    """Finds what prompts name, as boxes."""

    def detect(
        self, images: Sequence[UInt8[np.ndarray, "_ _ 3"]], prompts: Sequence[tuple[str, ...]]
    ) -> list[list[Detection]]:
        """The boxes of each RGB image that match its prompt's phrases, best first; they may jut out of the image."""


@dataclass(frozen=True)
class Thresholds:
    """Least best match of a box with any token, least match of a token of its phrase, greatest IoU of two boxes."""

    box: float
    text: float
    nms_iou: float


def plain_phrases(prompt: tuple[str, ...]) -> dict[str, str]:
    """The phrases of a prompt as GroundingDINO can read them, each once, with what the prompt calls them.

    Raises InputError for a prompt without phrases, or with one of which nothing is left.
    """
    if not prompt:
        raise InputError("the prompt is empty, expected one or more phrases to look for")
    phrases: dict[str, str] = {}
    for name in prompt:
        phrases.setdefault(plain_phrase(name), name.strip())
    return phrases


def caption_of(prompt: tuple[str, ...]) -> str:
    """The caption that GroundingDINO reads: plain phrases, dots between; of `("Tench", "fish")` it is `tench . fish .`

    Raises InputError as `plain_phrases` does.
    """
    return " . ".join(plain_phrases(prompt)) + " ."


def find_phrases(prompt: tuple[str, ...], count_tokens: Callable[[str], int]) -> dict[str, slice]:
    """Where the tokens of each phrase, as it was asked for, lie in the caption; [CLS] and the dots belong to none.

    Raises InputError for a prompt of which the networks would read a part.
    """
    places, start = {}, 1
    for phrase, name in plain_phrases(prompt).items():
        end = start + count_tokens(phrase)
        places[name] = slice(start, end)
        start = end + 1
    if start >= _LONGEST_CAPTION:
        raise InputError(
            f"the prompt {caption_of(prompt)!r} has {start + 1} tokens, and GroundingDINO reads "
            f"{_LONGEST_CAPTION}: ask for less at once"
        )
    return places


def choose_boxes(
    matches: Float32[Tensor, "q t"],
    boxes: Float32[Tensor, "q 4"],
    size: tuple[int, int],
    phrases: Mapping[str, slice],
    *,
    thresholds: Thresholds,
) -> list[Detection]:
    """The boxes (cxcywh, as shares of the image) whose best match with a token is above the threshold, best first.

    `matches` are in [0, 1]; `phrase` is every phrase with a token above the text threshold, joined by commas; empty
    where there is none (the box threshold alone decides on boxes).
    """
    scores = matches.max(1).values
    above = scores > thresholds.box
    matches, scores = matches[above], scores[above]
    height, width = size
    corners = box_convert(boxes[above] * torch.tensor([width, height, width, height]), "cxcywh", "xyxy")
    return [
        Detection(
            box=tuple(corners[query].tolist()),
            phrase=", ".join(words for words, at in phrases.items() if (matches[query, at] > thresholds.text).any()),
            score=float(scores[query]),
        )
        for query in nms(corners, scores, thresholds.nms_iou).tolist()
    ]


def feature_places(size: tuple[int, int], strides: Sequence[int] = (8, 16, 32, 64)) -> int:
    """How many places a network sees in a resized image of `size`, whose features lie `strides` pixels apart."""
    return sum(math.ceil(size[0] / stride) * math.ceil(size[1] / stride) for stride in strides)
