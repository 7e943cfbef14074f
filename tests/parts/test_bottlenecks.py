"""Bottlenecks by hand: what features mean, and the linear codec that they begin as."""

from __future__ import annotations

import math

import pytest
import torch

from latentdial.parts.bottlenecks import Deterministic, Gaussian, TopK
from latentdial.types import Principal

AXES = torch.tensor([[0, 1.0, 0], [0.6, 0, 0.8]])
KNOWN = Principal(torch.tensor([1.0, 2, 3]), AXES, torch.tensor([4.0, 0.25]), 4.75)  # the rest is 0.5


def test_features_are_a_code_or_means_and_log_variances():
    features = torch.tensor([[1.0, -2, 30, -30]])
    plain, grid = Deterministic(4), Deterministic((3, 2, 2))
    assert (plain.features, plain.code, plain.random, plain.starts) == (4, (4,), False, True)
    assert (grid.features, grid.code) == (3, (3, 2, 2))
    assert plain(features).mean is features
    gaussian, grid = Gaussian(2), Gaussian((3, 2, 2))
    assert (gaussian.features, gaussian.code, gaussian.random, gaussian.starts) == (4, (2,), True, True)
    assert (grid.features, grid.code) == (6, (3, 2, 2))
    assert gaussian(features).mean.tolist() == [[1, -2]]
    assert gaussian(features).log_variance.tolist() == [[20, -20]]
    assert grid(torch.zeros(1, 6, 2, 2)).mean.shape == (1, 3, 2, 2)


def test_a_plain_code_begins_as_components_of_unit_variance():
    found = Deterministic(3).linear(KNOWN, 1.0)
    expected = torch.cat([AXES * torch.tensor([[0.5], [2.0]]), torch.zeros(1, 3)])
    torch.testing.assert_close(found.weight, expected)
    torch.testing.assert_close(found.bias, -expected @ KNOWN.mean)


@pytest.mark.parametrize(("beta", "noise"), [(1.0, 0.5), (0.1, 0.05), (0.0, 1e-5)])
def test_a_gaussian_code_begins_as_probabilistic_pca(beta, noise):
    """Tipping and Bishop: the mean is sqrt(v - s) / v of a coordinate, the variance s / v, and the prior below s."""
    found = Gaussian(3).linear(KNOWN, beta)
    scales = [math.sqrt(max(v - noise, 0)) / v for v in (4, 0.25)]
    expected = torch.zeros(6, 3)
    expected[:2] = AXES * torch.tensor(scales)[:, None]
    torch.testing.assert_close(found.weight, expected)
    logs = [min(math.log(noise / v), 0) for v in (4, 0.25)]
    torch.testing.assert_close(found.bias, torch.tensor([*(-expected[:2] @ KNOWN.mean), 0, *logs, 0]))


def test_a_sparse_code_keeps_its_largest_numbers():
    sparse = TopK(4, 2)
    assert (sparse.features, sparse.code, sparse.starts) == (4, (4,), False)
    assert sparse(torch.tensor([[3.0, -1, 2, 0.5], [-4, -3, -2, -1]])).mean.tolist() == [[3, 0, 2, 0], [0, 0, -2, -1]]
