"""What several families are built of: nets and likelihoods by their names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from latentdial.layers import Network, halved
from latentdial.model import Autoencoder
from latentdial.parts.bottlenecks import Gaussian
from latentdial.parts.likelihoods import Bernoulli, Binarise
from latentdial.parts.likelihoods import Gaussian as GaussianLikelihood
from latentdial.parts.networks import conv, mlp
from latentdial.parts.priors import StandardNormal
from latentdial.posteriors import Bottleneck
from latentdial.types import ImageShape

Net = Literal["conv", "fcn"]
LAYERS: dict[str, Sequence[int]] = {"conv": (32, 64, 128, 256), "fcn": (2048, 512)}


def network(image: ImageShape, code: Bottleneck, net: Net = "conv", layers: Sequence[int] = ()) -> Network:
    """The net of a name for a flat code, with its usual layers where none are given."""
    layers = layers or LAYERS[net]
    if net == "conv":
        halved(image, layers, "layers")
    make = conv if net == "conv" else mlp
    return make(image, code.features, code.seen, layers)


def vae(image: ImageShape, latent: int, net: Net, layers: Sequence[int]) -> Autoencoder:
    """A VAE with a learned sigma and a standard normal prior (arXiv 1312.6114; sigma: arXiv 2006.13202)."""
    code = Gaussian(latent)
    return Autoencoder(network(image, code, net, layers), code, GaussianLikelihood(), StandardNormal(latent))


def binary(image: ImageShape, latent: int, widths: Sequence[int], binarise: Binarise) -> Autoencoder:
    """A fully connected VAE of black and white pictures (arXiv 1312.6114, eq. 11)."""
    code = Gaussian(latent)
    net = mlp(image, code.features, latent, widths)
    return Autoencoder(net, code, Bernoulli(binarise, image), StandardNormal(latent))
