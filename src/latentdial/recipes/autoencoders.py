"""Autoencoders: a point for every picture, and nothing that says where codes may lie."""

from __future__ import annotations

from collections.abc import Sequence

from latentdial.model import Autoencoder
from latentdial.parts.bottlenecks import Deterministic
from latentdial.parts.likelihoods import Gaussian as GaussianLikelihood
from latentdial.parts.networks import conv, mlp
from latentdial.parts.objectives import nll
from latentdial.recipes.registry import Recipe, recipe
from latentdial.types import ImageShape


@recipe
def fcn_ae(image: ImageShape, latent: int = 128, widths: Sequence[int] = (2048, 512)) -> Recipe:
    """Fully connected autoencoder with a Tanh picture and squared error (Hinton & Salakhutdinov, Science 2006)."""
    code = Deterministic(latent)
    return Recipe(Autoencoder(mlp(image, code.features, latent, widths), code, GaussianLikelihood(1.0)), [nll()])


@recipe
def conv_ae(image: ImageShape, latent: int = 128, channels: Sequence[int] = (32, 64, 128, 256)) -> Recipe:
    """Convolutional autoencoder with a Tanh picture and squared error (Masci et al., ICANN 2011)."""
    code = Deterministic(latent)
    return Recipe(Autoencoder(conv(image, code.features, latent, channels), code, GaussianLikelihood(1.0)), [nll()])
