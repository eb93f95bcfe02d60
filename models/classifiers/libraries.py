"""The libraries that networks come from by name: torchvision and timm."""

import difflib
from collections.abc import Callable, Collection
from typing import TypeVar

import torchvision

from bgdata.errors import InputError

LIBRARIES = ("torchvision", "timm")

_Loaded = TypeVar("_Loaded")


def resolve_name(name: str, *, without: Collection[str] = (), ours: Collection[str] = ()) -> tuple[str, str]:
    """The library and the name in it of a network; `timm:resnet50` says its library, else torchvision's come first.

    Torchvision's in `without` are not known; `ours` are further names, for the suggestions.

    Raises InputError where it is unknown, with close names.
    """
    library, _, arch = name.rpartition(":")
    if library and library not in LIBRARIES:
        raise InputError(f"{name!r} names no library: expected torchvision:NAME or timm:NAME")
    known: list[str] = []
    for candidate in (library,) if library else LIBRARIES:
        known += [each for each in _list_names(candidate) if candidate == "timm" or each not in without]
        if arch.split(".")[0] in known:
            return candidate, arch
    close = difflib.get_close_matches(arch, [*ours, *known])
    raise InputError(
        f"no classifier is called {name!r}: try {', '.join(close) or 'resnet50'} (torchvision's or timm's)"
    )


def published(load: Callable[[], _Loaded], arch: str, weights: str) -> _Loaded:
    """What `load` brings from a hub.

    Raises InputError where it brings nothing, with what the hub says.
    """
    try:
        return load()
    except Exception as error:  # hubs raise what they like: urllib's, requests', their own
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"the weights {weights} of {arch} could not be loaded ({first}): "
            "download them elsewhere and give them as a local file"
        ) from None


def _list_names(library: str) -> list[str]:
    if library == "torchvision":
        return torchvision.models.list_models(torchvision.models)
    import timm  # here, as it takes seconds, and most models are not its

    return timm.list_models()
