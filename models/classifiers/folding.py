"""Batch normalisation folded into the convolutions before it: fewer passes over memory, the same function."""

import copy
from typing import Any

import torch
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights


class _Tracer(fx.Tracer):
    """Keeps convolutions whole, as some networks pad in a subclass of their own, and what holds nothing to fold."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        if isinstance(m, nn.Conv2d) or not any(isinstance(part, nn.Conv2d | nn.BatchNorm2d) for part in m.modules()):
            return True
        return super().is_leaf_module(m, module_qualified_name)


def fold_batch_norms(network: nn.Module) -> nn.Module | None:
    """A copy of a network in evaluation mode without its batch norms; None where its code cannot be traced.

    Its answers differ from the network's by rounding, if tracing understood the code: compare before use.
    """
    try:
        graph = _Tracer().trace(network)
    except Exception:  # the network's own code runs on stand-ins, and fails as it likes
        return None
    folded = fx.GraphModule(copy.deepcopy(network), graph)
    modules: dict[str, Any] = dict(folded.named_modules())
    for node in list(graph.nodes):
        norm = modules.get(str(node.target)) if node.op == "call_module" else None
        before = node.args[0] if isinstance(norm, nn.BatchNorm2d) and node.args else None
        if isinstance(before, fx.Node) and before.op == "call_module" and len(before.users) == 1:
            convolution = modules[str(before.target)]
            if _is_foldable(convolution, norm) and _used_once(graph, before) and _used_once(graph, node):
                _fold(convolution, norm)
                node.replace_all_uses_with(before)
                graph.erase_node(node)
    folded.delete_all_unused_submodules()
    folded.recompile()
    return folded.eval()


def _fold(convolution: nn.Conv2d, norm: Any) -> None:
    scale = torch.ones_like(norm.running_mean) if norm.weight is None else norm.weight
    shift = torch.zeros_like(norm.running_mean) if norm.bias is None else norm.bias
    convolution.weight, convolution.bias = fuse_conv_bn_weights(
        convolution.weight, convolution.bias, norm.running_mean, norm.running_var, norm.eps, scale, shift
    )


def _is_foldable(convolution: nn.Module, norm: Any) -> bool:
    return isinstance(convolution, nn.Conv2d) and norm.running_mean is not None


def _used_once(graph: fx.Graph, node: fx.Node) -> bool:
    return sum(other.op == "call_module" and other.target == node.target for other in graph.nodes) == 1
