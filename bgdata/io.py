"""The only place that touches a codec. An image at rest is RGB uint8 `H W 3`; a mask is bool `H W`, True =
foreground. Whatever a decoder does with a broken file, the caller sees one InputError."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Shaped, UInt8
from PIL import Image

from bgdata.errors import InputError
from bgdata.quiet import quiet_decoders

# What photos and masks come in. Not all that PIL knows: for some (EPS) it would start another program.
_FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "GIF", "BMP", "DIB", "JPEG2000", "ICO", "PPM", "SGI", "TGA", "PCX")
_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_ORIENTATION = 0x0112
_LONGEST_JPEG = 65_500  # libjpeg's limit


def decode_image(data: bytes, *, as_stored: bool = False) -> UInt8[np.ndarray, "h w 3"]:
    """Decode an image, ours or a user's, as OpenCV does: turned as its EXIF says (ingest lets no turned photo in), or
    `as_stored`, as torchvision's loaders and so the official evaluators see it.

    Raises InputError where the bytes are not an image, or a JPEG that was cut short.
    """
    pixels = _decoded(data, cv2.IMREAD_COLOR_RGB | (cv2.IMREAD_IGNORE_ORIENTATION if as_stored else 0))
    if pixels is None:
        raise InputError(f"expected an image, got {len(data)} bytes that no decoder reads")
    if data.startswith(_JPEG_START) and not data.endswith(_JPEG_END):
        # OpenCV fills what is missing with grey, without a word.
        with _opened(data, "an image"):
            pass
    return pixels


def decode_foreign(data: bytes) -> UInt8[np.ndarray, "h w 3"]:
    """Decode an image of any make as PIL does, strictly: it knows more kinds than OpenCV.

    Raises InputError where the bytes are not an image, or were cut short.
    """
    with _opened(data, "an image") as image:
        return np.ascontiguousarray(_rgb(image))


def decode_thumbnail(data: bytes, side: int) -> UInt8[np.ndarray, "side side"]:
    """An image of any make in grey, stretched to a square by averages; of a JPEG no more is decoded than that needs.

    Raises InputError where the bytes are not an image, or were cut short.
    """
    with _opened(data, "an image", draft=4 * side) as image:
        grey = Image.fromarray(_rgb(image)).convert("L")
        return np.asarray(grey.resize((side, side), Image.Resampling.BOX))


def encode_png(image: UInt8[np.ndarray, "h w 3"]) -> bytes:
    """Encode an RGB image without loss (level 1: quickly)."""
    done, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not done:
        raise ValueError(f"OpenCV could not encode an image of shape {image.shape}")
    return data.tobytes()


def encode_jpeg(image: UInt8[np.ndarray, "h w 3"], quality: int) -> bytes:
    """Encode an RGB image as a baseline JPEG; `quality` is 1 to 100 in libjpeg's scale."""
    done, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"OpenCV could not encode an image of shape {image.shape}")
    return data.tobytes()


def decode_mask(data: bytes) -> Bool[np.ndarray, "h w"]:
    """Decode a grey mask: True where the value is 128 or more. (Masks of unknown make: `bgdata.masks.given`.)

    Raises InputError where the bytes are not an image.
    """
    pixels = _decoded(data, cv2.IMREAD_GRAYSCALE)
    if pixels is None:
        raise InputError(f"expected a mask, got {len(data)} bytes that no decoder reads")
    return pixels >= 128


def encode_mask(mask: Bool[np.ndarray, "h w"]) -> bytes:
    """Encode a mask as a 1-bit PNG (any viewer shows it black and white; level 1: masks compress well at once)."""
    pixels = np.negative(mask.view(np.uint8))  # 1 becomes 255
    done, data = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_BILEVEL, 1, cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not done:
        raise ValueError(f"OpenCV could not encode a mask of shape {mask.shape}")
    return data.tobytes()


def decode_palette(data: bytes) -> UInt8[np.ndarray, "h w"]:
    """Decode a palette or grey PNG as its indices, the colours aside (PASCAL VOC's masks).

    Raises InputError where the bytes are no such image.
    """
    with _opened(data, "a palette PNG") as image:
        if image.mode not in ("P", "L"):
            raise InputError(
                f"expected a palette PNG, got an image of the mode {image.mode}: its colours are no indices"
            )
        return np.array(image)


class Channels(NamedTuple):
    """An image as its file holds it: grey or RGB values in their own depth, opacity, format.

    A palette is resolved into its colours; a 1-bit image is uint8 0 and 255.
    """

    values: Shaped[np.ndarray, "h w *channels"]
    alpha: UInt8[np.ndarray, "h w"] | None
    format: str


