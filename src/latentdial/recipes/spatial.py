"""Models whose code keeps the places of the picture: channels over a grid of places, of numbers or of words."""

from __future__ import annotations

from collections.abc import Sequence

from latentdial.model import Autoencoder
from latentdial.parts.bottlenecks import Deterministic, Gaussian
from latentdial.parts.likelihoods import Gaussian as GaussianLikelihood
from latentdial.parts.objectives import kl, nll
from latentdial.parts.priors import StandardNormal
from latentdial.parts.quantisers import Levels, Words, commitment, usage
from latentdial.parts.residual import grid_of, spatial
from latentdial.posteriors import Bottleneck
from latentdial.recipes.registry import Recipe, recipe
from latentdial.types import ImageShape

BLOCKS = (1, 2)


def _over(image: ImageShape, code: Bottleneck, seen: int, width: int, blocks: Sequence[int]) -> Autoencoder:
    """An autoencoder of this code, of which the decoder sees so many channels."""
    return Autoencoder(spatial(image, code.features, seen, width, blocks), code, GaussianLikelihood(1.0))


@recipe
def spatial_ae(image: ImageShape, latent: int = 4, width: int = 48, blocks: Sequence[int] = BLOCKS) -> Recipe:
    """Autoencoder whose code is `latent` channels over a grid (the first stage of arXiv 2112.10752, section 3.1)."""
    code = Deterministic((latent, *grid_of(image)))
    return Recipe(_over(image, code, latent, width, blocks), [nll()])


@recipe
def spatial_vae(
    image: ImageShape, latent: int = 4, width: int = 48, blocks: Sequence[int] = BLOCKS, beta: float = 1.0
) -> Recipe:
    """VAE whose code is `latent` channels over a grid (arXiv 1312.6114, eq. 3; 2112.10752, section 3.1)."""
    grid = grid_of(image)
    code, prior = Gaussian((latent, *grid)), StandardNormal(latent * grid[0] * grid[1])
    net = spatial(image, code.features, latent, width, blocks)
    return Recipe(Autoencoder(net, code, GaussianLikelihood(), prior), [nll(), kl(beta)])


@recipe
def vq_vae(
    image: ImageShape,
    latent: int = 8,
    words: int = 512,
    width: int = 48,
    blocks: Sequence[int] = BLOCKS,
    cost: float = 0.25,
) -> Recipe:
    """VQ-VAE: every place says a word of `latent` numbers, words follow as averages (arXiv 1711.00937, eq. 3)."""
    code = Words(latent, grid_of(image), words)
    return Recipe(_over(image, code, latent, width, blocks), [nll(), commitment(cost), *usage(words)])


@recipe
def rvq_vae(
    image: ImageShape,
    latent: int = 4,
    words: int = 256,
    depth: int = 4,
    width: int = 48,
    blocks: Sequence[int] = BLOCKS,
    cost: float = 0.25,
) -> Recipe:
    """Residual VQ: every place says `depth` words, each what those before left (arXiv 2203.01941, section 3.1)."""
    code = Words(latent, grid_of(image), words, depth)
    return Recipe(_over(image, code, latent, width, blocks), [nll(), commitment(cost), *usage(words)])


@recipe
def fsq_ae(
    image: ImageShape, levels: Sequence[int] = (8, 5, 5, 5), width: int = 48, blocks: Sequence[int] = BLOCKS
) -> Recipe:
    """Finite scalar quantisation: every channel of a place has a few levels (arXiv 2309.15505, section 3.1)."""
    code = Levels(levels, grid_of(image))
    return Recipe(_over(image, code, len(levels), width, blocks), [nll(), *usage(code.vocabulary)])
