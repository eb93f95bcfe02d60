"""Images and masks as other programs leave them, made into bytes that `bgdata.io` decodes."""

import io

import numpy as np

from bgdata.contents import describe_start
from bgdata.errors import InputError
from bgdata.io import decode_foreign, encode_mask, encode_png

# What torchvision's ImageFolder takes for images (torchvision.datasets.folder.IMG_EXTENSIONS), in any case.
IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
MASK_ENDING = ".npy"
_JPEG, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_PNG, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"


def plain_image(data: bytes) -> bytes:
    """A JPEG or PNG that is whole, as it is; anything else as PIL reads it, as a PNG.

    PIL is what the official evaluator reads with: it knows more kinds than OpenCV, whatever a file is called.

    Raises InputError where it reads none.
    """
    if data.startswith(_JPEG) and data.rstrip(b"\0").endswith(_JPEG_END):
        return data
    if data.startswith(_PNG) and data.endswith(_PNG_END):
        return data
    try:
        return encode_png(decode_foreign(data))
    except InputError as error:
        what = describe_start(data[:512])
        known = what is not None and not what.endswith(" image")  # an image that is cut short or broken
        raise InputError(f"expected an image, and it is {what}" if known else f"{error}") from None


def mask_as_png(data: bytes) -> bytes:
    """An array file (`.npy`, `H W`: True or not zero is foreground) as a PNG.

    Raises InputError where it is none.
    """
    try:
        mask = np.load(io.BytesIO(data), allow_pickle=False)
    except Exception as error:  # a header is parsed as Python, and a shape may be anything
        what = describe_start(data[:512]) or " ".join(str(error).split()).partition(" <_io.")[0]
        raise InputError(f"no mask ({what or type(error).__name__})") from None
    if not isinstance(mask, np.ndarray) or mask.ndim != 2 or mask.dtype.kind not in "biuf" or not mask.size:
        found = f"{mask.dtype} of shape {mask.shape}" if isinstance(mask, np.ndarray) else type(mask).__name__
        raise InputError(f"an array {found}, expected a mask (height, width)")
    return encode_mask(mask.astype(bool))
