"""Terms of the aggregate posterior q(z) = E_x[q(z|x)]: total correlation, moments, distance from the prior."""

from __future__ import annotations

from collections.abc import Callable
from math import log
from typing import Literal

import torch
from torch import Tensor

from latentdial.types import Batch, Level, Pass, Term

Kernel = Callable[[Tensor, Tensor], Tensor]


def log_aggregate(level: Level, pictures: int) -> tuple[Tensor, Tensor]:
    """log q(z), (K, B), and log q(z_d) of every dimension, (K, B, D), in nats, for a set of so many pictures.

    Of a batch of M, a code's own picture weighs 1/N and the others share the rest: unbiased for q(z), as minibatch
    stratified sampling is (arXiv 1802.04942, appendix C.2), and exact where the batch is the set.
    """
    # (K, B, B, D): code i under the posterior of picture j
    each: Tensor = level.posterior.log_prob(level.z[:, :, None])  # type: ignore[assignment]
    batch = each.shape[1]
    own = torch.eye(batch, dtype=torch.bool, device=each.device)
    share = log((pictures - 1) / (pictures * (batch - 1))) if batch > 1 and pictures > 1 else 0.0
    weights = torch.where(own, -log(pictures) if batch > 1 else 0.0, share)
    joint = (each.sum(-1) + weights).logsumexp(2)
    return joint, (each + weights[:, :, None]).logsumexp(2)


def decompose(level: Level, pictures: int) -> tuple[Tensor, Tensor, Tensor]:
    """Index-code information, total correlation and dimension-wise KL, (K, B) each, in nats (arXiv 1802.04942, eq. 2).

    Their sum is log q(z|x) - log p(z), whose mean is the KL.
    """
    log_qz, log_each = log_aggregate(level, pictures)
    log_product = log_each.sum(-1)
    return level.log_qz - log_qz, log_qz - log_product, log_product - level.log_pz  # type: ignore[operator]


def total_correlation(weight: float) -> Term:
    """KL(q(z) || prod q(z_d)), estimated of the batch (arXiv 1802.04942, eq. 2)."""

    def value(p: Pass, batch: Batch) -> Tensor:
        log_qz, log_each = log_aggregate(p.levels["z"], batch.pictures)
        return (log_qz - log_each.sum(-1)).mean()

    return Term("tc", value, weight, scheduled=True)


def dip(kind: Literal["i", "ii"], off_diagonal: float, diagonal: float) -> Term:
    """Squared distance of a covariance of codes from the identity, off its diagonal and on it (arXiv 1711.00848).

    Of posterior means for "i" (eq. 6), of the codes themselves for "ii" (eq. 7).
    """

    def value(p: Pass, _: Batch) -> Tensor:
        posterior = p.levels["z"].posterior
        covariance = posterior.mean.T.cov(correction=0)
        if kind == "ii":
            covariance = covariance + posterior.log_variance.exp().mean(0).diag()  # type: ignore[attr-defined]
        on = covariance.diagonal()
        return off_diagonal * (covariance.square().sum() - on.square().sum()) + diagonal * (on - 1).square().sum()

    return Term("dip", value, scheduled=True)


def rbf(latent: int) -> Kernel:
    """exp(-|a - b|^2 / (2 s^2)) with s^2 = D, half the mean squared distance of prior samples (arXiv 1706.02262)."""
    return lambda a, b: (-_squares(a, b) / (2 * latent)).exp()


def multiquadratic(latent: int) -> Kernel:
    """Sum of C / (C + |a - b|^2) over scales of C = 2 D (arXiv 1711.01558, section 4)."""
    scales = [2 * latent * s for s in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)]
    return lambda a, b: sum(c / (c + _squares(a, b)) for c in scales)  # type: ignore[return-value]


def mmd(latent: int, kernel: Kernel, weight: float) -> Term:
    """Squared maximum mean discrepancy of codes from standard normal ones, unbiased (arXiv 1711.01558, algorithm 2)."""

    def value(p: Pass, batch: Batch) -> Tensor:
        return discrepancy(p.z.flatten(0, 1), batch.noise["prior"].flatten(0, 1), kernel)

    return Term("mmd", value, weight, scheduled=True, draws={"prior": (latent,)})


def discrepancy(a: Tensor, b: Tensor, kernel: Kernel) -> Tensor:
    """The squared maximum mean discrepancy of two samples (N, D), without bias (Gretton et al., JMLR 2012, eq. 3)."""
    n = max(len(a) * (len(a) - 1), 1)
    within = [(k.sum() - k.diagonal().sum()) / n for k in (kernel(a, a), kernel(b, b))]
    return within[0] + within[1] - 2 * kernel(a, b).mean()


def _squares(a: Tensor, b: Tensor) -> Tensor:
    """Squared distances (N, M) of the rows of two tensors; smooth also where they are the same."""
    return (a.square().sum(1)[:, None] + b.square().sum(1) - 2 * a @ b.T).clamp(min=0)
