"""MNIST, by network, through torchvision."""

from pathlib import Path

import numpy as np
from torchvision.datasets import MNIST

from bgdata.digits.plain import Digits, place_digits
from bgdata.errors import InputError


def open_mnist(folder: Path) -> tuple[Digits, Digits]:
    """MNIST's own (train, test), downloaded into `folder` where it is not there.

    Raises InputError where it cannot be had, or its files are not what they should be.
    """
    return _open_part(folder, train=True), _open_part(folder, train=False)


def _open_part(folder: Path, *, train: bool) -> Digits:
    place = folder / "MNIST" / "raw"
    try:
        found = MNIST(folder, train=train, download=True)
    except (AssertionError, ValueError, IndexError, TypeError, EOFError) as error:  # torchvision reads as far as it can
        raise InputError(f"a file of MNIST in {place} is broken ({error}): remove the folder, and run again") from None
    except (RuntimeError, OSError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"MNIST could not be downloaded ({reason}): put its four files, unpacked, into {place}, or set "
            "digits.source to embedded"
        ) from None
    images, labels = found.data.numpy(), found.targets.numpy().astype(np.int64)
    if len(images) != len(labels) or not len(images):
        raise InputError(f"MNIST in {place} has {len(images)} images and {len(labels)} labels: remove it and run again")
    return place_digits(images, labels, prefix="train" if train else "test")
