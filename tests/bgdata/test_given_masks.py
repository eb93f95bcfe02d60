"""Masks as people have them: the right foreground, or a reason; never one that is empty or full without a word."""

import io

import numpy as np
import pytest
from PIL import Image

from bgdata.geometry import Box
from bgdata.io import encode_mask
from bgdata.masks.given import UnusableMask, is_plain, read_given_mask

SIZE = (40, 50)
Y, X = np.mgrid[: SIZE[0], : SIZE[1]]
DISC = (Y - 18) ** 2 + (X - 26) ** 2 < 120
BOX = Box(15, 7, 38, 30)
ONE = DISC.astype(np.uint8)


def file(image: Image.Image | np.ndarray, kind: str = "PNG") -> bytes:
    data = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(data, kind)
    return data.getvalue()


def palette(indices: np.ndarray, colours: list[tuple[int, int, int]], **options: object) -> bytes:
    image = Image.fromarray(indices, mode="P")
    image.putpalette([value for colour in colours for value in colour])
    data = io.BytesIO()
    image.save(data, "PNG", **options)
    return data.getvalue()


def colour(*rgb: int) -> np.ndarray:
    return ONE[..., None] * np.uint8(rgb)


def with_alpha(colours: np.ndarray, alpha: np.ndarray) -> bytes:
    return file(np.dstack([colours, alpha]))


NOISE = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
WHITE = np.full((*SIZE, 3), 255, np.uint8)
SOFT = np.clip(128 - 30 * (np.hypot(Y - 18, X - 26) - 120**0.5), 0, 255).astype(np.uint8)
BLACK_AND_RED = [(0, 0, 0), (128, 0, 0)]
READ = {
    "0/1": file(ONE),
    "0/255": file(ONE * 255),
    "0/100": file(ONE * 100),
    "1 bit": file(DISC),
    "ours": encode_mask(DISC),
    "16 bit 0/1": file(ONE.astype(np.uint16)),
    "16 bit full": file(ONE.astype(np.uint16) * 65535),
    "float": file(ONE.astype(np.float32), "TIFF"),
    "float 255": file(ONE.astype(np.float32) * 255, "TIFF"),
    "jpeg": file(ONE * 255, "JPEG"),
    "colour jpeg": file(colour(255, 255, 255), "JPEG"),
    "gif": file(ONE * 255, "GIF"),
    "bmp": file(ONE * 255, "BMP"),
    "webp": file(colour(255, 255, 255), "WEBP"),
    "palette": palette(ONE, BLACK_AND_RED),
    "palette, white first": palette(1 - ONE, [(255, 255, 255), (0, 0, 0)]),
    "palette, black opaque": palette(ONE, BLACK_AND_RED, transparency=b"\xff\xff"),
    "palette, black clear": palette(ONE, BLACK_AND_RED, transparency=0),
    "red": file(colour(255, 0, 0)),
    "dark pink": file(colour(90, 20, 60)),
    "soft": file(SOFT),
    "soft green": file(np.dstack([SOFT * 0, SOFT, SOFT * 0])),
    "grey rgb": file(np.dstack([SOFT] * 3)),
    "alpha": with_alpha(WHITE, ONE * 255),
    "soft alpha": with_alpha(WHITE, SOFT),
    "grey alpha": file(Image.merge("LA", [Image.fromarray(ONE * 0), Image.fromarray(ONE * 255)])),
    "cut out photo": with_alpha(NOISE, ONE * 255),
    "colours and alpha agree": with_alpha(colour(255, 255, 255), ONE * 255),
    "opaque": with_alpha(colour(255, 255, 255), ONE * 0 + 255),
}
ROUGH = {"jpeg", "colour jpeg", "webp", "soft", "soft green", "soft alpha", "grey rgb"}


@pytest.mark.parametrize("form", READ)
def test_each_form_gives_the_foreground(form: str) -> None:
    for box in (BOX, None):
        mask = read_given_mask(READ[form], SIZE, box)
        # Lossy and soft ones may differ along the edge.
        assert np.count_nonzero(mask != DISC) <= (30 if form in ROUGH else 0)


UNUSABLE = {
    "no image": (b"<html>", "unreadable_mask"),
    "empty": (b"", "unreadable_mask"),
    "cut 1 bit": (encode_mask(DISC)[:60], "unreadable_mask"),
    "cut": (file(ONE * 255)[:60], "unreadable_mask"),
    "other size": (file(ONE[1:] * 255), "size_mismatch"),
    "turned": (encode_mask(DISC.T.copy()), "size_mismatch"),
    "labels": (file(ONE + (Y < 12)), "ambiguous_mask"),
    "labels and void": (file(ONE * 2 + (Y < 5) * np.uint8(255)), "ambiguous_mask"),
    "labels without background": (file(ONE + 1), "ambiguous_mask"),
    "ones": (file(ONE * 0 + 1), "ambiguous_mask"),
    "dark shades": (file(SOFT // 3), "ambiguous_mask"),
    "16 bit labels": (file((ONE + (Y < 12)).astype(np.uint16)), "ambiguous_mask"),
    "coloured labels": (palette(ONE * 2 + (Y < 5), [(0, 0, 0), (128, 0, 0), (0, 128, 0)]), "ambiguous_mask"),
    "a photo": (file(NOISE), "ambiguous_mask"),
    "not a number": (file(np.full(SIZE, np.nan, np.float32), "TIFF"), "ambiguous_mask"),
    "alpha against colours": (with_alpha(colour(255, 255, 255), (1 - ONE) * 255), "ambiguous_mask"),
    "inverted": (file((1 - ONE) * 255), "inverted_mask"),
    "inverted 1 bit": (encode_mask(~DISC), "inverted_mask"),
    "inverted alpha": (with_alpha(WHITE, (1 - ONE) * 255), "inverted_mask"),
}


@pytest.mark.parametrize("form", UNUSABLE)
def test_what_can_be_read_in_two_ways_is_left_out_with_a_reason(form: str) -> None:
    data, reason = UNUSABLE[form]
    for box in (BOX, None):
        with pytest.raises(UnusableMask) as caught:
            read_given_mask(data, SIZE, box)
        assert caught.value.args == (reason,)


def test_empty_and_full_masks_are_what_they_are(capfd: pytest.CaptureFixture[str]) -> None:
    """The rules of quality count them as `empty` and `too_large`."""
    for data in (file(ONE * 0), encode_mask(DISC & False)):
        assert not read_given_mask(data, SIZE, BOX).any()
    for data in (file(ONE * 0 + 255), encode_mask(DISC | True)):
        assert read_given_mask(data, SIZE, BOX).all()
    assert capfd.readouterr() == ("", "")


def test_a_mask_that_fills_most_of_its_photo_is_not_taken_for_inverted() -> None:
    mask = (np.abs(Y - 20) < 19) & (np.abs(X - 25) < 24)
    for box in (Box(1, 1, 49, 39), Box(0, 0, 50, 40), None):
        assert np.array_equal(read_given_mask(encode_mask(mask), SIZE, box), mask)


def test_a_plain_mask_may_stay_as_it_came() -> None:
    plain = {form for form, data in READ.items() if is_plain(data, read_given_mask(data, SIZE, BOX))}
    assert {"0/255", "1 bit", "ours", "soft", "grey rgb"} <= plain
    assert not plain & {"0/1", "16 bit 0/1", "jpeg", "gif", "palette", "red", "alpha"}
