"""Objectives: terms in nats per image, each logged under its own name, weighted and summed to the loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

from torch import Tensor

from latentdial.types import Pass

NO_FACTORS: Mapping[str, float] = {}


@dataclass(frozen=True)
class Term:
    """A named loss term: `value` maps a pass to its mean over samples and images, in nats per image, ().

    `counted`, where given, is what the loss takes in its place, times `weight`.
    """

    name: str
    value: Callable[[Pass], Tensor]
    weight: float = 1.0
    counted: Callable[[Pass], Tensor] | None = None


def nll() -> Term:
    """-E_q[log p(x|z)] over the K samples: the reconstruction term (arXiv 1312.6114, eq. 3)."""
    return Term("nll", lambda p: -p.log_px.mean())


def kl(weight: float = 1.0, free_bits: float = 0.0) -> Term:
    """KL(q(z|x) || p(z)), analytic, summed over dimensions; `weight` is the beta of beta-VAE, in nats per image.

    With `free_bits`, the loss counts at least so many nats for every dimension, on the mean over the batch
    (arXiv 1606.04934, eq. 15), while the logged term stays the KL itself.
    """

    def floored(p: Pass) -> Tensor:
        return sum(level.mean(0).clamp(min=free_bits).sum() for level in p.kl.values())  # type: ignore[return-value]

    def value(p: Pass) -> Tensor:
        return reduce(add, [level.sum() / len(level) for level in p.kl.values()])

    return Term("kl", value, weight, floored if free_bits else None)


def total(
    terms: Sequence[Term], run: Pass, factors: Mapping[str, float] = NO_FACTORS
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss to minimise and every term by its name, unweighted; all are means over the batch, in nats per image.

    `factors` scale the weights of terms by name, as a schedule says.
    """
    values = {term.name: term.value(run) for term in terms}
    counted = {term.name: term.counted(run) if term.counted else values[term.name] for term in terms}
    weights = {term.name: term.weight * factors.get(term.name, 1.0) for term in terms}
    weighted = [value if weights[name] == 1 else weights[name] * value for name, value in counted.items()]
    return reduce(add, weighted), values
