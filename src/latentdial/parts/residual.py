"""Residual convolutional nets beside a linear map: they add to a linear codec what it cannot say.

Pictures are taken apart into patches and patches into groups of four (space to channel, as in DC-AE, arXiv 2410.10733),
so that any number of channels and any size in whole patches fit, and most of the work is the same for every size.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from latentdial.errors import LatentdialError
from latentdial.layers import ChannelsLast, Network, Shortcut, Startable, silence
from latentdial.types import Affine, ImageShape

GRID = 16  # patches a side of a large picture
SMALL = 0.1  # of the usual weights, for what is added at first
GROUPS = 8  # of channels that are normalised together


class SpaceToChannel(nn.Module):
    """Every square of `side` pixels becomes one with its values as channels, laid out channels last.

    >>> SpaceToChannel(2)(torch.zeros(1, 3, 8, 8)).shape
    torch.Size([1, 12, 4, 4])
    """

    def __init__(self, side: int):
        super().__init__()
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        side, (height, width) = self.side, x.shape[2:]
        split = x.unflatten(3, (width // side, side)).unflatten(2, (height // side, side))
        return split.permute(0, 2, 4, 3, 5, 1).flatten(3).permute(0, 3, 1, 2)


class ChannelToSpace(nn.Module):
    """What `SpaceToChannel` does, undone."""

    def __init__(self, side: int):
        super().__init__()
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        split = x.permute(0, 2, 3, 1).unflatten(3, (self.side, self.side, -1))
        return split.permute(0, 1, 3, 2, 4, 5).flatten(3, 4).flatten(1, 2).permute(0, 3, 1, 2)


class Block(nn.Module):
    """Two 3x3 convolutions whose result, little at first, is added to the input (arXiv 1512.03385)."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, channels)
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        with torch.no_grad():
            self.second.weight.mul_(SMALL)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.silu(self.first(self.norm(x))))


