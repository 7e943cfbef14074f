"""Disentanglement: variational autoencoders whose objectives ask for independent dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from latentdial.parts.aggregate import dip, total_correlation
from latentdial.parts.objectives import kl, nll
from latentdial.recipes.registry import Recipe, recipe
from latentdial.recipes.shared import Net, vae
from latentdial.types import ImageShape


@recipe
def beta_tcvae(
    image: ImageShape, latent: int = 10, net: Net = "conv", layers: Sequence[int] = (), beta: float = 6.0
) -> Recipe:
    """beta-TCVAE: the total correlation weighs beta, all else of the KL 1 (arXiv 1802.04942, eq. 4); 1 is the VAE."""
    return Recipe(vae(image, latent, net, layers), [nll(), kl(), total_correlation(beta - 1)])


@recipe
def dip_vae(
    image: ImageShape,
    latent: int = 10,
    net: Net = "conv",
    layers: Sequence[int] = (),
    kind: Literal["i", "ii"] = "ii",
    off: float = 10.0,
    on: float = 10.0,
) -> Recipe:
    """DIP-VAE I or II: the covariance of the codes is drawn to the identity (arXiv 1711.00848, eq. 6 and 7)."""
    return Recipe(vae(image, latent, net, layers), [nll(), kl(), dip(kind, off, on)])
