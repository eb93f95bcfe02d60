"""Pictures as data URIs, small enough for a page that holds hundreds of them."""

import base64

import cv2
import numpy as np
from jaxtyping import UInt8

from bgdata.io import decode_image, decode_mask, encode_jpeg, encode_mask

SIDE = 144  # pixels: sharp enough at the size the page shows, and all pictures stay below a few megabytes
_QUALITY = 82


def photo_uri(data: bytes) -> str:
    """A JPEG's or PNG's bytes as a small photo."""
    return image_uri(decode_image(data))


def image_uri(image: UInt8[np.ndarray, "h w 3"]) -> str:
    """An image as a small photo."""
    small = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return data_uri("jpeg", encode_jpeg(np.asarray(small), _QUALITY))


def mask_uri(data: bytes) -> str:
    """A mask's bytes as a small mask."""
    mask = cv2.resize(decode_mask(data).view(np.uint8), (SIDE, SIDE), interpolation=cv2.INTER_NEAREST)
    return data_uri("png", encode_mask(mask.astype(bool)))


def data_uri(kind: str, data: bytes) -> str:
    """A file's bytes in an address."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
