"""The only place that touches a codec. An image at rest is RGB uint8 `H W 3`; a mask is bool `H W`, True =
foreground."""

import io

import cv2
import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image, UnidentifiedImageError

from bgdata.errors import InputError


def decode_image(data: bytes) -> UInt8[np.ndarray, "h w 3"]:
    """Decode a JPEG or PNG that ingest has let in (fast; see `inspect_photo` for the strict reading).

    Raises InputError where the bytes are not an image.
    """
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB) if data else None
    if pixels is None:
        raise InputError(f"expected an image, got {len(data)} bytes that no decoder reads")
    return pixels


def encode_jpeg(image: UInt8[np.ndarray, "h w 3"], quality: int) -> bytes:
    """Encode an RGB image as a baseline JPEG; `quality` is 1 to 100 in libjpeg's scale."""
    done, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"OpenCV could not encode an image of shape {image.shape}")
    return data.tobytes()


def decode_mask(data: bytes) -> Bool[np.ndarray, "h w"]:
    """Decode a one-channel mask: True where the value is 128 or more."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE) if data else None
    if pixels is None:
        raise InputError(f"expected a mask, got {len(data)} bytes that no decoder reads")
    return pixels >= 128


def encode_mask(mask: Bool[np.ndarray, "h w"]) -> bytes:
    """Encode a mask as a 1-bit PNG (any viewer shows it black and white; level 1: masks compress well at once)."""
    pixels = mask.view(np.uint8) * np.uint8(255)
    done, data = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_BILEVEL, 1, cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not done:
        raise ValueError(f"OpenCV could not encode a mask of shape {mask.shape}")
    return data.tobytes()


def decode_palette(data: bytes) -> UInt8[np.ndarray, "h w"]:
    """Decode a palette or grey PNG as its indices, the colours aside (PASCAL VOC's masks).

    Raises InputError where the bytes are no such image.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            mode = image.mode
            indices = np.array(image)
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError):
        raise InputError(f"expected a palette PNG, got {len(data)} bytes that no decoder reads") from None
    if mode not in ("P", "L"):
        raise InputError(f"expected a palette PNG, got an image of the mode {mode}: its colours are no indices")
    return indices


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

    Raises UnusablePhoto: `unreadable` (no image, or truncated: OpenCV would fill it with grey without a word), or
    `exif_rotated` (nobody knows whether its boxes were drawn before or after the turn).
    """
    try:
        with Image.open(io.BytesIO(data)) as photo:
            photo.load()
            if photo.getexif().get(0x0112, 1) in range(2, 9):
                raise UnusablePhoto("exif_rotated")
            plain = photo.format == "JPEG" and photo.mode in ("RGB", "L")
            size = (photo.height, photo.width)
            pixels = None if plain else np.asarray(photo.convert("RGB"))
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise UnusablePhoto("unreadable") from error
    if pixels is None:
        return data, size, False
    return encode_jpeg(np.ascontiguousarray(pixels), quality=100), size, True
