"""Autoencoders that something other than a prior keeps from copying."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from latentdial.model import Autoencoder
from latentdial.parts.bottlenecks import Deterministic, TopK
from latentdial.parts.corruptions import Corruption, Mask, Noise
from latentdial.parts.likelihoods import Gaussian as GaussianLikelihood
from latentdial.parts.objectives import nll
from latentdial.parts.penalties import contraction, flatness, size, weights
from latentdial.posteriors import Bottleneck
from latentdial.recipes.registry import Recipe, recipe
from latentdial.recipes.shared import Net, network
from latentdial.types import ImageShape


def _plain(
    image: ImageShape, code: Bottleneck, net: Net, layers: Sequence[int], corruption: Corruption | None = None
) -> Autoencoder:
    return Autoencoder(network(image, code, net, layers), code, GaussianLikelihood(1.0), corruption=corruption)


@recipe
def rae_l2(
    image: ImageShape,
    latent: int = 64,
    net: Net = "conv",
    layers: Sequence[int] = (),
    beta: float = 1e-2,
    decay: float = 1e-3,
) -> Recipe:
    """Regularised autoencoder: short codes and small weights of the decoder (arXiv 1903.12436, eq. 9, L2)."""
    model = _plain(image, Deterministic(latent), net, layers)
    return Recipe(model, [nll(), size(beta), weights(model.decoder, decay)])


@recipe
def rae_gp(
    image: ImageShape,
    latent: int = 64,
    net: Net = "conv",
    layers: Sequence[int] = (),
    beta: float = 1e-2,
    penalty: float = 1e-2,
) -> Recipe:
    """Regularised autoencoder: short codes and a decoder of small slope (arXiv 1903.12436, eq. 10, GP)."""
    model = _plain(image, Deterministic(latent), net, layers)
    return Recipe(model, [nll(), size(beta), flatness(model.decode, image, penalty)])


@recipe
def denoising_ae(
    image: ImageShape,
    latent: int = 128,
    net: Net = "conv",
    layers: Sequence[int] = (),
    corruption: Literal["noise", "mask"] = "noise",
    strength: float = 0.2,
) -> Recipe:
    """Denoising autoencoder: noise of this sd, or this share of masked pixels, is undone (Vincent, JMLR 2010)."""
    low, high = GaussianLikelihood.range
    spoil = Noise(image, strength * (high - low)) if corruption == "noise" else Mask(image, strength, low)
    return Recipe(_plain(image, Deterministic(latent), net, layers, spoil), [nll()])


@recipe
def contractive_ae(
    image: ImageShape, latent: int = 128, net: Net = "conv", layers: Sequence[int] = (), penalty: float = 1e-2
) -> Recipe:
    """Contractive autoencoder: codes hardly move when pictures do (Rifai et al., ICML 2011, eq. 7)."""
    model = _plain(image, Deterministic(latent), net, layers)
    return Recipe(model, [nll(), contraction(model.encode, model.code, penalty)])


@recipe
def sparse_ae(
    image: ImageShape, latent: int = 512, net: Net = "conv", layers: Sequence[int] = (), k: int = 32
) -> Recipe:
    """k-sparse autoencoder: the k largest values of a code stay, the others are zero (arXiv 1312.5663, section 2)."""
    return Recipe(_plain(image, TopK(latent, min(k, latent)), net, layers), [nll()])
