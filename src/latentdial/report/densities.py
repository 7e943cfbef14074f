"""How likely pictures are to a model, in nats of levels of 255, one picture at a time."""

from __future__ import annotations

import numpy as np
import torch

from latentdial.latent.codec import Codec
from latentdial.measure.likelihood import log_likelihood
from latentdial.model import Model
from latentdial.parts.likelihoods import Gaussian

PASS = 512  # codes that are decoded at once


@torch.inference_mode()
def densities(codec: Codec, pictures: np.ndarray, samples: int, seed: int) -> tuple[np.ndarray, np.ndarray] | None:
    """ELBO and importance-sampled log likelihood (N,) of uint8 pictures (N, H, W, C), a level being one wide.

    None for models without these densities, and where they are not finite.
    """
    model, generator = codec.model, torch.Generator().manual_seed(seed)
    if not isinstance(model, Model) or not isinstance(model.likelihood, Gaussian):
        return None
    first = model(model.batch(model.scale(torch.tensor(pictures[:1], device=codec.device)), 1, generator))
    if any(level.log_pz is None or level.log_qz is None for level in first.levels.values()):
        return None
    low, high = codec.value_range
    width = int(np.prod(pictures.shape[1:])) * np.log((high - low) / 255)
    elbos, bounds = [], []
    some = max(1, PASS // samples)
    for start in range(0, len(pictures), some):
        x = model.scale(torch.tensor(pictures[start : start + some], device=codec.device))
        drawn: list[torch.Tensor] = []

        def log_weights(count: int, x: torch.Tensor = x, drawn: list[torch.Tensor] = drawn) -> torch.Tensor:
            passed = model(model.batch(x, count, generator), count)
            drawn.append(passed.log_weight.double().cpu())
            return drawn[-1]

        bounds.append(log_likelihood(log_weights, samples, min(samples, PASS)))
        elbos.append(torch.cat(drawn).mean(0))
    elbo, bound = ((torch.cat(parts) + width).numpy() for parts in (elbos, bounds))
    return (elbo, bound) if np.isfinite(elbo).all() and np.isfinite(bound).all() else None
