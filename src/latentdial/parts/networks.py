"""Encoder and decoder pairs.

Every builder returns a `Network`: the encoder maps (B, C, H, W) to (B, features), the decoder maps (B, D) to
(B, C, H, W) without a final non-linearity, which belongs to the likelihood.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn

from latentdial.errors import LatentdialError
from latentdial.types import Affine

OFFSET = 12.0  # above what standardised codes reach


@dataclass(frozen=True)
class Network:
    """An encoder (B, C, H, W) -> (B, features) and a decoder (B, D) -> (B, C, H, W)."""

    encoder: nn.Module
    decoder: nn.Module


class Startable(nn.Module, ABC):
    """A net whose own weights can be set so that it is an affine map of flat inputs to flat outputs."""

    @abstractmethod
    def become(self, wanted: Affine) -> None:
        """Set the weights so; those that the map does not need keep their random values and stand ready to train."""


class Dense(nn.Sequential, Startable):
    """Linear layers with ReLU between them: a plain `nn.Sequential` but for its start."""

    @torch.no_grad()
    def become(self, wanted: Affine) -> None:
        """Carry the numbers that the map passes through, its inputs or its outputs, from layer to layer.

        A hidden layer narrower than they are many carries only the first of them. The last layer reads nothing from
        the units that carry none, as yet.
        """
        *hidden, last = (layer for layer in self if isinstance(layer, nn.Linear))
        carried, rest = _parted(wanted, min((layer.out_features for layer in hidden), default=last.in_features))
        for layer in hidden:
            carried = _carry(layer, carried)
        last.weight.zero_()
        last.weight[:, : carried.weight.shape[1]] = rest.weight @ carried.weight
        last.bias.copy_(rest.weight @ carried.bias + rest.bias)


class Shortcut(Startable):
    """A net with a linear map of its flat input beside it, whose outputs are added to the net's own."""

    def __init__(self, net: nn.Module, inputs: int, outputs: int):
        super().__init__()
        self.net, self.linear = net, nn.Linear(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        own = self.net(x)
        return own + self.linear(x.flatten(1)).view_as(own)

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
        return Affine(first, torch.zeros_like(first[:, 0])), Affine(wanted.weight[:, :most], wanted.bias)
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


def mlp(image: tuple[int, int, int], features: int, latent: int, widths: Sequence[int] = (2048, 512)) -> Network:
    """Fully connected net: the picture through `widths` with ReLU down to `features`, and back from `latent`.

    Layers are numbered as in a plain `nn.Sequential` of Linear and ReLU, so that weights of such a net load unchanged.

    >>> sorted(mlp((3, 64, 64), 128, 128).encoder.state_dict())[:2]
    ['0.bias', '0.weight']
    """
    pixels = prod(image)
    return Network(
        encoder=_numbered([("flatten", nn.Flatten())], _linears([pixels, *widths, features]), [], Dense),
        decoder=_numbered(
            [], _linears([latent, *reversed(widths), pixels]), [("picture", nn.Unflatten(1, image))], Dense
        ),
    )


def linear(image: tuple[int, int, int], features: int, latent: int) -> Network:
    """One linear layer each way."""
    return mlp(image, features, latent, ())


def conv(
    image: tuple[int, int, int],
    features: int,
    latent: int,
    channels: Sequence[int] = (32, 64, 128, 256),
    shortcut: bool = True,
) -> Network:
    """Convolutional net: each entry of `channels` halves the picture with a 4x4 stride-2 convolution and ReLU.

    A `shortcut` is a linear map beside each net, from which training can start.
    Raises LatentdialError where the side of the picture is no multiple of 2**len(channels).

    >>> sorted(conv((3, 64, 64), 64, 32, shortcut=False).encoder.state_dict())[:2]
    ['0.bias', '0.weight']
    """
    colours, height, width = image
    step = 2 ** len(channels)
    if height % step or width % step:
        raise LatentdialError(
            f"this net halves the picture {len(channels)} times, and {height} is no multiple of {step}: "
            f"use --size {max(1, round(height / step)) * step} or fewer channels, such as --set channels=32,64"
        )
    inner = (channels[-1], height // step, width // step)
    down: list[nn.Module] = []
    for before, after in zip([colours, *channels], channels, strict=False):
        down += [nn.Conv2d(before, after, 4, stride=2, padding=1), nn.ReLU()]
    up: list[nn.Module] = []
    for before, after in zip(channels[::-1], [*channels[-2::-1], colours], strict=True):
        up += [nn.ReLU(), nn.ConvTranspose2d(before, after, 4, stride=2, padding=1)]
    unflatten = nn.Sequential(nn.Unflatten(1, inner), ChannelsLast())
    features_of = nn.Linear(prod(inner), features)
    encoder = _numbered([("layout", ChannelsLast())], [*down, nn.Flatten(), features_of], [])
    decoder = nn.Sequential(nn.Linear(latent, prod(inner)), unflatten, *up)
    if not shortcut:
        return Network(encoder, decoder)
    return Network(Shortcut(encoder, prod(image), features), Shortcut(decoder, latent, prod(image)))


def _linears(sizes: Sequence[int]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return layers[:-1]


def _numbered(
    first: list[tuple[str, nn.Module]],
    layers: list[nn.Module],
    last: list[tuple[str, nn.Module]],
    kind: type[nn.Sequential] = nn.Sequential,
) -> nn.Sequential:
    """A Sequential whose `layers` count from 0 whatever stands before and behind them."""
    return kind(OrderedDict([*first, *((str(i), layer) for i, layer in enumerate(layers)), *last]))
