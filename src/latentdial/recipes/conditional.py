"""Models that learn from labels, and draw what a label says."""

from __future__ import annotations

from collections.abc import Sequence

from latentdial.model import Autoencoder
from latentdial.parts.bottlenecks import Gaussian
from latentdial.parts.conditions import Condition
from latentdial.parts.likelihoods import Gaussian as GaussianLikelihood
from latentdial.parts.networks import conv
from latentdial.parts.objectives import kl, nll
from latentdial.parts.priors import StandardNormal
from latentdial.recipes.registry import Recipe, recipe
from latentdial.types import ImageShape


@recipe
def conditional_vae(
    image: ImageShape,
    labels: int,
    latent: int = 32,
    channels: Sequence[int] = (32, 64, 128, 256),
    numbers: int = 16,
    out: float = 0.1,
    beta: float = 1.0,
) -> Recipe:
    """Conditional VAE: the label stands beside picture and code (Sohn et al., NIPS 2015, eq. 4); needs labels."""
    code, prior, condition = Gaussian(latent), StandardNormal(latent), Condition(labels, image, numbers, out)
    net = conv(image, code.features, latent + numbers, channels)
    model = Autoencoder(net, code, GaussianLikelihood(), prior, condition=condition)
    return Recipe(model, [nll(), kl(beta)])
