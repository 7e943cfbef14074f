"""Variational autoencoders whose prior is learnt, or whose posterior is more than a diagonal Gaussian."""

from __future__ import annotations

from collections.abc import Sequence

from latentdial.model import Autoencoder
from latentdial.parts.flows import Autoregressive, FlowPrior
from latentdial.parts.likelihoods import Gaussian as GaussianLikelihood
from latentdial.parts.objectives import kl, nll
from latentdial.parts.priors import Mixture, StandardNormal, Vamp
from latentdial.parts.sphere import OnSphere, UniformOnSphere
from latentdial.recipes.registry import Recipe, recipe
from latentdial.recipes.shared import Net, network, vae
from latentdial.types import ImageShape


@recipe
def mixture_vae(
    image: ImageShape,
    latent: int = 32,
    net: Net = "conv",
    layers: Sequence[int] = (),
    components: int = 16,
    beta: float = 1.0,
) -> Recipe:
    """VAE whose prior is a mixture of Gaussians that is learnt (arXiv 1611.05148, section 3.1)."""
    model = vae(image, latent, net, layers)
    model.prior = Mixture(latent, components)
    return Recipe(model, [nll(), kl(beta)])


@recipe
def vamp_vae(
    image: ImageShape,
    latent: int = 32,
    net: Net = "conv",
    layers: Sequence[int] = (),
    inputs: int = 64,
    beta: float = 1.0,
) -> Recipe:
    """VampPrior: the mean posterior of pseudo-inputs, training pictures at first (arXiv 1705.07120, section 3)."""
    model = vae(image, latent, net, layers)
    model.prior = Vamp(model.posterior, image, inputs, *model.likelihood.range)  # type: ignore[arg-type]
    return Recipe(model, [nll(), kl(beta)])


@recipe
def flow_vae(
    image: ImageShape,
    latent: int = 32,
    net: Net = "conv",
    layers: Sequence[int] = (),
    transforms: int = 3,
    hidden: Sequence[int] = (64, 64),
    beta: float = 1.0,
) -> Recipe:
    """VAE whose prior is a flow (arXiv 1611.02731, section 3.2; splines: 1906.04032); needs the extra flows."""
    model = vae(image, latent, net, layers)
    model.prior = FlowPrior(latent, transforms, hidden)
    return Recipe(model, [nll(), kl(beta)])


@recipe
def iaf_vae(
    image: ImageShape,
    latent: int = 32,
    net: Net = "conv",
    layers: Sequence[int] = (),
    transforms: int = 2,
    hidden: Sequence[int] = (128,),
    beta: float = 1.0,
) -> Recipe:
    """VAE with an inverse autoregressive flow posterior (arXiv 1606.04934, algorithm 1); needs the extra flows."""
    code = Autoregressive(latent, transforms, hidden, context=latent)
    model = Autoencoder(network(image, code, net, layers), code, GaussianLikelihood(), StandardNormal(latent))
    return Recipe(model, [nll(), kl(beta)])


@recipe
def sphere_vae(
    image: ImageShape, latent: int = 32, net: Net = "conv", layers: Sequence[int] = (), beta: float = 1.0
) -> Recipe:
    """VAE whose codes are directions, all as likely (hyperspherical: arXiv 1804.00891, with another posterior)."""
    code = OnSphere(latent)
    model = Autoencoder(network(image, code, net, layers), code, GaussianLikelihood(), UniformOnSphere(latent))
    return Recipe(model, [nll(), kl(beta)])
