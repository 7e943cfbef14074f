"""Variational autoencoders trained by tighter bounds of the likelihood."""

from __future__ import annotations

from collections.abc import Sequence

from latentdial.parts.bounds import importance
from latentdial.parts.likelihoods import Binarise
from latentdial.recipes.registry import Recipe, recipe
from latentdial.recipes.shared import Net, binary, vae
from latentdial.types import ImageShape


@recipe
def iwae(
    image: ImageShape,
    latent: int = 50,
    net: Net = "fcn",
    layers: Sequence[int] = (),
    k: int = 5,
    groups: int = 1,
    elbo: float = 0.0,
    dreg: bool = True,
) -> Recipe:
    """Importance-weighted VAE (arXiv 1509.00519, eq. 8); groups above 1: MIWAE, elbo: CIWAE (arXiv 1802.04537)."""
    return Recipe(vae(image, latent, net, layers), [importance(k, elbo, dreg)], samples=k * groups)


@recipe
def binary_iwae(
    image: ImageShape,
    latent: int = 50,
    widths: Sequence[int] = (200, 200),
    k: int = 5,
    dreg: bool = False,
    binarise: Binarise = "none",
) -> Recipe:
    """Importance-weighted VAE for black and white pictures, Bernoulli likelihood (arXiv 1509.00519, section 5)."""
    return Recipe(binary(image, latent, widths, binarise), [importance(k, dreg=dreg)], samples=k)
