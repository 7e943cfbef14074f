"""Autoencoders: a point for every picture, and nothing that says where codes may lie."""

from __future__ import annotations

from collections.abc import Sequence

from latentdial.model import Autoencoder
from latentdial.parts.bottlenecks import Deterministic
from latentdial.parts.likelihoods import Gaussian as GaussianLikelihood
from latentdial.parts.networks import conv, linear, mlp
from latentdial.parts.objectives import nll
from latentdial.parts.residual import residual
from latentdial.recipes.registry import Recipe, recipe
from latentdial.types import ImageShape


@recipe
def pca(image: ImageShape, latent: int = 128) -> Recipe:
    """Principal components: the linear autoencoder in closed form (Baldi & Hornik, Neural Networks 1989)."""
    code, likelihood = Deterministic(latent), GaussianLikelihood(1.0, squash=False)
    return Recipe(Autoencoder(linear(image, code.features, latent), code, likelihood), [nll()], steps=False)


@recipe
def fcn_ae(image: ImageShape, latent: int = 128, widths: Sequence[int] = (2048, 512)) -> Recipe:
    """Fully connected autoencoder with a Tanh picture and squared error (Hinton & Salakhutdinov, Science 2006)."""
    code = Deterministic(latent)
    return Recipe(Autoencoder(mlp(image, code.features, latent, widths), code, GaussianLikelihood(1.0)), [nll()])


@recipe
def conv_ae(
    image: ImageShape, latent: int = 128, channels: Sequence[int] = (32, 64, 128, 256), shortcut: bool = True
) -> Recipe:
    """Convolutional autoencoder with a Tanh picture and squared error (Masci et al., ICANN 2011)."""
    code = Deterministic(latent)
    net = conv(image, code.features, latent, channels, shortcut)
    return Recipe(Autoencoder(net, code, GaussianLikelihood(1.0)), [nll()], lr=1e-3)


@recipe
def res_ae(image: ImageShape, latent: int = 128, width: int = 64, blocks: Sequence[int] = (1, 2)) -> Recipe:
    """Residual convolutional autoencoder beside a linear one (arXiv 1512.03385; space to channel: arXiv 2410.10733)."""
    code = Deterministic(latent)
    net = residual(image, code.features, latent, width, blocks)
    return Recipe(Autoencoder(net, code, GaussianLikelihood(1.0)), [nll()], lr=1e-3)
