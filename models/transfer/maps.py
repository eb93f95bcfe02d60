"""Where the feature maps of a network are: found by running it once, so that any library's networks will do."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from bgdata.errors import InputError

# Strides of the maps that detectors and segmenters stand on, in pixels of the image a place in the map.
STRIDES = (4, 8, 16, 32)
# Height and width of the image that is shown: not square, so that a map's two sides cannot be taken for its channels.
_PROBE = (64, 96)


@dataclass(frozen=True)
class MapSource:
    """The module whose output is the feature map of a stride; `channels_last`: as `B H W C`, which is to be turned."""

    module: str
    channels: int
    channels_last: bool


@dataclass(frozen=True)
class _Layout:
    stride: int
    channels: int
    channels_last: bool


@dataclass(frozen=True)
class _Call:
    """One module's call: when it began and ended, and what maps it took and gave (None: no map)."""

    module: str
    began: int
    ended: int
    taken: _Layout | None
    given: _Layout | None


def find_sources(network: nn.Module) -> dict[int, MapSource]:
    """The source of the feature map of each stride that a network has, by ascending stride; headless afterwards.

    A stride's map is the last one that a module gives before the network goes on to the next stride. Modules that
    halve the map are not looked into (a ResNet's `layer2` begins at the stride of `layer1`), those that halve it more
    than once are (ConvNeXt's `stages`). What the network calls only after its last map (pooling, its head) is replaced
    by nothing, so that it holds no weights that no map comes from. It is left in evaluation mode.

    Raises InputError where it fails on images of a size that is not its own, or has maps of fewer than two strides.
    """
    calls = _calls(network.eval())
    closed = tuple(f"{call.module}." for call in calls if not _halves_twice(call))
    last: dict[int, _Call] = {}
    for call in calls:
        if call.given is not None and call.given.stride in STRIDES and not call.module.startswith(closed):
            last[call.given.stride] = call
    if len(last) < 2:
        raise InputError(
            f"{type(network).__name__} has feature maps of {len(last) or 'no'} stride{'s' * (len(last) != 1)} among "
            f"{', '.join(map(str, STRIDES))}, expected two or more: take a network with stages, as resnet50, "
            "timm:convnext_tiny or swin_t"
        )
    _remove_later(network, calls, after=max(call.ended for call in last.values()))
    return {
        stride: MapSource(call.module, call.given.channels, call.given.channels_last)
        for stride, call in sorted(last.items())
        if call.given is not None
    }


def _halves_twice(call: _Call) -> bool:
    return call.taken is not None and call.given is not None and call.given.stride > 2 * call.taken.stride


def _calls(network: nn.Module) -> list[_Call]:
    """What a network calls for one image, in the order in which the calls end."""
    calls: list[_Call] = []
    running: list[int] = []
    clock = iter(range(10**9))

    def begin(*_: object) -> None:
        running.append(next(clock))

    def end(name: str, _: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        taken = _layout(inputs[0]) if inputs else None
        calls.append(_Call(name, running.pop(), next(clock), taken, _layout(output)))

    handles = []
    for name, module in network.named_modules():
        if name:
            handles += [module.register_forward_pre_hook(begin), module.register_forward_hook(partial(end, name))]
    try:
        with torch.no_grad():
            network(torch.zeros(1, 3, *_PROBE))
    except Exception as error:  # anybody's code, which fails as it likes
        said = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(
            f"{type(network).__name__} fails on an image of {_PROBE[0]}x{_PROBE[1]} pixels ({said}): take a network "
            "that accepts any size, as resnet50, timm:convnext_tiny or swin_t"
        ) from None
    finally:
        for handle in handles:
            handle.remove()
    return calls


def _layout(value: Any) -> _Layout | None:
    """Stride and channels of the probe's feature map; None of what is none."""
    if not isinstance(value, Tensor) or value.ndim != 4:
        return None
    for channels_last, (height, width) in ((False, value.shape[2:]), (True, value.shape[1:3])):
        stride = _PROBE[0] // max(height, 1)
        if (height * stride, width * stride) == _PROBE:
            return _Layout(stride, value.shape[3 if channels_last else 1], channels_last)
    return None


def _remove_later(network: nn.Module, calls: list[_Call], *, after: int) -> None:
    """Replace what is called for the first time after a moment by nothing; what is never called stays.

    Some modules are never called, and have weights that are used nevertheless (torchvision's Swin reads `qkv.weight`).
    """
    earlier = {call.module for call in calls if call.began < after}
    later = dict.fromkeys(call.module for call in sorted(calls, key=lambda call: call.began) if call.began > after)
    for name in (name for name in later if name not in earlier):
        if not any(name.startswith(f"{above}.") for above in later if above not in earlier):
            parent, _, leaf = name.rpartition(".")
            setattr(network.get_submodule(parent), leaf, nn.Identity())


class _Complete(Exception):
    """All maps are there: what the network would do next is nobody's."""


@contextmanager
def collecting(network: nn.Module, sources: dict[int, MapSource]) -> Iterator[dict[int, Tensor]]:
    """What a network's sources give when it is run inside the block, by stride, all as `B C H W`.

    The network stops at the last of them. The hooks are there only as long, so that copies of the network are their
    own.
    """
    maps: dict[int, Tensor] = {}

    def keep(stride: int, _: nn.Module, __: object, output: Tensor) -> None:
        maps[stride] = output.permute(0, 3, 1, 2) if sources[stride].channels_last else output
        if len(maps) == len(sources):
            raise _Complete

    handles = [
        network.get_submodule(source.module).register_forward_hook(partial(keep, stride))
        for stride, source in sources.items()
    ]
    try:
        yield maps
    except _Complete:
        pass
    finally:
        for handle in handles:
            handle.remove()
