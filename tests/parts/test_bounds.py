"""Bounds of log p(x) of two samples, by hand."""

from __future__ import annotations

import math

import pytest
import torch

from latentdial.parts.bounds import importance
from latentdial.parts.priors import StandardNormal
from latentdial.posteriors import Diagonal
from latentdial.types import Batch, Level, Pass


def test_bounds_of_several_samples_by_hand():
    """Weights 1 and 3 of one picture, 2 and 2 of another: the logs of their means against the means of their logs."""
    posterior, z = Diagonal(torch.zeros(2, 1), torch.zeros(2, 1)), torch.zeros(2, 2, 1)
    x = torch.zeros(2, 1, 1, 1)
    weights = torch.tensor([[1.0, 2.0], [3.0, 2.0]])
    run = Pass(x, x[None], weights.log(), {"z": Level(z, posterior, StandardNormal(1))})  # its log p - log q is zero
    bound, elbo = -math.log(2), -(math.log(3) + 2 * math.log(2)) / 4
    assert importance(2).value(run, Batch(x)).item() == pytest.approx(bound)
    assert importance(1).value(run, Batch(x)).item() == pytest.approx(elbo)
    mixed = importance(2, 0.25)
    assert mixed.value(run, Batch(x)).item() == pytest.approx(0.75 * bound + 0.25 * elbo)
    assert mixed.counted(run, Batch(x)).item() == pytest.approx(0.75 * bound + 0.25 * elbo)
    assert (mixed.name, mixed.weight, mixed.compiles) == ("iwae", 1.0, False)
    plain = importance(2, dreg=False)
    assert plain.counted is None
    assert plain.compiles
