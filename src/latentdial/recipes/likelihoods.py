"""Variational autoencoders with other likelihoods than a Gaussian."""

from __future__ import annotations

from collections.abc import Sequence

from latentdial.model import Autoencoder
from latentdial.parts.bottlenecks import Gaussian
from latentdial.parts.likelihoods import Laplace
from latentdial.parts.logistic import LogisticMixture
from latentdial.parts.networks import conv
from latentdial.parts.objectives import kl, nll
from latentdial.parts.priors import StandardNormal
from latentdial.recipes.registry import Recipe, recipe
from latentdial.recipes.shared import Net, network
from latentdial.types import ImageShape


@recipe
def laplace_vae(
    image: ImageShape, latent: int = 128, net: Net = "conv", layers: Sequence[int] = (), beta: float = 1.0
) -> Recipe:
    """VAE with a Laplace likelihood, its scale learned: absolute errors (arXiv 1312.6114, eq. 3; 2006.13202)."""
    code, prior = Gaussian(latent), StandardNormal(latent)
    return Recipe(Autoencoder(network(image, code, net, layers), code, Laplace(), prior), [nll(), kl(beta)])


@recipe
def logistic_vae(
    image: ImageShape,
    latent: int = 64,
    channels: Sequence[int] = (32, 64, 128, 256),
    components: int = 5,
    beta: float = 1.0,
) -> Recipe:
    """VAE whose likelihood is a probability of levels: a mixture of logistics (arXiv 1701.05517, section 2.1)."""
    code, likelihood = Gaussian(latent), LogisticMixture(image[0], components)
    net = conv(image, code.features, latent, channels, outputs=likelihood.outputs)
    return Recipe(Autoencoder(net, code, likelihood, StandardNormal(latent)), [nll(), kl(beta)])
