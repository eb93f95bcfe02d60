from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bgdata import pixels
from bgdata.errors import InputError
from bgdata.geometry import resize_pixels
from bgdata.io import decode_image, encode_jpeg, encode_mask
from bgdata.labels import IN9
from bgdata.pixels import PackedMasks, load_masks, load_packed_masks, load_pixels
from bgdata.shards import ImageSet, Row, finish_set, write_shard


def write_images(folder: Path, images: list[bytes]) -> ImageSet:
    rows = [Row(f"n{i}", "train", i % 9, "n", IN9.member_name(i % 9, f"n{i}")) for i in range(len(images))]
    write_shard(folder, "train-00000.tar", zip(rows, images, strict=True))
    finish_set(folder, classes=IN9)
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

    def decode_or_die(data: bytes, **how: bool) -> np.ndarray:
        if len(decoded) == 5:
            raise KeyboardInterrupt
        decoded.append(data)
        return decode(data, **how)

    expected = load(images, images.rows)
    monkeypatch.setattr(pixels, "decode_image", decode_or_die)
    with pytest.raises(KeyboardInterrupt):
        load(images, images.rows, tmp_path / "array", size=24)
    monkeypatch.setattr(pixels, "decode_image", lambda data, **how: decoded.append(data) or decode(data, **how))
    assert (load(images, images.rows, tmp_path / "array", size=24) == expected).all()
    assert len(decoded) == 5 + 3  # the chunks of two that were finished are not decoded again
    assert (load(images, images.rows[:4], tmp_path / "array", size=24) == expected[:4]).all()


def test_images_that_do_not_fit_are_named(tmp_path: Path) -> None:
    square, wide = (encode_jpeg(np.zeros((8, width, 3), np.uint8), 90) for width in (8, 9))
    with write_images(tmp_path / "wide", [square, wide]) as images, pytest.raises(InputError, match=r"n1 of .* is 8x9"):
        load(images, images.rows)
    with (
        write_images(tmp_path / "broken", [square, b"no image"]) as images,
        pytest.raises(InputError, match=r"image n1 of .*broken \(01_bird/n1.JPEG in train-00000.tar\): expected"),
    ):
        load(images, images.rows)
    with pytest.raises(InputError, match="holds no images for test"):
        load(images, [])


@given(masks=arrays(bool, st.tuples(st.integers(1, 4), *[st.shared(st.integers(1, 20), key="side")] * 2)))
def test_packed_masks_are_the_masks(masks: np.ndarray) -> None:
    packed = PackedMasks(np.packbits(masks, axis=-1))
    indices = np.arange(len(masks))[::-1].copy()
    assert len(packed) == len(masks)
    assert (packed[indices] == masks[indices]).all()


def test_masks_are_packed_in_an_eighth_of_the_room(tmp_path: Path) -> None:
    masks = np.random.default_rng(0).random((5, 20, 20)) < 0.5
    with write_images(tmp_path / "set", [encode_mask(mask) for mask in masks]) as opened:
        loading = {"folder": tmp_path / "array", "workers": 2, "label": "test"}
        for size in (None, 9):
            packed = load_packed_masks(opened, opened.rows, size=size, **loading)
            whole = load_masks(opened, opened.rows, size=size, **loading)
            assert (packed[np.arange(5)] == whole).all()
    sizes = sorted(path.stat().st_size - 128 for path in (tmp_path / "array").glob("*/array.npy"))
    assert sizes == sorted([5 * 9 * 2, 5 * 9 * 9, 5 * 20 * 3, 5 * 20 * 20])


def test_arrays_of_a_set_are_shared_and_swept_when_it_changes(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    cache = tmp_path / "cache"
    with write_images(tmp_path / "set", [encode_jpeg(image, 90) for image in noise[:2]]) as images:
        first, same, part = (load(images, rows, cache) for rows in (images.rows, images.rows, images.rows[:1]))
    assert first.filename == same.filename != part.filename
    before = np.array(first)
    with write_images(tmp_path / "set", [encode_jpeg(image, 90) for image in noise[2:]]) as images:
        other = load(images, images.rows, cache)
    assert (first == before).all()  # who has mapped it keeps it
    assert not (other == before).all()
    assert [path for path in cache.iterdir() if path.is_dir()] == [Path(other.filename).parent]


def test_processes_that_ask_for_one_set_at_once_decode_it_once(tmp_path: Path, monkeypatch) -> None:
    decode, decoded, together = pixels.decode_image, [], Barrier(2)
    monkeypatch.setattr(pixels, "decode_image", lambda data, **how: decoded.append(data) or decode(data, **how))
    image = encode_jpeg(np.zeros((8, 8, 3), np.uint8), 90)

    def ask() -> np.ndarray:
        with ImageSet(tmp_path / "set") as images:
            together.wait()
            return load(images, images.rows, tmp_path / "cache", size=8)

    write_images(tmp_path / "set", [image] * 5).close()
    # Threads: each call has a lock of its own on the file, as processes do.
    with ThreadPoolExecutor(2) as pool:
        first, second = (future.result() for future in [pool.submit(ask), pool.submit(ask)])
    assert len(decoded) == 5
    assert (first == second).all()


def test_an_array_that_is_gone_is_decoded_again(images: ImageSet, tmp_path: Path) -> None:
    array = load(images, images.rows, tmp_path / "cache")
    Path(array.filename).unlink()  # a removal that was cut short
    assert (load(images, images.rows, tmp_path / "cache") == array).all()
