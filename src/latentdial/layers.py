"""What nets are made of: pairs of them, layers that can be set to a linear map, and the layout of their pictures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from latentdial.errors import LatentdialError
from latentdial.types import Affine, ImageShape

OFFSET = 12.0  # above what standardised codes reach


@dataclass(frozen=True)
class Network:
    """An encoder (B, C, H, W) -> (B, features) and a decoder (B, D) -> (B, C, H, W)."""

    encoder: nn.Module
    decoder: nn.Module


def halved(image: ImageShape, channels: Sequence[int], option: str = "channels", net: str = "net") -> tuple[int, int]:
    """Rows and columns of pictures (C, H, W) that are halved as often as there are channels.

    A LatentdialError where that cannot be, which names the `option` of the recipe that says how often.

    >>> halved((3, 64, 64), [32, 64])
    (16, 16)
    """
    _, height, width = image
    step = 2 ** len(channels)
    if height % step or width % step:
        times = next(n for n in range(len(channels), -1, -1) if height % 2**n == width % 2**n == 0)
        fewer = f" or fewer layers: --set {option}={','.join(map(str, channels[:times]))}" if times else ""
        raise LatentdialError(
            f"this {net} halves the picture {len(channels)} times, and {height} is no multiple of {step}: "
            f"use --size {max(1, round(height / step)) * step}{fewer}"
        )
    return height // step, width // step


class Startable(nn.Module, ABC):
    """A net whose own weights can be set so that it is an affine map of flat inputs to flat outputs."""

    @abstractmethod
    def become(self, wanted: Affine) -> None:
        """Set the weights so; those that the map does not need keep their random values and stand ready to train."""


class Dense(nn.Sequential, Startable):
    """Linear layers with ReLU between them: a plain `nn.Sequential` but for its start."""

    @property
    def linears(self) -> list[tuple[str, nn.Linear]]:
        """Its linear layers with their names, in order."""
        return [(name, layer) for name, layer in self.named_children() if isinstance(layer, nn.Linear)]

    @torch.no_grad()
    def become(self, wanted: Affine) -> None:
        """Carry the numbers that the map passes through, its inputs or its outputs, from layer to layer.

        A hidden layer narrower than they are many carries only the first of them. The last layer reads nothing from
        the units that carry none, as yet.
        """
        *hidden, last = (layer for _, layer in self.linears)
        carried, rest = _parted(wanted, min((layer.out_features for layer in hidden), default=last.in_features))
        for layer in hidden:
            carried = _carry(layer, carried)
        last.weight.zero_()
        last.weight[:, : carried.weight.shape[1]] = rest.weight @ carried.weight
        last.bias.copy_(rest.weight @ carried.bias + rest.bias)


class Within(nn.Linear):
    """A linear layer that learns in a subspace, which the orthonormal rows of `basis` (K, P) span and which stays."""

    def __init__(self, weight: Tensor, bias: Tensor, basis: Tensor, offset: Tensor):
        super().__init__(weight.shape[1], len(weight), device="meta")
        self.weight, self.bias = nn.Parameter(weight.detach()), nn.Parameter(bias.detach())
        self.basis = nn.Parameter(basis.detach(), requires_grad=False)
        self.offset = nn.Parameter(offset.detach(), requires_grad=False)
        self.register_buffer("rounded", None, persistent=False)

    def round_basis(self) -> None:
        """Keep the basis in bfloat16 too, which autocast would make anew at every step, in half of the step's time."""
        self.rounded = self.basis.bfloat16()

    def basis_for(self, x: Tensor) -> Tensor:
        """The basis (K, P) in the numbers that inputs x are multiplied in."""
        rounded: Tensor | None = self.rounded
        return self.basis if rounded is None or not torch.is_autocast_enabled(x.device.type) else rounded


class Projected(Within):
    """A linear layer that sees its inputs (..., P) by their K coordinates in a subspace, and learns K weights a unit.

    Its weight is (F, K), and its offset that of the coordinates.
    """

    @classmethod
    def within(cls, layer: nn.Linear, basis: Tensor, mean: Tensor) -> Projected:
        """A layer that does what `layer` does to inputs that lie in the subspace through `mean` (P,)."""
        return cls(layer.weight @ basis.T, layer.bias + layer.weight @ mean, basis, -(basis @ mean))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.linear(x, self.basis_for(x), self.offset))

    def plain(self) -> nn.Linear:
        """The same layer with a weight for every input."""
        return linear_of(self.weight @ self.basis, self.bias + self.weight @ self.offset)


