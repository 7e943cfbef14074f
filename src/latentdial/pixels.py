"""uint8 pixels at rest <-> float pictures in the net."""

from __future__ import annotations

import torch
from torch import Tensor

Range = tuple[float, float]


def to_float(pixels: Tensor, value_range: Range) -> Tensor:
    """uint8 (B, H, W, C) -> contiguous float32 (B, C, H, W) in `value_range`."""
    low, high = value_range
    x = pixels.permute(0, 3, 1, 2).contiguous().to(torch.float32).mul_((high - low) / 255)
    return x.add_(low) if low else x


def to_levels(pictures: Tensor, value_range: Range) -> Tensor:
    """Float pictures (B, C, H, W) in `value_range` -> float32 levels from 0 to 255, (B, H, W, C), not rounded."""
    low, high = value_range
    return pictures.float().sub(low).mul(255 / (high - low)).clamp(0, 255).permute(0, 2, 3, 1)
