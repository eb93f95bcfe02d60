"""Images and masks of strangers: every ending that ImageFolder reads, and files that are broken."""

import io

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets.folder import IMG_EXTENSIONS

from bgdata.errors import InputError
from bgdata.foreign_images import IMAGE_ENDINGS, mask_as_png, plain_image
from bgdata.io import decode_image, decode_mask

PIXELS = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
FORMATS = {".jpg": "JPEG", ".png": "PNG", ".ppm": "PPM", ".bmp": "BMP", ".tif": "TIFF", ".webp": "WEBP", ".gif": "GIF"}


def encoded(form: str, pixels: np.ndarray = PIXELS, mode: str = "RGB") -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, form, **({"lossless": True} if form == "WEBP" else {}))
    return file.getvalue()


def test_the_endings_are_those_of_torchvision() -> None:
    assert set(IMAGE_ENDINGS) == set(IMG_EXTENSIONS)


@pytest.mark.parametrize("form", FORMATS.values())
def test_what_pillow_reads_is_read(form: str) -> None:
    data = encoded(form)
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(image.convert("RGB"))
    assert (decode_image(plain_image(data)) == expected).all()


@pytest.mark.parametrize(("form", "mode"), [("PNG", "P"), ("PNG", "L"), ("BMP", "1"), ("TIFF", "CMYK"), ("PPM", "L")])
def test_so_are_other_modes(form: str, mode: str) -> None:
    data = encoded(form, mode=mode)
    with Image.open(io.BytesIO(data)) as image:
        assert (decode_image(plain_image(data)) == np.asarray(image.convert("RGB"))).all()


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_a_plain_file_keeps_its_bytes(form: str) -> None:
    data = encoded(form)
    assert plain_image(data) is data


@pytest.mark.parametrize("form", FORMATS.values())
def test_half_a_file_is_a_sentence(form: str) -> None:
    data = encoded(form)
    with pytest.raises(InputError, match="expected an image, "):
        plain_image(data[: len(data) // 2])


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "and it is empty"),
        (b"<!DOCTYPE html>\n", r"and it is a web page \(HTML\)"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "and it is a Git LFS pointer"),
        (b"noise", "got 5 bytes that no decoder reads"),
    ],
)
def test_what_is_no_image_is_a_sentence(data: bytes, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        plain_image(data)


def saved(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32])
def test_masks_are_foreground_where_they_are_not_zero(dtype: type) -> None:
    mask = np.arange(30).reshape(5, 6) % 3 == 0
    assert (decode_mask(mask_as_png(saved(mask.astype(dtype)))) == mask).all()


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "no mask"),
        (saved(np.zeros((9, 9), bool))[:-5], "no mask"),
        (saved(np.zeros((9, 9), bool)).replace(b"(9, 9)", b"(9, 9"), "no mask"),
        (saved(np.zeros((9, 9), bool)).replace(b"(9, 9), }  ", b"(9, 9**9**2)"), "no mask"),
        (saved(np.array([{}], object)), "no mask"),
        (b"<html>", "no mask"),
        (saved(np.zeros(9)), r"an array float64 of shape \(9,\), expected a mask"),
        (saved(np.array([["a"]])), "an array <U1 of shape"),
        (saved(np.zeros((0, 9), bool)), r"of shape \(0, 9\), expected"),
    ],
)
def test_what_is_no_mask_is_a_sentence(data: bytes, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as caught:
        mask_as_png(data)
    assert "\n" not in str(caught.value)


def test_several_arrays_are_no_mask() -> None:
    file = io.BytesIO()
    np.savez(file, mask=np.zeros((2, 2)))
    with pytest.raises(InputError, match="an array NpzFile, expected a mask"):
        mask_as_png(file.getvalue())
