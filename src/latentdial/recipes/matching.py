"""Autoencoders whose codes as a whole, not one by one, are drawn to a prior."""

from __future__ import annotations

from collections.abc import Sequence

from latentdial.model import Autoencoder
from latentdial.parts.aggregate import mmd, multiquadratic, rbf
from latentdial.parts.bottlenecks import Deterministic
from latentdial.parts.likelihoods import Gaussian as GaussianLikelihood
from latentdial.parts.objectives import kl, nll
from latentdial.parts.priors import StandardNormal
from latentdial.recipes.registry import Recipe, recipe
from latentdial.recipes.shared import Net, network, vae
from latentdial.types import ImageShape


@recipe
def info_vae(
    image: ImageShape,
    latent: int = 32,
    net: Net = "conv",
    layers: Sequence[int] = (),
    alpha: float = 0.0,
    strength: float = 1000.0,
) -> Recipe:
    """InfoVAE: 1 - alpha of the KL and alpha + strength - 1 of an MMD to the prior (arXiv 1706.02262, eq. 6)."""
    matching = mmd(latent, rbf(latent), alpha + strength - 1)
    return Recipe(vae(image, latent, net, layers), [nll(), kl(1 - alpha), matching])


@recipe
def wae_mmd(
    image: ImageShape, latent: int = 64, net: Net = "conv", layers: Sequence[int] = (), strength: float = 1000.0
) -> Recipe:
    """Wasserstein autoencoder: a point a picture, the MMD of all to the prior (arXiv 1711.01558, algorithm 2)."""
    code, prior = Deterministic(latent), StandardNormal(latent)
    model = Autoencoder(network(image, code, net, layers), code, GaussianLikelihood(1.0), prior)
    return Recipe(model, [nll(), mmd(latent, multiquadratic(latent), strength)])
