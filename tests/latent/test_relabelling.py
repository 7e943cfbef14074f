"""Codes of one label moved to where those of another lie."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import sqrtm

from latentdial.latent.relabelling import transport
from latentdial.priors.whitening import Whitening


def gaussian(seed: int, size: int = 4) -> tuple[Whitening, np.ndarray]:
    """A Gaussian and its covariance."""
    rng = np.random.default_rng(seed)
    root = np.linalg.cholesky(np.cov(rng.standard_normal((size, 3 * size))))
    return Whitening(rng.standard_normal(size), root), root @ root.T


def test_the_way_is_the_shortest_between_two_gaussians():
    (first, one), (second, other) = gaussian(0), gaussian(1)
    half = sqrtm(one).real
    least = np.linalg.inv(half) @ sqrtm(half @ other @ half).real @ np.linalg.inv(half)  # Peyre & Cuturi 2019, eq. 2.40
    codes = np.random.default_rng(2).standard_normal((5, 4))
    np.testing.assert_allclose(transport(codes, first, second), second.mean + (codes - first.mean) @ least.T, atol=1e-9)
    np.testing.assert_allclose(least @ one @ least.T, other, atol=1e-9)


def test_between_equal_gaussians_nothing_moves_and_back_again_is_where_it_was():
    (first, _), (second, _) = gaussian(3), gaussian(4)
    codes = np.random.default_rng(5).standard_normal((6, 4))
    np.testing.assert_allclose(transport(codes, first, first), codes, atol=1e-9)
    there = transport(codes, first, second)
    assert np.abs(there - codes).max() > 0.1
    np.testing.assert_allclose(transport(there, second, first), codes, atol=1e-9)


def test_only_means_that_differ_move_all_codes_alike():
    first, _ = gaussian(6)
    moved = transport(np.zeros((3, 4)), first, Whitening(first.mean + 2, first.root))
    np.testing.assert_allclose(moved, 2, atol=1e-9)


@pytest.mark.parametrize("sd", [0.5, 4.0])
def test_one_dimension_is_stretched(sd):
    first, second = Whitening(np.ones(1), np.ones((1, 1))), Whitening(np.zeros(1), np.array([[sd]]))
    np.testing.assert_allclose(transport(np.array([[3.0]]), first, second), [[2 * sd]])
