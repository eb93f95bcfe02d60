"""Images and masks as other programs leave them, made into bytes that `bgdata.io` decodes."""

import io
import warnings

import cv2
import numpy as np
from PIL import Image

from bgdata.errors import InputError
from bgdata.io import encode_mask

# What torchvision's ImageFolder takes for images (torchvision.datasets.folder.IMG_EXTENSIONS), in any case.
IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
MASK_ENDING = ".npy"
_JPEG, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_PNG, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"


def plain_image(data: bytes) -> bytes:
    """A JPEG or PNG that is whole, as it is; anything else as Pillow reads it, as a PNG.

    Pillow is what the official evaluator reads with: it knows more formats than OpenCV, whatever the file is called,
    and refuses a file that was cut short.

    Raises InputError where it reads none.
    """
    if data.startswith(_JPEG) and data.rstrip(b"\0").endswith(_JPEG_END):
        return data
    if data.startswith(_PNG) and data.endswith(_PNG_END):
        return data
    if not data:
        raise InputError("the file is empty")
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data)) as image:
            pixels = np.asarray(image.convert("RGB"))
    except Exception as error:  # its decoders fail as they like
        raise InputError(f"no image that can be read ({_said(error)})") from None
    _, png = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 1])
    return png.tobytes()


def mask_as_png(data: bytes) -> bytes:
    """An array file (`.npy`, `H W`: True or not zero is foreground) as a PNG.

    Raises InputError where it is none.
    """
    try:
        mask = np.load(io.BytesIO(data), allow_pickle=False)
    except Exception as error:  # a header is parsed as Python, and a shape may be anything
        raise InputError(f"no mask ({_said(error)})") from None
    if not isinstance(mask, np.ndarray) or mask.ndim != 2 or mask.dtype.kind not in "biuf" or not mask.size:
        found = f"{mask.dtype} of shape {mask.shape}" if isinstance(mask, np.ndarray) else type(mask).__name__
        raise InputError(f"an array {found}, expected a mask (height, width)")
    return encode_mask(mask.astype(bool))


def _said(error: Exception) -> str:
    """What a library says of its failure, on one line, without the name of the buffer that it read."""
    said = " ".join(str(error).split()).partition(" <_io.")[0]
    return said or type(error).__name__
