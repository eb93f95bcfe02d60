from pathlib import Path

import numpy as np
import pytest

from bgdata import pixels
from bgdata.errors import InputError
from bgdata.geometry import resize_pixels
from bgdata.io import decode_image, encode_jpeg, encode_mask
from bgdata.pixels import load_masks, load_pixels
from bgdata.shards import ImageSet, Row, finish_set, member_name, write_shard


def write_images(folder: Path, images: list[bytes]) -> ImageSet:
    rows = [Row(f"n{i}", "train", i % 9, "n", member_name(i % 9, f"n{i}")) for i in range(len(images))]
    write_shard(folder, "train-00000.tar", zip(rows, images, strict=True))
    finish_set(folder)
    return ImageSet(folder)


@pytest.fixture
def images(tmp_path: Path):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (7, 24, 24, 3), dtype=np.uint8)
    with write_images(tmp_path / "set", [encode_jpeg(image, 90) for image in noise]) as opened:
        yield opened


def load(images: ImageSet, rows: list[Row], folder: Path | None = None, size: int | None = None) -> np.ndarray:
    return load_pixels(images, rows, size=size, folder=folder, workers=2, label="test")


def test_pixels_come_in_the_order_of_the_rows(images: ImageSet, tmp_path: Path) -> None:
    rows = images.rows[::-2]
    expected = np.stack([decode_image(images.read(row)) for row in rows])
    assert (load(images, rows) == expected).all()
    mapped = load(images, rows, tmp_path / "array")
    assert isinstance(mapped, np.memmap)
    assert (mapped == expected).all()
    resized = np.stack([resize_pixels(image, (10, 10)) for image in expected])
    assert (load(images, rows, tmp_path / "small", size=10) == resized).all()


def test_masks_are_foreground_where_half_is_covered(tmp_path: Path) -> None:
    mask = np.zeros((8, 8), bool)
    mask[:4, :3] = True
    with write_images(tmp_path / "set", [encode_mask(mask)]) as masks:
        whole, halved = (
            load_masks(masks, masks.rows, size=size, folder=tmp_path / str(size), workers=1, label="test")
            for size in (None, 4)
        )
    assert whole.dtype == bool
    assert (whole[0] == mask).all()
    assert (halved[0] == np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0] * 4, [0] * 4], bool)).all()


def test_a_killed_decoding_goes_on_where_it_was(images: ImageSet, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(pixels, "_CHUNK", 2)
    decode, decoded = pixels.decode_image, []

    def decode_or_die(data: bytes) -> np.ndarray:
        if len(decoded) == 5:
            raise KeyboardInterrupt
        decoded.append(data)
        return decode(data)

    expected = load(images, images.rows)
    monkeypatch.setattr(pixels, "decode_image", decode_or_die)
    with pytest.raises(KeyboardInterrupt):
        load(images, images.rows, tmp_path / "array", size=24)
    monkeypatch.setattr(pixels, "decode_image", lambda data: decoded.append(data) or decode(data))
    assert (load(images, images.rows, tmp_path / "array", size=24) == expected).all()
    assert len(decoded) == 5 + 3  # the chunks of two that were finished are not decoded again
    assert (load(images, images.rows[:4], tmp_path / "array", size=24) == expected[:4]).all()


def test_images_that_do_not_fit_are_named(tmp_path: Path) -> None:
    square, wide = (encode_jpeg(np.zeros((8, width, 3), np.uint8), 90) for width in (8, 9))
    with write_images(tmp_path / "wide", [square, wide]) as images, pytest.raises(InputError, match=r"n1 of .* is 8x9"):
        load(images, images.rows)
    with (
        write_images(tmp_path / "broken", [square, b"no image"]) as images,
        pytest.raises(InputError, match=r"image n1 of .*broken: expected an image"),
    ):
        load(images, images.rows)
    with pytest.raises(InputError, match="holds no images for test"):
        load(images, [])