class Lifted(Within):
    """A linear layer whose outputs (..., P) lie in a subspace, of which it learns the K coordinates.

    Its weight is (K, F), and its offset that of the outputs.
    """

    @classmethod
    def within(cls, layer: nn.Linear, basis: Tensor) -> Lifted:
        """A layer whose subspace goes through the bias of `layer`; outputs of `layer` in it stay what they are."""
        return cls(basis @ layer.weight, torch.zeros_like(basis[:, 0]), basis, layer.bias.clone())

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(super().forward(x), self.basis_for(x).T, self.offset)

    def plain(self) -> nn.Linear:
        """The same layer with a weight for every output."""
        return linear_of(self.basis.T @ self.weight, self.bias @ self.basis + self.offset)


@torch.no_grad()
def linear_of(weight: Tensor, bias: Tensor) -> nn.Linear:
    """The linear layer of this weight (F, P) and this bias (F,)."""
    layer = nn.Linear(weight.shape[1], len(weight), device="meta")
    layer.weight, layer.bias = nn.Parameter(weight.detach()), nn.Parameter(bias.detach())
    return layer


class Shortcut(Startable):
    """A net with a linear map of its flat input beside it, whose outputs are added to as many of the net's own.

    These are the first: of a decoder with more channels than the picture has, those of the picture.
    """

    def __init__(self, net: nn.Module, inputs: int, outputs: int):
        super().__init__()
        self.net, self.linear = net, nn.Linear(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        own = self.net(x)
        linear = self.linear(x.flatten(1))
        more = own[0].numel() - linear.shape[1]
        return own + (F.pad(linear, (0, more)) if more else linear).view_as(own)

    @torch.no_grad()
    def become(self, wanted: Affine) -> None:
        self.linear.weight.copy_(wanted.weight)
        self.linear.bias.copy_(wanted.bias)
        silence(self.net)


@torch.no_grad()
def silence(net: nn.Module) -> None:
    """Set the last layer of a net to zero, so that it adds nothing before it is trained."""
    *_, last = (m for m in net.modules() if isinstance(m, nn.Linear | nn.Conv2d | nn.ConvTranspose2d))
    for parameter in last.parameters():
        parameter.zero_()


def _parted(wanted: Affine, most: int) -> tuple[Affine, Affine]:
    """Two affine maps that make up the wanted one, with at most so many numbers between them."""
    inputs, varying = wanted.weight.shape[1], wanted.weight.any(1).nonzero().flatten()
    if inputs <= len(varying):
        first = torch.eye(inputs).to(wanted.weight)[:most]
        return Affine(first, first.new_zeros(len(first))), Affine(wanted.weight[:, :most], wanted.bias)
    varying = varying[:most]
    bias = wanted.bias.clone()
    bias[varying] = 0
    back = torch.eye(len(bias)).to(bias)[:, varying]
    return Affine(wanted.weight[varying], wanted.bias[varying]), Affine(back, bias)


def _carry(layer: nn.Linear, wanted: Affine) -> Affine:
    """Set the layer's first units so that behind a ReLU they hold k numbers; returns how to read these from them.

    2k units hold relu(a) and relu(-a), whose difference is a; in a narrower layer k units hold a + OFFSET.
    """
    k, inputs = wanted.weight.shape
    eye, zero = torch.eye(k).to(wanted.weight), torch.zeros_like(wanted.bias)
    paired = layer.out_features >= 2 * k
    read = Affine(torch.cat([eye, -eye], 1), zero) if paired else Affine(eye, zero - OFFSET)
    units = read.weight.shape[1]
    layer.weight[:units] = 0
    layer.weight[:units, :inputs] = read.weight.T @ wanted.weight
    layer.bias[:units] = read.weight.T @ wanted.bias + (0 if paired else OFFSET)
    return read


class ChannelsLast(nn.Module):
    """Lays pictures (B, C, H, W) out channels last under autocast: convolutions in bfloat16 are fastest that way."""

    def forward(self, x: Tensor) -> Tensor:
        half = torch.is_autocast_enabled(x.device.type)
        return x.contiguous(memory_format=torch.channels_last) if half else x
