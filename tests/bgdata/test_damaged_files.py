"""Files as disks and downloads spoil them: counted as unreadable, whatever the decoder does, and nothing is printed."""

import io
import struct
import threading
import time
import warnings
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from bgdata.errors import InputError
from bgdata.io import (
    UnusablePhoto,
    decode_channels,
    decode_image,
    decode_mask,
    decode_palette,
    encode_jpeg,
    inspect_photo,
)
from bgdata.quiet import quiet_decoders

PHOTO = Image.fromarray(
    cv2.resize(np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8), (40, 30)), mode="RGB"
)
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "GIF", "BMP", "JPEG2000", "ICO", "PPM", "SGI", "TGA", "PCX")
FILES = 40  # of each format


def encode(kind: str, **options: object) -> bytes:
    data = io.BytesIO()
    PHOTO.save(data, kind, **options)
    return data.getvalue()


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """Bytes changed anywhere, a piece cut off, left out or doubled, or the header changed."""
    spoilt = bytearray(data)
    start, end = sorted(int(place) for place in rng.integers(0, len(data), 2))
    match rng.integers(6):
        case 0:
            for place in rng.integers(0, len(data), rng.integers(1, 9)):
                spoilt[place] = rng.integers(256)
        case 1:
            del spoilt[start:]
        case 2:
            del spoilt[start:end]
        case 3:
            spoilt[start:start] = spoilt[start:end]
        case 4:
            spoilt[start : start + 8] = rng.choice([b"\xff" * 8, bytes(8), rng.bytes(8)])
        case _:
            for place in rng.integers(0, min(48, len(data)), 2):
                spoilt[place] = rng.integers(256)
    return bytes(spoilt)


@pytest.mark.parametrize("kind", FORMATS)
def test_random_damage_is_unreadable_or_gives_a_photo(kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    options = {"TIFF": {"compression": "tiff_lzw"}, "ICO": {"sizes": [(32, 24)]}}.get(kind, {})
    whole = encode(kind, **options)
    assert inspect_photo(whole)[2] == (kind != "JPEG")
    rng = np.random.default_rng(list(kind.encode()))
    refused = 0
    for _ in range(FILES):
        data = damaged(whole, rng)
        try:
            plain, size, _ = inspect_photo(data)
        except UnusablePhoto as unusable:
            assert unusable.args[0] in ("unreadable", "exif_rotated")
            refused += 1
        else:
            assert decode_image(plain).shape == (*size, 3)
        for decode in (decode_image, decode_mask, decode_palette, decode_channels):
            try:
                decode(data)
            except InputError as error:
                assert f"got {len(data)} bytes" in str(error) or "of the mode" in str(error)
    assert refused > 0
    assert capfd.readouterr() == ("", "")


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, *chunks: bytes) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + chunk(b"IEND", b"")


PIXELS = chunk(b"IDAT", zlib.compress(bytes(8 * 25)))
BOMBS = {
    "pixels": png(60_000, 60_000, PIXELS),
    "pixels of a strip": png(2_000_000_000, 8, PIXELS),
    "text": png(8, 8, chunk(b"zTXt", b"k\0\0" + zlib.compress(b"A" * 70_000_000)), PIXELS),
    "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n",
    "longer than a JPEG": b"P5 70000 1 255\n" + bytes(70_000),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_bombs_are_unreadable(bomb: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UnusablePhoto, match="unreadable"):
        inspect_photo(BOMBS[bomb])
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "error", [MemoryError, RuntimeError, NotImplementedError, SyntaxError, struct.error, ValueError]
)
def test_whatever_a_decoder_raises_is_unreadable(error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    def raise_it(*_: object, **__: object) -> None:
        raise error("what a decoder says")

    data = encode("PNG")
    monkeypatch.setattr(Image, "open", raise_it)
    with pytest.raises(UnusablePhoto, match="unreadable"):
        inspect_photo(data)


@pytest.mark.parametrize(
    "segment",
    [
        b"Exif\0\0",
        b"Exif\0\0IIU\0\x18\0\0\0",
        b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12\x01\x03\0\xff\xff\xff\x7f\0",
        b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta>\xa8\xff caf\xe9</x:xmpmeta>",
    ],
)
def test_a_photo_with_broken_notes_stays_as_it_came(segment: bytes) -> None:
    data = encode("JPEG")
    data = data[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + data[2:]
    assert inspect_photo(data) == (data, (30, 40), False)


@pytest.mark.parametrize(("turn", "count"), [(6, 1), (6, 2), (8, 2), (3, 1)])
def test_a_turn_is_seen_as_the_decoder_sees_it(turn: int, count: int) -> None:
    values = struct.pack("<HHIHH", 0x0112, 3, count, turn, 1)
    segment = b"Exif\0\0II*\0\x08\0\0\0\x01\0" + values + bytes(4)
    data = encode("JPEG")
    data = data[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + data[2:]
    try:
        size: tuple[int, int] | None = inspect_photo(data)[1]
    except UnusablePhoto as unusable:
        assert unusable.args == ("exif_rotated",)
    else:
        assert decode_image(data).shape[:2] == size
        assert np.array_equal(decode_image(data), decode_image(encode("JPEG")))


def test_a_cut_jpeg_is_not_filled_with_grey_by_anybody() -> None:
    data = encode_jpeg(np.asarray(PHOTO), 95)
    for length in range(200, len(data) - 2, 50):
        with pytest.raises(InputError, match=rf"got {length} bytes that no decoder reads"):
            decode_image(data[:length])
    assert np.array_equal(decode_image(data + b"more"), decode_image(data))


def test_deep_photos_keep_their_look() -> None:
    grey = np.asarray(PHOTO.convert("L"))
    data = io.BytesIO()
    Image.fromarray(grey.astype(np.uint16) * 257).save(data, "PNG")
    plain, _, encoded_anew = inspect_photo(data.getvalue())
    assert encoded_anew
    assert np.abs(decode_image(plain)[..., 0].astype(int) - grey).mean() < 2


def test_silence_ends_where_the_last_decoder_ends(capfd: pytest.CaptureFixture[str]) -> None:
    def decode() -> None:
        with quiet_decoders():
            time.sleep(0.02)

    filters = list(warnings.filters)
    threads = [threading.Thread(target=decode) for _ in range(8)]
    for thread in threads:
        thread.start()
        time.sleep(0.004)
    for thread in threads:
        thread.join()
    assert warnings.filters == filters
    with pytest.raises(ZeroDivisionError), quiet_decoders():
        cv2.imdecode(np.frombuffer(encode("PNG")[:60], np.uint8), cv2.IMREAD_COLOR)
        raise ZeroDivisionError
    assert capfd.readouterr().err == ""
    cv2.imdecode(np.frombuffer(encode("PNG")[:60], np.uint8), cv2.IMREAD_COLOR)
    assert capfd.readouterr().err != ""
