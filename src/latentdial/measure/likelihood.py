"""How likely pictures are under a model with latent codes, from samples of the codes."""

from __future__ import annotations

from collections.abc import Callable
from math import log

import torch
from torch import Tensor


def importance_bound(log_weights: Tensor) -> Tensor:
    """log of the mean over samples of p(x, z) / q(z|x), (B,) nats, from its logs (K, B) (arXiv 1509.00519, eq. 8).

    A lower bound of log p(x) in expectation; with one sample it is the ELBO, and it grows with K.

    >>> importance_bound(torch.tensor([[0.0], [0.0]])).item()
    0.0
    """
    return torch.logsumexp(log_weights, 0) - log(len(log_weights))


def log_likelihood(log_weights: Callable[[int], Tensor], samples: int, chunk: int = 64) -> Tensor:
    """`importance_bound` of so many samples, of which `log_weights(k)` draws k at a time, as (k, B)."""
    done, total = 0, None
    while done < samples:
        count = min(chunk, samples - done)
        part = torch.logsumexp(log_weights(count).double(), 0)
        total = part if total is None else torch.logaddexp(total, part)
        done += count
    if total is None:
        raise ValueError("there must be at least one sample")
    return total - log(samples)


def bits_per_dim(nats: float, values: int, width: float = 1.0) -> float:
    """Log likelihood in nats of a picture of so many values -> bits a value, a level being `width` wide.

    A density over [-1, 1] has levels 2 / 255 wide; one over levels of 255, or a probability, has width 1.

    >>> bits_per_dim(-100 * log(256), 100)
    8.0
    """
    return -(nats / values + log(width)) / log(2)


def information(each: Tensor) -> tuple[float, float]:
    """Bounds of I(x; z) in nats from log q(z_i|x_j), (N, N), z_i a code of picture i (arXiv 1905.06922, section 2).

    From below, with all pictures in the mixture that stands for q(z), it is log N at most; from above, with all others.

    >>> information(torch.zeros(4, 4))
    (0.0, 0.0)
    """
    own, count = each.diagonal(), len(each)
    others = each.masked_fill(torch.eye(count, dtype=torch.bool, device=each.device), float("-inf"))
    least, most = own - (each.logsumexp(1) - log(count)), own - (others.logsumexp(1) - log(max(count - 1, 1)))
    return float(least.mean()), float(most.mean())
