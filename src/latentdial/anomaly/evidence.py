"""How likely a variational autoencoder holds a picture to be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from latentdial.latent.codec import Codec
from latentdial.pixels import to_float

SAMPLES = 4
STEPS, RATE = 40, 0.05  # of the search for the picture's own posterior


def has_evidence(codec: Codec) -> bool:
    """Whether the codec is a model with a prior and a likelihood of pictures."""
    parts = ("posterior", "likelihood", "decoder")
    return getattr(codec.model, "prior", None) is not None and all(hasattr(codec.model, part) for part in parts)


def surplus(codec: Codec, pictures: np.ndarray) -> np.ndarray:
    """Minus the evidence lower bound of pictures (B, H, W, C), in nats, (B,), with the same noise for every one."""
    x = _scaled(codec, pictures)
    with torch.inference_mode():
        return -_bound(codec, x, codec.model.posterior(x)).double().cpu().numpy()  # type: ignore[union-attr,operator]


def regret(codec: Codec, pictures: np.ndarray) -> np.ndarray:
    """What the bound of pictures (B, H, W, C) gains by optimising the posterior of each, in nats, (B,).

    Xiao et al., arXiv 2003.02977, with the mean and log variance of the posterior optimised in place of the encoder.
    """
    x = _scaled(codec, pictures)
    with torch.no_grad():
        start = codec.model.posterior(x)  # type: ignore[union-attr,operator]
    mean, log_variance = (part.clone().requires_grad_() for part in (start.mean, start.log_variance))
    optimizer = torch.optim.Adam([mean, log_variance], lr=RATE)
    best = first = _bound(codec, x, start).detach()
    for _ in range(STEPS):
        bound = _bound(codec, x, replace(start, mean=mean, log_variance=log_variance))
        best = torch.maximum(best, bound.detach())
        optimizer.zero_grad()
        (-bound.sum()).backward()
        optimizer.step()
    return (best - first).double().cpu().numpy()


def _scaled(codec: Codec, pictures: np.ndarray) -> Tensor:
    return to_float(torch.from_numpy(pictures).to(codec.device), codec.value_range)


def _bound(codec: Codec, x: Tensor, posterior) -> Tensor:
    """The evidence lower bound of pictures (B, C, H, W) in nats, (B,)."""
    model = codec.model
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(SAMPLES, 1, posterior.mean.shape[1], generator=generator).to(x.device)
    z = posterior.sample(SAMPLES, noise=noise.expand(-1, len(x), -1))
    output = model.decoder(z.flatten(0, 1)).float().unflatten(0, z.shape[:2])  # type: ignore[union-attr,operator]
    log_px = model.likelihood.log_prob(output, x)  # type: ignore[union-attr,operator]
    return log_px.mean(0) - model.prior.kl(posterior.mean, posterior.log_variance).sum(1)  # type: ignore[union-attr,operator]
