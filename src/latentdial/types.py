"""Frozen values that cross rooms.

Legend of shapes: K samples of the code, B images, D latent dimensions, C channels, H rows, W columns.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor


class Density(Protocol):
    """A posterior or a prior: the log density of codes (K, B, D) in nats, (K, B); None where there is none."""

    def log_prob(self, z: Tensor) -> Tensor | None: ...


@dataclass(frozen=True)
class Pass:
    """One forward pass of a model over B images with K samples each; nothing is reduced.

    The densities of the codes are computed when they are first asked for: an objective with an analytic KL never is
    in need of them, and for a small net they cost as much as a layer.
    """

    x: Tensor  # (B, C, H, W)  the images, in the range of the likelihood
    z: Tensor  # (K, B, D)     samples of the code
    log_px: Tensor  # (K, B)   log p(x|z) in nats, summed over pixels
    kl: dict[str, Tensor] = field(default_factory=dict)  # analytic KL in nats, one entry a level, (B, D)
    posterior: Density | None = None
    prior: Density | None = None

    @cached_property
    def log_pz(self) -> Tensor | None:
        """log p(z) in nats, (K, B); None where there is no prior (AE)."""
        return None if self.prior is None else self.prior.log_prob(self.z)

    @cached_property
    def log_qz(self) -> Tensor | None:
        """log q(z|x) in nats, (K, B); None where the posterior is a point (AE)."""
        return None if self.posterior is None else self.posterior.log_prob(self.z)
