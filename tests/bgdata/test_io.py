"""Codecs: what ingest lets in, and that masks survive."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from bgdata.errors import InputError
from bgdata.io import UnusablePhoto, decode_image, decode_mask, encode_jpeg, encode_mask, inspect_photo

SMOOTH = np.linspace(0, 255, 40 * 30 * 3).reshape(40, 30, 3).astype(np.uint8)


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def test_a_plain_jpeg_stays_as_it_came() -> None:
    data = encode_jpeg(SMOOTH, 90)
    assert inspect_photo(data) == (data, (40, 30), False)


def test_a_grey_jpeg_stays_as_it_came_and_decodes_to_three_equal_channels() -> None:
    data = encode(Image.fromarray(SMOOTH).convert("L"), "JPEG")
    assert inspect_photo(data) == (data, (40, 30), False)
    image = decode_image(data)
    assert image.shape == (40, 30, 3)
    assert (image == image[..., :1]).all()


@pytest.mark.parametrize(("mode", "kind"), [("CMYK", "JPEG"), ("RGB", "PNG"), ("RGBA", "PNG"), ("P", "PNG")])
def test_other_codings_become_a_jpeg_of_the_same_look(mode: str, kind: str) -> None:
    data, size, encoded_anew = inspect_photo(encode(Image.fromarray(SMOOTH).convert(mode), kind))
    assert encoded_anew
    assert size == (40, 30)
    with Image.open(io.BytesIO(data)) as photo:
        assert (photo.format, photo.mode) == ("JPEG", "RGB")
    difference = np.abs(decode_image(data).astype(int) - SMOOTH)
    assert difference.mean() < (30 if mode == "P" else 4)


def test_every_truncation_of_a_jpeg_is_unreadable() -> None:
    data = encode_jpeg(np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8), 90)
    for length in range(0, len(data) - 200, 97):
        with pytest.raises(UnusablePhoto, match="unreadable"):
            inspect_photo(data[:length])


@pytest.mark.parametrize("turn", range(2, 9))
def test_a_turned_photo_is_told(turn: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    with pytest.raises(UnusablePhoto, match="exif_rotated"):
        inspect_photo(encode(Image.fromarray(SMOOTH), "JPEG", exif=exif))


def test_a_judge_sees_a_photo_as_it_is_stored() -> None:
    """As PIL's `open` and so torchvision's loaders do: EXIF turns nothing."""
    exif = Image.Exif()
    exif[0x0112] = 6
    data = io.BytesIO()
    Image.fromarray(np.arange(8 * 12 * 3, dtype=np.uint8).reshape(8, 12, 3)).save(data, "JPEG", exif=exif)
    assert decode_image(data.getvalue()).shape == (12, 8, 3)
    assert decode_image(data.getvalue(), as_stored=True).shape == (8, 12, 3)


def test_an_upright_photo_with_exif_stays() -> None:
    exif = Image.Exif()
    exif[0x0112] = 1
    data = encode(Image.fromarray(SMOOTH), "JPEG", exif=exif)
    assert inspect_photo(data)[0] == data


@pytest.mark.parametrize("decode", [decode_image, decode_mask])
@pytest.mark.parametrize("data", [b"", b"no image at all"])
def test_what_is_no_image_is_said_to_be_none(decode: object, data: bytes) -> None:
    with pytest.raises(InputError, match=rf"got {len(data)} bytes that no decoder reads"):
        decode(data)  # type: ignore[operator]  # mypy: parametrized functions


@given(arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=20), elements=st.booleans()))
def test_a_mask_comes_back_as_it_was(mask: np.ndarray) -> None:
    np.testing.assert_array_equal(decode_mask(encode_mask(mask)), mask)
