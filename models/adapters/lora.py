"""LoRA: a product of two small matrices is added to what a layer computes."""

import re
from collections.abc import Sequence

from torch import nn

from bgdata.errors import InputError
from models.adapters.layers import uncalled_layers


def add_lora(network: nn.Module, layers: Sequence[str], *, rank: int, alpha: float, size: int) -> None:
    """Add `alpha / rank * B A` to the named layers, `B` zero and `A` drawn by the global generator; all else freezes.

    `size` is the side of the network's input. Source: peft.

    Raises InputError where a layer cannot be adapted so.
    """
    from peft import LoraConfig, inject_adapter_in_model  # here, as it takes seconds

    _check_layers(network, layers, size=size)
    names = "|".join(map(re.escape, layers))
    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=alpha, target_modules=names), network)  # type: ignore[arg-type]  # alpha is said to be whole, and only divided


def merge_lora(network: nn.Module) -> None:
    """Fold the products into the layers' weights: the network has its plain layers again."""
    if not hasattr(network, "peft_config"):
        return
    from peft.tuners.lora import LoraLayer

    for name, module in list(network.named_modules()):
        if isinstance(module, LoraLayer):
            module.merge()
            parent, _, child = name.rpartition(".")
            setattr(network.get_submodule(parent), child, module.get_base_layer())
    del network.peft_config


def is_lora_name(name: str) -> bool:
    """Whether a parameter of that name is a matrix of LoRA's."""
    return ".lora_A." in name or ".lora_B." in name


def _check_layers(network: nn.Module, layers: Sequence[str], *, size: int) -> None:
    grouped = [name for name in layers if getattr(network.get_submodule(name), "groups", 1) > 1]
    if grouped:
        raise InputError(
            f"adapter: peft cannot merge LoRA into convolutions with groups ({', '.join(grouped[:3])}): choose other "
            "layers, or kind: oft"
        )
    if uncalled := uncalled_layers(network, layers, size=size):
        raise InputError(
            f"adapter: LoRA would not reach {', '.join(uncalled[:3])}, since {type(network).__name__} reads their "
            "weights and does not call them: choose other layers, or kind: oft"
        )
