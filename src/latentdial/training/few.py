"""What few pictures stand for: copies of them, moved and blurred as far as it serves pictures that were left out.

The covariance of 300 pictures takes every detail to stay where it was seen, and has at most 300 directions. That of
copies moved by some pixels is nearer to that of all such pictures, and its leading directions in blurred copies leave
out the noise of the few.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from latentdial.training.augment import moved
from latentdial.training.feed import Feed

FEW = 1_500  # pictures, above which they stand for themselves
COPIES, TRIED = 1_500, 500  # at least, to start from and to choose a width by
WIDTHS = (0.0, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)  # pixels, as a standard deviation
FARTHEST = 3  # widths
EVERY = 5  # picture is left out
TELLS = 0.95  # of what as many directions at random would leave of others: of noise nothing leaves less


@dataclass(frozen=True)
class Varied:
    """Uint8 pictures (N, H, W, C) to start from, and the pixels they are blurred by to find their directions."""

    pixels: Feed
    width: float = 0.0

    @property
    def most(self) -> int:
        """How many pixels they are moved by at most, up to which they may be moved in training too."""
        return round(FARTHEST * self.width)


def vary(pixels: Feed, flip: bool, error: Callable[[Varied, Tensor], tuple[float, float]]) -> Varied:
    """Copies of few pictures, mirrored too if they may `flip`, that serve others best; many come back as they are.

    Every fifth picture is left out, and copies of the rest are moved and blurred further and further until the `error`
    of the fifth rises. That is the squared error and the one of directions at random: pictures of noise, which have
    nothing in common, come back as they are as well. The same pictures give the same copies.
    """
    if not EVERY <= len(pixels) <= FEW:
        return Varied(pixels)
    few = pixels[:]
    left_out = torch.arange(len(few), device=few.device) % EVERY == EVERY - 1
    best, least, tells = 0.0, inf, False
    for width in (one for one in WIDTHS if Varied(few, one).most < min(few.shape[1:3])):
        wrong, at_random = error(_copies(few[~left_out], width, flip, TRIED), few[left_out])
        if wrong >= least:
            break
        best, least, tells = width, wrong, wrong < TELLS * at_random
    return _copies(few, best, flip, COPIES) if tells else Varied(pixels)


def blurred(x: Tensor, width: float) -> Tensor:
    """Float pictures (B, C, H, W) under a Gaussian of so many pixels."""
    return torch.from_numpy(gaussian_filter(x.cpu().numpy(), (0, 0, width, width), mode="nearest")).to(x.device)


def _copies(pixels: Tensor, width: float, flip: bool, least: int) -> Varied:
    """The pictures, mirrored too if they may flip, moved at random as often as makes so many of them."""
    x = pixels.movedim(-1, 1)
    x = torch.cat([x, x.flip(-1)]) if flip else x
    if width:
        x = x.repeat(-(-least // len(x)), 1, 1, 1)
        most = Varied(pixels, width).most
        moves = width * torch.randn(2, len(x), generator=torch.Generator().manual_seed(0))
        x = moved(x, moves.round().long().clamp(-most, most).to(x.device), most)
    return Varied(x.movedim(1, -1), width)
