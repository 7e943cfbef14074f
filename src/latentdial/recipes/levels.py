"""Variational autoencoders whose code has levels: the higher say where the lower are likely."""

from __future__ import annotations

from collections.abc import Sequence

from latentdial.model import Autoencoder
from latentdial.parts.bottlenecks import Gaussian
from latentdial.parts.ladder import Ladder, TwoLevels, rates
from latentdial.parts.likelihoods import Gaussian as GaussianLikelihood
from latentdial.parts.objectives import kl, nll
from latentdial.parts.priors import StandardNormal
from latentdial.recipes.registry import Recipe, recipe
from latentdial.recipes.shared import Net, network
from latentdial.types import ImageShape


@recipe
def two_level_vae(
    image: ImageShape,
    latent: int = 32,
    above: int = 8,
    net: Net = "conv",
    layers: Sequence[int] = (),
    hidden: int = 128,
    beta: float = 1.0,
) -> Recipe:
    """VAE of two stochastic levels, read from below (arXiv 1401.4082, section 2; 1509.00519, section 2)."""
    code = TwoLevels(Gaussian(latent), above, hidden)
    nets = network(image, code, net, layers)
    return Recipe(Autoencoder(nets, code, GaussianLikelihood(), StandardNormal(latent + above)), [nll(), kl(beta)])


@recipe
def ladder_vae(
    image: ImageShape,
    latent: int = 32,
    above: Sequence[int] = (8, 16),
    net: Net = "conv",
    layers: Sequence[int] = (),
    hidden: int = 128,
    beta: float = 1.0,
) -> Recipe:
    """Ladder VAE: levels `above` the lowest, the highest first, read from above (arXiv 1602.02282, eq. 18, 19)."""
    code = Ladder(Gaussian(latent), above, hidden)
    nets = network(image, code, net, layers)
    model = Autoencoder(nets, code, GaussianLikelihood(), StandardNormal(code.code[0]))
    return Recipe(model, [nll(), kl(beta), *rates(code.sizes)])
