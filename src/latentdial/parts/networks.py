"""Encoder and decoder pairs.

Every builder returns a `Network`: the encoder maps (B, C, H, W) to (B, features), the decoder maps (B, D) to
(B, C, H, W) without a final non-linearity, which belongs to the likelihood.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn

from latentdial.errors import LatentdialError


@dataclass(frozen=True)
class Network:
    """An encoder (B, C, H, W) -> (B, features) and a decoder (B, D) -> (B, C, H, W)."""

    encoder: nn.Sequential
    decoder: nn.Sequential


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
        encoder=_numbered([("flatten", nn.Flatten())], _linears([pixels, *widths, features]), []),
        decoder=_numbered([], _linears([latent, *reversed(widths), pixels]), [("picture", nn.Unflatten(1, image))]),
    )


def conv(
    image: tuple[int, int, int], features: int, latent: int, channels: Sequence[int] = (32, 64, 128, 256)
) -> Network:
    """Convolutional net: each entry of `channels` halves the picture with a 4x4 stride-2 convolution and ReLU.

    Raises LatentdialError where the side of the picture is no multiple of 2**len(channels).

    >>> sorted(conv((3, 64, 64), 64, 32).encoder.state_dict())[:2]
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
    return Network(
        encoder=_numbered([("layout", ChannelsLast())], [*down, nn.Flatten(), nn.Linear(prod(inner), features)], []),
        decoder=nn.Sequential(nn.Linear(latent, prod(inner)), unflatten, *up),
    )


def _linears(sizes: Sequence[int]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return layers[:-1]


def _numbered(
    first: list[tuple[str, nn.Module]], layers: list[nn.Module], last: list[tuple[str, nn.Module]]
) -> nn.Sequential:
    """A Sequential whose `layers` count from 0 whatever stands before and behind them."""
    return nn.Sequential(OrderedDict([*first, *((str(i), layer) for i, layer in enumerate(layers)), *last]))
