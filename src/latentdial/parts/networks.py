"""Encoder and decoder pairs.

Every builder returns a `Network`: the encoder maps (B, C, H, W) to (B, features), the decoder maps (B, D) to
(B, C, H, W) without a final non-linearity, which belongs to the likelihood.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise
from math import prod

from torch import nn

from latentdial.layers import ChannelsLast, Dense, Network, Shortcut, halved


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
    outputs: int | None = None,
) -> Network:
    """Convolutional net: each entry of `channels` halves the picture with a 4x4 stride-2 convolution and ReLU.

    A `shortcut` is a linear map beside each net, from which training can start. `outputs` is how many numbers the
    likelihood needs of every pixel, where these are not its channels.
    Raises LatentdialError where the side of the picture is no multiple of 2**len(channels).

    >>> sorted(conv((3, 64, 64), 64, 32, shortcut=False).encoder.state_dict())[:2]
    ['0.bias', '0.weight']
    """
    colours = image[0]
    inner = (channels[-1], *halved(image, channels))
    down: list[nn.Module] = []
    for before, after in zip([colours, *channels], channels, strict=False):
        down += [nn.Conv2d(before, after, 4, stride=2, padding=1), nn.ReLU()]
    up: list[nn.Module] = []
    for before, after in zip(channels[::-1], [*channels[-2::-1], outputs or colours], strict=True):
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
