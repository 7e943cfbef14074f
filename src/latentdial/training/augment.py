"""Variations of the training pictures, drawn anew at every step, on the batch where it is."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from latentdial.config import AugmentSettings
from latentdial.pixels import Range

GREY = (0.299, 0.587, 0.114)  # ITU-R BT.601 luma


def augment(x: Tensor, settings: AugmentSettings, value_range: Range, generator: torch.Generator) -> Tensor:
    """Vary float pictures (B, C, H, W) in `value_range` as the settings say; with none set they come back as they are.

    >>> x = torch.rand(2, 3, 4, 4)
    >>> augment(x, AugmentSettings(), (0.0, 1.0), torch.Generator()) is x
    True
    """
    if settings.flip:
        x = torch.where(_uniform(len(x), generator) < 0.5, x.flip(-1), x)
    if settings.crop:
        moves = torch.randint(-settings.crop, settings.crop + 1, (2, len(x)), generator=generator, device=x.device)
        x = moved(x, moves, settings.crop)
    if settings.jitter or settings.noise:
        low, high = value_range
        levels = (x - low) / (high - low)
        if settings.jitter:
            levels = _jitter(levels, settings.jitter, generator)
        if settings.noise:
            drawn = torch.randn(levels.shape, generator=generator, device=levels.device)
            levels = (levels + settings.noise / 255 * drawn).clamp(0, 1)
        x = levels * (high - low) + low
    return x


def moved(x: Tensor, moves: Tensor, most: int) -> Tensor:
    """Every picture (B, C, H, W) moved by whole pixels (2, B), at `most` so many, up and left; its border mirrored."""
    batch, _, height, width = x.shape
    padded = F.pad(x, (most,) * 4, mode="reflect").permute(0, 2, 3, 1)
    rows = moves[0, :, None] + most + torch.arange(height, device=x.device)
    columns = moves[1, :, None] + most + torch.arange(width, device=x.device)
    which = torch.arange(batch, device=x.device)[:, None, None]
    return padded[which, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous()


def _jitter(levels: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Brightness, contrast and saturation scaled by 1 +- share, for each picture on its own."""
    brightness, contrast, saturation = (1 + share * (2 * _uniform(len(levels), generator) - 1) for _ in range(3))
    levels = levels * brightness
    levels = (levels - levels.mean((1, 2, 3), keepdim=True)) * contrast + levels.mean((1, 2, 3), keepdim=True)
    if levels.shape[1] == 3:
        grey = (levels * levels.new_tensor(GREY)[:, None, None]).sum(1, keepdim=True)
        levels = grey + saturation * (levels - grey)
    return levels.clamp(0, 1)


def _uniform(n: int, generator: torch.Generator) -> Tensor:
    return torch.rand(n, 1, 1, 1, generator=generator, device=generator.device)