def decode_channels(data: bytes) -> Channels:
    """Decode an image of any depth without changing its values.

    Raises InputError where the bytes are not an image.
    """
    with _opened(data, "an image") as image:
        alpha = np.array(image.convert("RGBA").getchannel("A")) if image.has_transparency_data else None
        if image.mode in ("1", "L", "LA", "La"):
            values = np.array(image.convert("L"))
        else:
            deep = image.mode == "F" or image.mode.startswith("I")
            values = np.array(image if deep else image.convert("RGB"))
        return Channels(values, alpha, image.format or "")


def encode_palette(indices: UInt8[np.ndarray, "h w"], palette: UInt8[np.ndarray, "256 3"]) -> bytes:
    """Encode indices as a palette PNG; `palette` is RGB."""
    image = Image.fromarray(indices, mode="P")
    image.putpalette(palette.tobytes())
    data = io.BytesIO()
    image.save(data, "PNG")
    return data.getvalue()


class UnusablePhoto(Exception):
    """A photo that ingest must leave out; `args[0]` is the reason, a word of the manifest."""


def inspect_photo(data: bytes) -> tuple[bytes, tuple[int, int], bool]:
    """Read a photo strictly and make it plain: a three-channel (or grey) JPEG that stands upright.

    Returns its bytes (as they came where they were plain already, else encoded anew at quality 100), its size (height,
    width), and whether it was encoded anew. CMYK photos and PNGs under a JPEG's name are encoded anew.

    Raises UnusablePhoto: `unreadable` (no image, truncated: OpenCV would fill it with grey without a word, or too long
    for a JPEG), or `exif_rotated` (nobody knows whether its boxes were drawn before or after the turn).
    """
    try:
        with _opened(data, "a photo") as photo:
            plain = photo.format == "JPEG" and photo.mode in ("RGB", "L")
            size = (photo.height, photo.width)
            turned = _is_turned(photo, data)
            pixels = None if plain else _rgb(photo)
            if max(size) > _LONGEST_JPEG:
                raise InputError(f"expected a photo that fits a JPEG, got {size[0]}x{size[1]} (height x width)")
    except InputError as error:
        raise UnusablePhoto("unreadable") from error
    if turned:
        raise UnusablePhoto("exif_rotated")
    if pixels is None:
        return data, size, False
    return encode_jpeg(np.ascontiguousarray(pixels), quality=100), size, True


@contextmanager
def _opened(data: bytes, expected: str, *, draft: int | None = None) -> Iterator[Image.Image]:
    """A file's image, read to its end by PIL; whatever fails on it, here or inside the block, is an InputError.

    Of a JPEG a `draft` is decoded where one is asked for: grey, its sides no shorter than that.
    """
    try:
        with quiet_decoders(), Image.open(io.BytesIO(data), formats=_formats()) as image:
            if draft is not None:
                image.draft("L", (draft, draft))
            image.load()
            yield image
    except InputError:
        raise
    except Exception as error:  # PIL's decoders raise whatever they meet: struct.error, SyntaxError, MemoryError ...
        raise InputError(f"expected {expected}, got {len(data)} bytes that no decoder reads") from error


@cache
def _formats() -> tuple[str, ...]:
    """Those of the formats that this build of PIL has."""
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _decoded(data: bytes, flags: int) -> np.ndarray | None:
    """What OpenCV reads, None where it reads nothing."""
    try:
        with quiet_decoders():
            return cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    except (cv2.error, MemoryError):
        return None


def _rgb(photo: Image.Image) -> UInt8[np.ndarray, "h w 3"]:
    if photo.mode.startswith("I;16"):
        # PIL would clip at 255; a decoder that reads 8 bits takes the upper ones.
        return np.repeat((np.asarray(photo) >> 8).astype(np.uint8)[..., None], 3, axis=-1)
    return np.asarray(photo.convert("RGB"))


def _is_turned(photo: Image.Image, data: bytes) -> bool:
    """Whether EXIF turns the photo. Where its EXIF is odd or broken, what counts is what `decode_image` makes of it."""
    try:
        orientation = photo.getexif().get(_ORIENTATION, 1)
    except Exception:  # as with decoders: PIL's parsers of EXIF and XMP raise whatever they meet
        orientation = None
    if orientation in range(1, 9):
        return orientation != 1
    seen, plain = (_decoded(data, cv2.IMREAD_COLOR_RGB | flag) for flag in (0, cv2.IMREAD_IGNORE_ORIENTATION))
    return seen is not None and plain is not None and not np.array_equal(seen, plain)
