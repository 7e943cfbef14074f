"""How likely a variational autoencoder holds a picture to be."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
import torch
from torch import Tensor

from latentdial.latent.codec import Codec
from latentdial.model import Autoencoder, Model, draw
from latentdial.pixels import to_float
from latentdial.posteriors import Diagonal
from latentdial.types import Batch, Level, Prior

SAMPLES = 4
STEPS, RATE = 40, 0.05  # of the search for the picture's own posterior


def has_evidence(codec: Codec) -> bool:
    """Whether the codec is a model with a prior and random codes of which the KL is known."""
    if not isinstance(codec.model, Model) or codec.model.prior is None or not codec.model.draws:
        return False
    probe = torch.zeros(1, *codec.geometry.shape, device=codec.device)
    levels = codec.model(_batch(codec.model, probe), SAMPLES).levels
    return all(level.kl is not None for level in levels.values())


def has_regret(codec: Codec) -> bool:
    """Whether the codec has one Gaussian posterior, which can be optimised for a picture."""
    probe = torch.zeros(1, *codec.geometry.shape, device=codec.device)
    single = isinstance(codec.model, Autoencoder) and has_evidence(codec)
    return single and isinstance(cast(Autoencoder, codec.model).posterior(probe), Diagonal)


def surplus(codec: Codec, pictures: np.ndarray) -> np.ndarray:
    """Minus the evidence lower bound of pictures (B, H, W, C), in nats, (B,), with the same noise for every one."""
    model = cast(Model, codec.model)
    with torch.inference_mode():
        found = model(_batch(model, _scaled(codec, pictures)), SAMPLES)
        kl = sum(cast(Tensor, level.kl).sum(1) for level in found.levels.values())
        return (kl - found.log_px.mean(0)).double().cpu().numpy()


def regret(codec: Codec, pictures: np.ndarray) -> np.ndarray:
    """What the bound of pictures (B, H, W, C) gains by optimising the posterior of each, in nats, (B,).

    Xiao et al., arXiv 2003.02977, with the mean and log variance of the posterior optimised in place of the encoder.
    """
    model, x = cast(Autoencoder, codec.model), _scaled(codec, pictures)
    with torch.no_grad():
        start = cast(Diagonal, model.posterior(x))
        best = first = _bound(model, x, start)
    mean, log_variance = (part.clone().requires_grad_() for part in (start.mean, start.log_variance))
    optimizer = torch.optim.Adam([mean, log_variance], lr=RATE)
    for _ in range(STEPS):
        bound = _bound(model, x, replace(start, mean=mean, log_variance=log_variance))
        best = torch.maximum(best, bound.detach())
        optimizer.zero_grad()
        (-bound.sum()).backward()
        optimizer.step()
    return (best - first).double().cpu().numpy()


def _scaled(codec: Codec, pictures: np.ndarray) -> Tensor:
    return to_float(torch.from_numpy(pictures).to(codec.device), codec.value_range)


def _batch(model: Model, x: Tensor) -> Batch:
    """Pictures (B, C, H, W) with noise that is the same for every picture."""
    noise = draw(model.draws, SAMPLES, 1, "cpu", torch.Generator().manual_seed(0))
    return Batch(x, {name: one.to(x.device).expand(-1, len(x), *one.shape[2:]) for name, one in noise.items()})


def _bound(model: Autoencoder, x: Tensor, posterior: Diagonal) -> Tensor:
    """The evidence lower bound of pictures (B, C, H, W) in nats, (B,), for this posterior."""
    z = posterior.sample(_batch(model, x).noise["z"], SAMPLES)
    output = model.output(z.flatten(0, 1)).unflatten(0, z.shape[:2])
    kl = cast(Tensor, Level(z, posterior, cast(Prior, model.prior)).kl)
    return model.likelihood.log_prob(output, x).mean(0) - kl.sum(1)
