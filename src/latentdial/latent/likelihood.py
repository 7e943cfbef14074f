"""How likely pictures are under a codec's model, what their codes cost, and what these tell of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from latentdial.errors import LatentdialError
from latentdial.latent.codec import Codec, Picture
from latentdial.measure.codes import active_units
from latentdial.measure.likelihood import bits_per_dim, information, log_likelihood
from latentdial.model import Model
from latentdial.progress import Progress, quiet
from latentdial.types import Kind

VALUES = 1 << 22  # of decoded pictures at a time, which bounds the memory
BLOCK = 32  # pictures at a time, at most
INFORMED = 1_000  # pictures, at most, by which codes are told apart
ROWS = 32  # codes that are held against all of these at a time
DECLARED = {"sampled": "pixels white with their brightness as probability", "threshold": "pixels white from half on"}


@dataclass(frozen=True)
class Likelihood:
    """Of N pictures, in nats a picture; of levels of 255 for a density, of binary pixels for a Bernoulli.

    `unlikely` says, where it is not empty, why the pictures have no likelihood under this model, so that the numbers
    are those of an objective and nothing else.
    """

    log_px: np.ndarray  # (N,) by importance sampling, a lower bound in the mean
    elbo: np.ndarray  # (N,)
    distortion: np.ndarray  # (N,) -E log p(x|z)
    rate: np.ndarray  # (N,) KL(q(z|x) || p(z)): what a code costs
    informed: tuple[float, float]  # the mutual information of pictures and codes is at least, at most
    active: int  # dimensions whose mean varies (arXiv 1509.00519, section 5.2)
    latent: int
    samples: int
    values: int  # of a picture
    kind: Kind  # of the likelihood
    how: str  # what was done to the pictures
    unlikely: str = ""

    @property
    def nll(self) -> float:
        """Negative log likelihood."""
        return -float(self.log_px.mean())

    @property
    def error(self) -> float:
        """Standard error of the negative log likelihood, over pictures."""
        return float(self.log_px.std(ddof=1) / np.sqrt(len(self.log_px))) if len(self.log_px) > 1 else float("nan")

    @property
    def bits_per_dim(self) -> float | None:
        """Bits a value, the unit in which models compare; None where there is no likelihood."""
        return None if self.unlikely else bits_per_dim(-self.nll, self.values)


@torch.inference_mode()
def likelihood(
    codec: Codec,
    pictures: Picture | list[Picture],
    samples: int = 5000,
    seed: int = 0,
    progress: Progress = quiet,
) -> Likelihood:
    """Measure pictures under the model of a run by importance sampling, `samples` codes each (arXiv 1509.00519, eq. 8).

    Every picture is encoded once and its codes are decoded some at a time, so memory does not grow with `samples`. A
    density is told of levels spread evenly over their width (dequantised), so it bounds the probability of the levels
    (arXiv 1511.01844, section 3.1); grey pixels are made black or white as the recipe declares. The same seed gives the
    same figures. A model without these densities, such as a plain autoencoder, is a LatentdialError.
    """
    model, pixels = codec.model, codec.pictures(pictures)
    if not isinstance(model, Model) or not _has_densities(model, pixels[:1], codec.device):
        raise LatentdialError(f"{codec.name} has no densities of pictures and codes: measure the likelihood of a VAE")
    if samples < 1:
        raise LatentdialError("a likelihood needs at least one code a picture: use samples=64 or more")
    values = int(np.prod(pixels.shape[1:]))
    rows = max(1, VALUES // values)
    block = min(BLOCK, rows)
    found: list[Tensor] = []
    for start in range(0, len(pixels), block):
        progress("likelihood", start, len(pixels))
        generator = torch.Generator(codec.device).manual_seed((seed * 0x85EBCA77 + start) & 0xFFFFFFFF)
        x = _prepared(model, pixels[start : start + block], codec.device, generator)
        found.append(_block(model, x, samples, max(1, rows // block), generator))
    progress("likelihood", len(pixels), len(pixels))
    log_px, distortion, rate = torch.cat(found, 1).cpu().numpy() + _volume(model, values)
    if not np.isfinite([log_px, distortion, rate]).all():
        raise LatentdialError(f"the likelihood of {codec.name} is no finite number: train it again with a lower --lr")
    few = pixels[np.linspace(0, len(pixels) - 1, min(len(pixels), INFORMED)).astype(int)]
    least, most = _informed(model, few, codec.device, seed)
    return Likelihood(
        log_px=log_px,
        elbo=-distortion - rate,
        distortion=distortion,
        rate=rate,
        informed=(least, min(most, float(rate.mean()))),
        active=active_units(codec.encode(pixels)),
        latent=codec.latent,
        samples=samples,
        values=values,
        kind=model.likelihood.kind,
        how=_how(model),
        unlikely=_unlikely(model, pixels),
    )


def _block(model: Model, x: Tensor, samples: int, most: int, generator: torch.Generator) -> Tensor:
    """log p(x), -E log p(x|z) and KL of some pictures, (3, B), float64."""
    passes, sums = model.passes(x, generator), x.new_zeros(2, len(x), dtype=torch.float64)

    def log_weights(count: int) -> Tensor:
        passed = passes(count)
        kl = sum(level.kl.double().sum(1) for level in passed.levels.values() if level.kl is not None)
        sums.add_(torch.stack([-passed.log_px.double().mean(0), kl + torch.zeros_like(sums[1])]) * count / samples)
        return passed.log_weight

    return torch.cat([log_likelihood(log_weights, samples, most)[None], sums])


def _has_densities(model: Model, pixels: np.ndarray, device: str) -> bool:
    passed = model.passes(model.scale(torch.from_numpy(pixels).to(device)))(1)
    return all(level.log_pz is not None and level.log_qz is not None for level in passed.levels.values())


def _prepared(model: Model, pixels: np.ndarray, device: str, generator: torch.Generator) -> Tensor:
    """Pictures in the model's range, a density's spread over the width of their levels."""
    x = model.scale(torch.from_numpy(pixels).to(device))
    if model.likelihood.kind != "density":
        return x
    low, high = model.likelihood.range
    return x + (torch.rand(x.shape, generator=generator, device=device) - 0.5) * ((high - low) / 255)


def _volume(model: Model, values: int) -> np.ndarray:
    """What is added to log p(x), the distortion and the rate so that they are of levels, (3, 1)."""
    low, high = model.likelihood.range
    width = values * np.log((high - low) / 255) if model.likelihood.kind == "density" else 0.0
    return np.array([[width], [-width], [0.0]])


def _informed(model: Model, pixels: np.ndarray, device: str, seed: int) -> tuple[float, float]:
    """Bounds of the mutual information of pictures and codes, from which picture's posterior a code is likeliest of."""
    generator = torch.Generator(device).manual_seed(seed)
    level = next(iter(model.passes(_prepared(model, pixels, device, generator), generator)(1).levels.values()))
    z = level.z[0]
    each = [level.posterior.log_prob(some[:, None]) for some in z.split(ROWS)]  # (rows, N, ...) by dimensions
    return information(torch.cat([one.flatten(2).sum(-1) for one in each if one is not None]).double())


def _how(model: Model) -> str:
    if model.likelihood.kind == "density":
        return "levels spread evenly over their width"
    return DECLARED.get(getattr(model.likelihood, "binarise", "none"), "pictures as they are")


def _unlikely(model: Model, pixels: np.ndarray) -> str:
    if model.likelihood.kind == "features":
        return "its density is of what a critic sees of pictures, and pixels have none: train a VAE such as conv-vae"
    if model.likelihood.kind != "binary" or getattr(model.likelihood, "binarise", "none") != "none":
        return ""
    if np.isin(pixels, (0, 255)).all():
        return ""
    return "grey pixels have no likelihood under a Bernoulli: train with --set binarise=sampled, or on binary pictures"
