"""Terms and their sum, by hand."""

from __future__ import annotations

import pytest
import torch

from latentdial.parts.objectives import kl, nll, total
from latentdial.types import Batch, Pass, Term

X = torch.zeros(2, 1, 1, 1)


class Known:
    """A level whose divergences (B, D) are known."""

    def __init__(self, kl: torch.Tensor | None):
        self.kl = kl


def passed(*levels: torch.Tensor | None) -> Pass:
    log_px = torch.tensor([[-1.0, -2.0], [-3.0, -6.0]])
    return Pass(X, X[None], log_px, {str(i): Known(kl) for i, kl in enumerate(levels)})


def test_reconstruction_is_a_mean_over_samples_and_pictures():
    assert nll().value(passed(), Batch(X)) == 3
    assert (nll().name, nll().weight, nll().scheduled) == ("nll", 1, False)


def test_divergences_are_summed_over_dimensions_and_levels_and_those_without_one_are_left_out():
    run = passed(torch.tensor([[1.0, 0.0], [2.0, 1.0]]), None, torch.tensor([[4.0], [0.0]]))
    term = kl()
    assert term.value(run, Batch(X)) == (1 + 3) / 2 + 2
    assert (term.name, term.weight, term.scheduled, term.counted) == ("kl", 1, True, None)
    free = kl(2.0, free_bits=1.0)
    assert free.value(run, Batch(X)) == 4
    assert free.counted(run, Batch(X)) == 1.5 + 1 + 2  # the second dimension's mean is half a nat
    assert total([free], run, Batch(X), 0.5)[0] == 4.5


def test_a_loss_is_the_weighted_sum_of_what_counts():
    def of(value: float, **more) -> Term:
        return Term(str(value), lambda p, _: torch.tensor(value), **more)

    terms = [
        of(1.0),
        of(2.0, weight=3.0),
        of(5.0, weight=0.0),  # only logged
        of(7.0, weight=2.0, scheduled=True),
        of(11.0, counted=lambda p, _: torch.tensor(13.0), weight=0.5),
    ]
    loss, values = total(terms, passed(), Batch(X), 0.25)
    assert loss.item() == pytest.approx(1 + 6 + 3.5 + 6.5)
    assert {name: float(value) for name, value in values.items()} == {str(float(v)): v for v in (1, 2, 5, 7, 11)}
    assert total(terms, passed(), Batch(X))[0].item() == pytest.approx(1 + 6 + 14 + 6.5)
