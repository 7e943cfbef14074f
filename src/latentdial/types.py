"""Frozen values that cross rooms.

Legend of shapes: K samples of the code, B images, D latent dimensions, C channels, H rows, W columns.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Pass:
    """One forward pass of a model over B images with K samples each; nothing is reduced."""

    x: Tensor  # (B, C, H, W)  the images, in the range of the likelihood
    z: Tensor  # (K, B, D)     samples of the code
    log_px: Tensor  # (K, B)   log p(x|z) in nats, summed over pixels
    log_pz: Tensor | None = None  # (K, B)   None where there is no density (AE)
    log_qz: Tensor | None = None  # (K, B)
    kl: dict[str, Tensor] = field(default_factory=dict)  # analytic KL in nats, one entry a level, (B, D)
