"""Principal components of pictures too many for memory: the linear autoencoder in closed form."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from latentdial.errors import LatentdialError
from latentdial.types import Principal

OVERSAMPLING, ROUNDS = 32, 4  # of the subspace iteration (Halko, Martinsson & Tropp, arXiv 0909.4061, algorithm 4.4)
FLAT = 1e-7  # of the largest variance: what varies less is rounding

Batches = Callable[[], Iterable[Tensor]]
"""Float pictures (B, ...) from the first to the last, each time it is called."""


@torch.no_grad()
def principal_components(batches: Batches, count: int, seed: int = 0, rounds: int = ROUNDS) -> Principal:
    """The first `count` principal components of the pictures, or as many as vary.

    Found by subspace iteration on the covariance, which is never formed: memory holds one batch and (P, count + 32)
    values whatever N is, and the pictures are read `rounds + 2` times. The same pictures in the same batches give the
    same bits. No picture at all, or values that are not finite, are a LatentdialError.

    >>> flat = principal_components(lambda: [torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 0.1], [0.0, -0.1]])], 1)
    >>> flat.components.round(decimals=4).tolist(), round(flat.variances.item(), 4)
    ([[1.0, 0.0]], 0.5)
    """
    mean, total, n = _moments(batches)
    width = min(count + OVERSAMPLING, n, len(mean))
    generator = torch.Generator().manual_seed(seed)
    basis = _orthonormal(torch.randn(len(mean), width, generator=generator).to(mean))
    for _ in range(rounds):
        basis = _orthonormal(_covariance_times(batches, mean, basis, n))
    return _within(batches, mean, total, n, basis, count)


@torch.no_grad()
def principal_within(batches: Batches, basis: Tensor) -> Principal:
    """The principal components of the pictures as orthonormal columns (P, K) see them, at most as many as these."""
    mean, total, n = _moments(batches)
    return _within(batches, mean, total, n, basis, basis.shape[1])


def _within(batches: Batches, mean: Tensor, total: float, n: int, basis: Tensor, count: int) -> Principal:
    small = (basis.T @ _covariance_times(batches, mean, basis, n)).double().cpu()
    values, turned = torch.linalg.eigh((small + small.T) / 2)
    values, turned = values.flip(0)[:count], turned.flip(1)[:, :count]
    kept = values > FLAT * values[0].clamp(min=torch.finfo(torch.float32).tiny)
    components = (basis.double().cpu() @ turned[:, kept]).T.float()
    largest = components.gather(1, components.abs().argmax(1, keepdim=True))
    return Principal(mean, (components * largest.sign()).to(mean), values[kept].float().to(mean), total)


def _moments(batches: Batches) -> tuple[Tensor, float, int]:
    """Mean (P,), the sum of all variances, and the number of pictures."""
    n, sums, squares = 0, torch.zeros(()).double(), 0.0
    for batch in batches():
        rows = batch.flatten(1)
        n, sums = n + len(rows), sums.to(rows.device) + rows.sum(0, dtype=torch.float64)
        squares += float(rows.square().sum(dtype=torch.float64))
    if n == 0:
        raise LatentdialError("there are no pictures to find principal components of: give at least one")
    mean = sums / n
    total = squares / n - float(mean.square().sum())
    if not math.isfinite(total):
        raise LatentdialError("the pictures hold values that are not finite: repair or leave them out")
    return mean.float(), max(total, 0.0), n


def _covariance_times(batches: Batches, mean: Tensor, basis: Tensor, n: int) -> Tensor:
    product = torch.zeros_like(basis)
    for batch in batches():
        centred = batch.flatten(1) - mean
        product.addmm_(centred.T, centred @ basis)
    return product / n


def _orthonormal(columns: Tensor) -> Tensor:
    return torch.linalg.qr(columns)[0]
