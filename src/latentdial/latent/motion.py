"""Where the parts of a picture went: dense optical flow between two pictures of one scene, many pairs at once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

SIDES, ROUNDS = (16, 32, 64), (3, 2, 2)  # pixels of the smaller pictures, and steps on each; motion needs no larger one
WINDOW, SMOOTH = 5.0, 3.0  # pixels there: about a point that moves as one, and within which motion hardly changes
LIGHT = 0.15  # of the side, over which brightness and contrast are taken out
FLOOR = 0.02  # contrast, in [0, 1], below which there is little to follow
RIDGE = 0.02  # added to squared slopes
OUTLIER = 0.25  # squared error at which a pixel counts by half
MOST_GAIN = 2.0  # of contrast
FARTHEST = 0.12  # of the side


def flow(before: Tensor, after: Tensor) -> Tensor:
    """Where every pixel of `after` comes from: (N, 2, H, W), x first, with after(p) near before(p - flow(p)).

    Pictures (N, C, H, W) in [0, 1] are compared by their structure, so that what becomes darker does not seem to move.
    Motion is smooth and at most an eighth of the side. Lucas & Kanade's steps, repeated from a coarse picture to a fine
    one (Bouguet, Intel 2001; by convolution: Le Besnerais & Champagnat, ICIP 2005), outliers weighed down.

    >>> x = torch.linspace(-3, 3, 32)
    >>> blob = (-x.square() - x[:, None].square()).exp()[None, None]
    >>> flow(blob, blob.roll(2, 3))[0, :, 16, 18].round().tolist()
    [2.0, 0.0]
    """
    found = before.new_zeros(len(before), 2, 1, 1)
    full = list(before.shape[2:])
    for side, rounds in zip(SIDES, ROUNDS, strict=True):
        size = [min(side, most) for most in full]
        then, now = (_structure(F.interpolate(x, size, mode="area")) for x in (before, after))
        found = _resized(found, size)
        for _ in range(rounds):
            found = blur(found + _step(warp(then, found), now), (SMOOTH, SMOOTH))
            found = found.clamp(-FARTHEST * max(size), FARTHEST * max(size))
    return _resized(found, full)


def warp(pictures: Tensor, motion: Tensor, mode: str = "bilinear") -> Tensor:
    """Pictures (N, C, H, W) moved by (N, 2, H, W) pixels, their border repeated."""
    height, width = pictures.shape[2:]
    x = torch.arange(width) - motion[:, 0]
    y = torch.arange(height)[:, None] - motion[:, 1]
    grid = torch.stack([2 * x / max(width - 1, 1) - 1, 2 * y / max(height - 1, 1) - 1], -1)
    return F.grid_sample(pictures, grid, mode=mode, padding_mode="border", align_corners=True)


def blur(pictures: Tensor, sd: tuple[float, float]) -> Tensor:
    """Gaussian means of pictures (N, C, H, W) over so many pixels down and across, of what lies within the picture."""
    height, width = pictures.shape[2:]
    return _weights(height, sd[0]) @ pictures @ _weights(width, sd[1]).T


@lru_cache(maxsize=64)
def _weights(count: int, sd: float) -> Tensor:
    place = torch.arange(count, dtype=torch.float32)
    weights = torch.exp(-0.5 * ((place[:, None] - place) / sd).square())
    return weights / weights.sum(1, keepdim=True)


def _structure(pictures: Tensor) -> Tensor:
    """Pictures with local means of zero and local contrasts of one, where there is contrast."""
    sd = tuple(1 + LIGHT * side for side in pictures.shape[2:])
    mean = blur(pictures, sd)  # type: ignore[arg-type]
    variance = (blur(pictures.square(), sd) - mean.square()).mean(1, keepdim=True)  # type: ignore[arg-type]
    return (pictures - mean) / (variance.clamp(min=0).sqrt() + FLOOR)


def _resized(motion: Tensor, size: Sequence[int]) -> Tensor:
    """Motion of pictures of another size, in their pixels."""
    scale = motion.new_tensor([size[1] / motion.shape[3], size[0] / motion.shape[2]])
    return F.interpolate(motion, list(size), mode="bilinear") * scale[:, None, None]


def _step(moved: Tensor, now: Tensor) -> Tensor:
    """How much further (N, 2, H, W) each point of `moved` has to go, by least squares in a window about it.

    `moved` is brought to the contrast of `now` there first.
    """
    both, own = blur(torch.stack([moved * now, moved * moved], 1).mean(2), (WINDOW, WINDOW)).unbind(1)
    moved = moved * ((both + RIDGE) / (own + RIDGE)).clamp(0, MOST_GAIN)[:, None]
    (gx, gy), error = _slopes((moved + now) / 2), moved - now
    trust = OUTLIER / (OUTLIER + error.square().mean(1, keepdim=True))
    products = torch.stack([gx * gx, gx * gy, gy * gy, gx * error, gy * error], 1).mean(2) * trust
    xx, xy, yy, xe, ye = blur(products, (WINDOW, WINDOW)).unbind(1)
    xx, yy = xx + RIDGE, yy + RIDGE
    step = torch.stack([yy * xe - xy * ye, xx * ye - xy * xe], 1)
    return (step / (xx * yy - xy * xy)[:, None]).clamp(-1, 1)


def _slopes(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Central differences across and down."""
    wide = F.pad(pictures, (1, 1, 1, 1), mode="replicate")
    return (wide[:, :, 1:-1, 2:] - wide[:, :, 1:-1, :-2]) / 2, (wide[:, :, 2:, 1:-1] - wide[:, :, :-2, 1:-1]) / 2
