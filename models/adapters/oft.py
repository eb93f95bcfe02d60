"""OFT: the filters of a layer are turned together, which keeps their lengths and the angles between them.

peft's OFT turns the input, which is wrong for kernels larger than 1 (it ignores stride, padding and overlap); this one
turns the weight, in blocks along its flattened fan-in (channel, row, column), as peft does for kernels of 1.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float32
from torch import Tensor, nn
from torch.nn.utils import parametrize

from bgdata.errors import InputError


class Rotation(nn.Module):
    """A block-diagonal rotation of a weight along its fan-in: the identity, until its angles are trained.

    Each block is the exact Cayley transform `(I + S)^-1 (I - S)` of a skew-symmetric `S`, whose entries below the
    diagonal are the parameters (`blocks block * (block - 1) / 2`).
    Source: Qiu et al. 2023 (OFT), section 4.
    """

    rows: Tensor
    columns: Tensor

    def __init__(self, fan_in: int, *, block: int) -> None:
        super().__init__()
        self.block = block
        self.angles = nn.Parameter(torch.zeros(fan_in // block, block * (block - 1) // 2))
        rows, columns = torch.tril_indices(block, block, offset=-1)
        self.register_buffer("rows", rows, persistent=False)
        self.register_buffer("columns", columns, persistent=False)

    def matrices(self) -> Float32[Tensor, "n b b"]:
        """The rotation of each block, in float32."""
        lower = self.angles.new_zeros(len(self.angles), self.block, self.block)
        lower[:, self.rows, self.columns] = self.angles
        skew = lower - lower.mT
        identity = torch.eye(self.block, device=skew.device)
        return torch.linalg.solve(identity + skew, identity - skew)

    def forward(self, weight: Float32[Tensor, "o ..."]) -> Float32[Tensor, "o ..."]:
        """The turned weight; in float32 also under autocast, since a rotation rounded to bfloat16 is none."""
        with torch.autocast(weight.device.type, enabled=False):
            blocks = weight.reshape(len(weight), -1, self.block)  # o n b
            turned = torch.einsum("onb,nbc->onc", blocks, self.matrices()).reshape(weight.shape)
        return turned.contiguous(memory_format=torch.channels_last) if turned.ndim == 4 else turned


def add_oft(network: nn.Module, layers: Sequence[str], *, block: int) -> None:
    """Turn the weights of the named layers in blocks of this side, at first by nothing; all else freezes.

    Raises InputError where a layer's fan-in cannot be cut into such blocks, naming sides that can.
    """
    network.requires_grad_(False)
    for name in layers:
        layer = network.get_submodule(name)
        fan_in = layer.get_parameter("weight")[0].numel()
        if fan_in % block:
            raise InputError(
                f"adapter.block is {block}, which does not divide the fan-in of {name} ({fan_in}): take "
                f"{_listing([side for side in range(2, 257) if fan_in % side == 0])}"
            )
        parametrize.register_parametrization(layer, "weight", Rotation(fan_in, block=block))


def merge_oft(network: nn.Module) -> None:
    """Fold the rotations into the layers' weights: the network has its plain layers again."""
    for layer in list(network.modules()):
        if parametrize.is_parametrized(layer, "weight"):
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)


def is_oft_name(name: str) -> bool:
    """Whether a parameter of that name holds angles of a rotation."""
    return name.endswith(".parametrizations.weight.0.angles")


def _listing(sides: list[int]) -> str:
    return ", ".join(map(str, sides)) or "other layers: no side up to 256 does"
