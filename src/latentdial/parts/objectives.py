"""Objectives: terms in nats per image, each logged under its own name, weighted and summed to the loss."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import add

from torch import Tensor

from latentdial.types import Batch, Pass, Term


def nll() -> Term:
    """-E_q[log p(x|z)] over the K samples: the reconstruction term (arXiv 1312.6114, eq. 3)."""
    return Term("nll", lambda p, _: -p.log_px.mean())


def kl(weight: float = 1.0, free_bits: float = 0.0) -> Term:
    """KL(q(z|x) || p(z)), summed over dimensions and levels; `weight` is the beta of beta-VAE, in nats per image.

    With `free_bits`, the loss counts at least so many nats for every dimension, on the mean over the batch
    (arXiv 1606.04934, eq. 15), while the logged term stays the KL itself.
    """

    def floored(p: Pass, _: Batch) -> Tensor:
        return reduce(add, [level.mean(0).clamp(min=free_bits).sum() for level in _kls(p)])

    def value(p: Pass, _: Batch) -> Tensor:
        return reduce(add, [level.sum() / len(level) for level in _kls(p)])

    return Term("kl", value, weight, floored if free_bits else None, scheduled=True)


def total(terms: Sequence[Term], run: Pass, batch: Batch, schedule: float = 1.0) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss to minimise and every term by its name, unweighted; all are means over the batch, in nats per image.

    `schedule` scales the weights of the terms that are scheduled.
    """
    values = {term.name: term.value(run, batch) for term in terms}
    weighted = []
    for term in terms:
        counted = term.counted(run, batch) if term.counted else values[term.name]
        weight = term.weight * schedule if term.scheduled else term.weight
        if term.weight:
            weighted.append(counted if weight == 1 else weight * counted)
    return reduce(add, weighted), values


def _kls(run: Pass) -> list[Tensor]:
    each = [level.kl for level in run.levels.values()]
    return [kl for kl in each if kl is not None]
