"""Objectives: terms in nats per image, each logged under its own name, weighted and summed to the loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from latentdial.types import Pass, Weight


@dataclass(frozen=True)
class Term:
    """A named loss term: `value` maps a pass to nats per image, (B,)."""

    name: str
    value: Callable[[Pass], Tensor]
    weight: Weight = 1.0

    def weight_at(self, step: int) -> float:
        return self.weight(step) if callable(self.weight) else self.weight


def nll() -> Term:
    """-E_q[log p(x|z)] over the K samples: the reconstruction term (arXiv 1312.6114, eq. 3)."""
    return Term("nll", lambda p: -p.log_px.mean(0))


def kl(weight: Weight = 1.0) -> Term:
    """KL(q(z|x) || p(z)), analytic, summed over dimensions; `weight` is the beta of beta-VAE, in nats per image."""
    return Term("kl", lambda p: sum(level.sum(-1) for level in p.kl.values()), weight)  # type: ignore[arg-type, return-value]


def total(terms: Sequence[Term], run: Pass, step: int) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss to minimise and every term by its name, unweighted; all are means over the batch, in nats per image."""
    values = {term.name: term.value(run).mean() for term in terms}
    loss = sum(term.weight_at(step) * values[term.name] for term in terms)
    return loss, values  # type: ignore[return-value]
