"""The libraries that networks come from by name: torchvision and timm."""

import difflib
import re
from collections.abc import Callable, Collection
from typing import TypeVar

import torchvision

from bgdata.errors import InputError

LIBRARIES = ("torchvision", "timm")

_TIMMS_ON_HUB = re.compile(
    r"(timm:)?(https?://(huggingface\.co|hf\.co)/|hf[-_]hub:)?timm/(?P<name>[\w.-]+)/?", re.IGNORECASE
)

_Loaded = TypeVar("_Loaded")


def resolve_name(name: str, *, without: Collection[str] = (), ours: Collection[str] = ()) -> tuple[str, str]:
    """The library and the name in it of a network; `timm:resnet50` says its library, else torchvision's come first.

    Names of timm's may be written as on the Hugging Face hub (`timm/resnet50.a1_in1k`, `hf-hub:timm/...`); case and
    separators are forgiven where one name is meant. Torchvision's in `without` are not known; `ours` are further
    names, for the suggestions.

    Raises InputError where it is unknown, with close names.
    """
    on_hub = _TIMMS_ON_HUB.fullmatch(name)
    library, _, arch = f"timm:{on_hub['name']}".rpartition(":") if on_hub else name.rpartition(":")
    library = library.lower()
    if library and library not in LIBRARIES:
        raise InputError(f"{name!r} names no library: expected torchvision:NAME or timm:NAME")
    known: list[str] = []
    for meant in (_same, _only_alike):
        for candidate in (library,) if library else LIBRARIES:
            names = [each for each in _list_names(candidate) if candidate == "timm" or each not in without]
            # What follows the dot names weights of timm's.
            base, dot, tag = arch.partition(".") if candidate == "timm" else (arch, "", "")
            if (found := meant(base, names)) is not None:
                return candidate, found + dot + tag
            known += names
    close = difflib.get_close_matches(arch.partition(".")[0].lower(), list(dict.fromkeys([*ours, *known])))
    raise InputError(
        f"no classifier is called {name!r}: try {', '.join(close) or 'resnet50'} (torchvision's or timm's)"
    )


def _same(name: str, names: Collection[str]) -> str | None:
    return name if name in names else None


def _only_alike(name: str, names: Collection[str]) -> str | None:
    """The only name that differs by case and separators alone."""
    found = [each for each in names if _squeezed(each) == _squeezed(name)]
    return found[0] if len(found) == 1 else None


def _squeezed(name: str) -> str:
    return "".join(sign for sign in name.lower() if sign.isalnum())


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
