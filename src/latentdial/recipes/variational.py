"""Variational autoencoders: a Gaussian for every picture, and a standard normal prior."""

from __future__ import annotations

from collections.abc import Sequence

from latentdial.model import Autoencoder
from latentdial.parts.bottlenecks import Gaussian
from latentdial.parts.likelihoods import Binarise
from latentdial.parts.likelihoods import Gaussian as GaussianLikelihood
from latentdial.parts.networks import conv, mlp
from latentdial.parts.objectives import kl, nll
from latentdial.parts.priors import StandardNormal
from latentdial.parts.residual import residual
from latentdial.recipes.registry import Recipe, recipe
from latentdial.recipes.shared import binary
from latentdial.types import ImageShape


@recipe
def fcn_vae(
    image: ImageShape, latent: int = 128, widths: Sequence[int] = (2048, 512), beta: float = 1.0, free_bits: float = 0.0
) -> Recipe:
    """Fully connected VAE with a learned sigma (arXiv 1312.6114, eq. 3; sigma: arXiv 2006.13202)."""
    code, prior = Gaussian(latent), StandardNormal(latent)
    net = mlp(image, code.features, latent, widths)
    return Recipe(Autoencoder(net, code, GaussianLikelihood(), prior), [nll(), kl(beta, free_bits)])


@recipe
def conv_vae(
    image: ImageShape,
    latent: int = 128,
    channels: Sequence[int] = (32, 64, 128, 256),
    shortcut: bool = True,
    beta: float = 1.0,
    free_bits: float = 0.0,
    sigma: float = 0.0,
) -> Recipe:
    """Convolutional VAE with a learned sigma, or the one given (arXiv 1312.6114, eq. 3; sigma: arXiv 2006.13202)."""
    code, prior = Gaussian(latent), StandardNormal(latent)
    net = conv(image, code.features, latent, channels, shortcut)
    return Recipe(
        Autoencoder(net, code, GaussianLikelihood(sigma or None), prior), [nll(), kl(beta, free_bits)], lr=1e-3
    )


@recipe
def res_vae(
    image: ImageShape,
    latent: int = 128,
    width: int = 64,
    blocks: Sequence[int] = (1, 2),
    beta: float = 1.0,
    free_bits: float = 0.0,
) -> Recipe:
    """Residual convolutional VAE beside a linear one (arXiv 1312.6114, eq. 3; 1512.03385; 2410.10733)."""
    code, prior = Gaussian(latent), StandardNormal(latent)
    net = residual(image, code.features, latent, width, blocks)
    return Recipe(Autoencoder(net, code, GaussianLikelihood(), prior), [nll(), kl(beta, free_bits)], lr=1e-3)


@recipe
def binary_vae(
    image: ImageShape,
    latent: int = 20,
    widths: Sequence[int] = (400,),
    beta: float = 1.0,
    free_bits: float = 0.0,
    binarise: Binarise = "none",
    k: int = 1,
) -> Recipe:
    """Fully connected VAE for black and white pictures, Bernoulli likelihood (arXiv 1312.6114, section 5)."""
    return Recipe(binary(image, latent, widths, binarise), [nll(), kl(beta, free_bits)], samples=k)
