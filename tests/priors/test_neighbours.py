"""Codes drawn between those of like pictures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import latentdial
from latentdial import LatentdialError
from latentdial.latent.codec import Codec
from latentdial.priors.neighbours import NEIGHBOURS, between


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_of_a_code_and_its_neighbours_it_is_their_gaussian():
    codes = rng().normal(size=(NEIGHBOURS + 1, 3)) @ np.diag([3.0, 1.0, 0.2])
    drawn = between(codes, codes, 60_000, rng(1))
    assert drawn.shape == (60_000, 3)
    assert drawn.dtype == np.float32
    np.testing.assert_allclose(drawn.mean(0), codes.mean(0), atol=0.05)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(codes.T), atol=0.05)


def test_groups_that_lie_apart_are_not_mixed_and_are_as_likely_as_they_are_large():
    """Two groups of codes in a line: what is drawn lies on one line or on the other, a third on the smaller."""
    along = rng().normal(size=(900, 1))
    group = np.repeat([0.0, 50.0], [600, 300])[:, None]
    drawn = between(np.hstack([along, group]), np.hstack([along, group]), 3000, rng(1))
    assert np.isin(drawn[:, 1].round(4), [0, 50]).all()
    assert (drawn[:, 1] > 25).mean() == pytest.approx(1 / 3, abs=0.03)
    assert drawn[:, 0].std() == pytest.approx(along.std(), rel=0.1)


def test_near_is_what_looks_near():
    """Codes far apart in a number that shows nothing are neighbours by the one that shows."""
    shows, hidden = np.repeat([0.0, 1.0], 20), rng().normal(size=40) * 100
    drawn = between(np.stack([shows, hidden], 1), shows[:, None], 500, rng(1))
    assert np.isin(drawn[:, 0].round(4), [0, 1]).all()
    assert drawn[:, 1].std() > 30


def test_of_codes_along_a_curve_what_is_drawn_is_new_and_stays_near_it():
    """Sixty codes of a circle, one tenth of its radius apart, lie in the order of their angles for nobody."""
    angles = rng().permutation(60) / 60 * 2 * np.pi
    circle = np.stack([np.cos(angles), np.sin(angles)], 1)
    drawn = between(circle, circle, 4000, rng(1))
    assert np.sqrt(np.square(np.linalg.norm(drawn, axis=1) - 1).mean()) < 0.03
    assert np.linalg.norm(drawn[:, None] - circle, axis=2).min(1).mean() > 0.02


def test_all_codes_nearby_have_a_part_in_each_that_is_drawn():
    """Of four in space, none is left out: what is drawn lies on no side of their tetrahedron."""
    codes = np.vstack([np.zeros(3), np.eye(3)])
    shares = between(codes, codes, 500, rng(1))
    shares = np.hstack([1 - shares.sum(1, keepdims=True), shares])  # of each code
    assert np.abs(shares).min() > 1e-6


@pytest.mark.parametrize("n", [1, 2, 5])
def test_fewer_codes_than_neighbours(n):
    codes = rng().normal(size=(n, 2))
    drawn = between(codes, codes, 400, rng(1))
    np.testing.assert_allclose(drawn.mean(0), codes.mean(0), atol=0.3)
    assert (drawn.std(0) > 1e-5).all() == (n > 1)


def test_many_are_drawn_in_parts_by_seed():
    codes = rng().normal(size=(50, 2))
    one, two = (between(codes, codes, 1000, rng(1)) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert len(np.unique(one, axis=0)) == 1000


@pytest.fixture(scope="module")
def codec() -> Codec:
    """A linear pair whose first number shows strongly, and the second hardly."""
    decoder = nn.Linear(2, 16, bias=False)
    decoder.weight.data = torch.stack([torch.full((16,), 0.2), 0.002 * torch.ones(16).cumsum(0)], 1)
    codes = np.stack([np.repeat([-1.0, 1.0], 30), rng().normal(size=60)], 1).astype(np.float32)
    plain = latentdial.wrap(nn.Linear(16, 2), decoder, size=4, colour="grey")
    return replace(plain, training_codes=codes)


def test_a_codec_draws_between_codes_whose_pictures_are_alike(codec):
    drawn = codec.sample_codes(400, seed=3, prior="neighbours")
    np.testing.assert_allclose(np.abs(drawn[:, 0]), 1, atol=1e-4)
    np.testing.assert_array_equal(drawn, codec.sample_codes(400, seed=3, prior="neighbours"))
    half = codec.sample_codes(400, seed=3, prior="neighbours", temperature=0.5)
    np.testing.assert_allclose(half - codec.codes.mean(0), (drawn - codec.codes.mean(0)) / 2, atol=1e-5)
    assert codec.sample(4, prior="neighbours").shape == (4, 4, 4, 1)


def test_an_unknown_prior_is_told_of_it(codec):
    with pytest.raises(LatentdialError, match="neighbours"):
        codec.sample_codes(1, prior="neighbors")


class _Still:
    """Numbers that are no chance: every code in turn, and no noise."""

    def integers(self, low: int, high: int, size: int) -> np.ndarray:
        return np.arange(size) % high

    def standard_normal(self, shape: tuple[int, ...]) -> np.ndarray:
        return np.zeros(shape)


def test_without_noise_a_draw_is_the_mean_of_a_code_and_the_three_that_are_seen_nearest():
    codes, seen = rng().standard_normal((3000, 5)), rng(1).standard_normal((3000, 2))
    apart = np.square(seen[:60, None] - seen).sum(2)
    nearest = np.argsort(apart, axis=1)[:, :4]
    np.testing.assert_allclose(between(codes, seen, 60, _Still()), codes[nearest].mean(1), atol=1e-6)