class Refined(Startable):
    """A linear map of codes (B, D) to pictures, and what a net that sees both the code and that picture adds to it."""

    def __init__(self, image: tuple[int, int, int], latent: int, channels: int, blocks: Sequence[int], patch: int):
        super().__init__()
        colours, height, width = image
        wide, inner = 2 * channels, (2 * channels, height // (2 * patch), width // (2 * patch))
        values = colours * patch**2
        self.linear, self.image = nn.Linear(latent, prod(image)), image
        self.code = nn.Sequential(nn.Linear(latent, prod(inner)), nn.Unflatten(1, inner), ChannelsLast())
        self.coarse = nn.Sequential(SpaceToChannel(2 * patch), nn.Conv2d(4 * values, wide, 1))
        self.fine = nn.Sequential(SpaceToChannel(patch), nn.Conv2d(values, channels, 1))
        self.inner = nn.Sequential(*_blocks(wide, blocks[1]), nn.Conv2d(wide, 4 * channels, 1), ChannelToSpace(2))
        last = nn.Conv2d(channels, values, 3, padding=1)
        self.outer = nn.Sequential(*_blocks(channels, blocks[0]), *_finish(channels), last, ChannelToSpace(patch))

    def forward(self, z: Tensor) -> Tensor:
        picture = self.linear(z).unflatten(1, self.image)
        seen = picture.tanh()
        inner = self.inner(self.code(z) + self.coarse(seen))
        return picture + self.outer(inner + self.fine(seen))

    @torch.no_grad()
    def become(self, wanted: Affine) -> None:
        self.linear.weight.copy_(wanted.weight)
        self.linear.bias.copy_(wanted.bias)
        silence(self.outer)


def residual(
    image: tuple[int, int, int], features: int, latent: int, width: int = 64, blocks: Sequence[int] = (1, 2)
) -> Network:
    """Residual net: `width` channels over the patches, twice as many over groups of four, so many `blocks` in each.

    The patch is a sixteenth of the picture's side. Raises LatentdialError where two patches do not divide the side, or
    channels do not divide into groups.

    >>> residual((3, 64, 64), 128, 128).decoder(torch.zeros(2, 128)).shape
    torch.Size([2, 3, 64, 64])
    """
    colours, height, across = image
    patch = max(1, height // GRID)
    if height % (2 * patch) or across % (2 * patch):
        raise LatentdialError(
            f"this net takes sides that are a multiple of {2 * patch}, and {height} is none: "
            f"use --size {max(1, round(height / (2 * patch))) * 2 * patch}"
        )
    if width % GROUPS:
        raise LatentdialError(f"width must be a multiple of {GROUPS}: use {max(1, round(width / GROUPS)) * GROUPS}")
    if len(blocks) != 2:
        raise LatentdialError("blocks takes two numbers, of the fine and of the coarse grid: use blocks=1,2")
    inner = (2 * width) * (height // (2 * patch)) * (across // (2 * patch))
    encoder = nn.Sequential(
        ChannelsLast(),
        SpaceToChannel(patch),
        nn.Conv2d(colours * patch**2, width, 1),
        *_blocks(width, blocks[0]),
        SpaceToChannel(2),
        nn.Conv2d(4 * width, 2 * width, 1),
        *_blocks(2 * width, blocks[1]),
        *_finish(2 * width),
        nn.Flatten(),
        nn.Linear(inner, features),
    )
    return Network(Shortcut(encoder, prod(image), features), Refined(image, latent, width, blocks, patch))


def grid_of(image: ImageShape) -> tuple[int, int]:
    """The rows and columns of the grid that `spatial` makes of pictures (C, H, W): 8 x 8 of 64 pixels and of 128."""
    step = 2 * max(1, image[1] // GRID)
    if image[1] % step or image[2] % step:
        raise LatentdialError(
            f"this net takes sides that are a multiple of {step}, and {image[1]} is none: "
            f"use --size {max(1, round(image[1] / step)) * step}"
        )
    return image[1] // step, image[2] // step


def spatial(image: ImageShape, features: int, code: int, width: int = 48, blocks: Sequence[int] = (1, 2)) -> Network:
    """Residual net whose code keeps the places of the picture: (C, H, W) of `features` and `code` channels on a grid.

    `width` channels over the patches, twice as many over groups of four, and so many `blocks` in each.

    >>> spatial((3, 64, 64), 4, 4).encoder(torch.zeros(2, 3, 64, 64)).shape
    torch.Size([2, 4, 8, 8])
    """
    patch, wide = image[1] // grid_of(image)[0] // 2, 2 * width
    values = image[0] * patch**2
    if width % GROUPS or len(blocks) != 2:
        raise LatentdialError(f"width must be a multiple of {GROUPS} and blocks two numbers: use width=48 blocks=1,2")
    encoder = nn.Sequential(
        ChannelsLast(),
        nn.PixelUnshuffle(patch),
        nn.Conv2d(values, width, 1),
        *_blocks(width, blocks[0]),
        nn.PixelUnshuffle(2),
        nn.Conv2d(4 * width, wide, 1),
        *_blocks(wide, blocks[1]),
        *_finish(wide),
        nn.Conv2d(wide, features, 1),
    )
    decoder = nn.Sequential(
        ChannelsLast(),
        nn.Conv2d(code, wide, 3, padding=1),
        *_blocks(wide, blocks[1]),
        nn.Conv2d(wide, 4 * width, 1),
        nn.PixelShuffle(2),
        *_blocks(width, blocks[0]),
        *_finish(width),
        nn.Conv2d(width, values, 3, padding=1),
        nn.PixelShuffle(patch),
    )
    return Network(encoder, decoder)


def _blocks(channels: int, count: int) -> list[nn.Module]:
    return [Block(channels) for _ in range(count)]


def _finish(channels: int) -> list[nn.Module]:
    return [nn.GroupNorm(GROUPS, channels), nn.SiLU()]
