"""Models with an opponent: a critic that is trained beside them and never published."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from latentdial.model import Autoencoder
from latentdial.parts.bottlenecks import Deterministic, Gaussian
from latentdial.parts.critics import adversarial_prior, density_ratio, learned_similarity
from latentdial.parts.likelihoods import Features
from latentdial.parts.likelihoods import Gaussian as GaussianLikelihood
from latentdial.parts.objectives import kl, nll
from latentdial.parts.priors import StandardNormal
from latentdial.recipes.registry import Recipe, recipe
from latentdial.recipes.shared import Net, network, vae
from latentdial.types import ImageShape

CRITIC = (256, 256, 256, 256)


@recipe
def factor_vae(
    image: ImageShape,
    latent: int = 10,
    net: Net = "conv",
    layers: Sequence[int] = (),
    gamma: float = 6.4,
    critic: Sequence[int] = CRITIC,
) -> Recipe:
    """FactorVAE: gamma of the total correlation, as a critic of codes tells it (arXiv 1802.05983, eq. 2 and 3)."""
    term, rival = density_ratio(latent, critic, gamma)
    return Recipe(vae(image, latent, net, layers), [nll(), kl(), term], rivals=[rival])


@recipe
def adversarial_ae(
    image: ImageShape,
    latent: int = 64,
    net: Net = "conv",
    layers: Sequence[int] = (),
    strength: float = 10.0,
    critic: Sequence[int] = CRITIC,
) -> Recipe:
    """Adversarial autoencoder: a critic cannot tell its codes from the prior's (arXiv 1511.05644, section 2)."""
    code, prior = Deterministic(latent), StandardNormal(latent)
    term, rival = adversarial_prior(latent, critic, strength)
    model = Autoencoder(network(image, code, net, layers), code, GaussianLikelihood(1.0), prior)
    return Recipe(model, [nll(), term], rivals=[rival])


@recipe
def vae_gan(
    image: ImageShape,
    latent: int = 128,
    net: Net = "conv",
    layers: Sequence[int] = (),
    deceive: float = 100.0,
    critic: Sequence[int] = (32, 64, 128),
) -> Recipe:
    """VAE-GAN: likelihood in a critic's features, pictures that it takes for real (arXiv 1512.09300, algorithm 1)."""
    code = Gaussian(latent)
    model = Autoencoder(network(image, code, net, layers), code, Features(), StandardNormal(latent))
    similar, deceived, rival = learned_similarity(image, latent, critic, model.likelihood.mean, model.decode, deceive)
    return Recipe(model, [replace(nll(), weight=0.0), kl(), similar, deceived], rivals=[rival])
