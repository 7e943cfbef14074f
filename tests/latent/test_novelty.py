"""Pictures unlike the training pictures are told so, with the place they have among held-out ones."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2

from latentdial.latent.novelty import LIMIT, Novelty, fit_novelty
from latentdial.measure.anomaly import outline_mismatch


def normal(n: int, seed: int) -> np.ndarray:
    """Codes (n, 3) with axes of different lengths, turned."""
    turn = np.linalg.qr(np.random.default_rng(9).normal(size=(3, 3)))[0]
    return np.random.default_rng(seed).normal(size=(n, 3)) * [3.0, 1.0, 0.5] @ turn + [1, 2, 3]


def lost(n: int, seed: int) -> np.ndarray:
    """Losses (n, 2) of usual pictures."""
    return np.random.default_rng(seed).uniform([1, 0.2], [2, 0.4], (n, 2))


def fitted(codes: np.ndarray, held_out: np.ndarray, losses: np.ndarray) -> Novelty:
    return fit_novelty(codes.mean(0), np.cov(codes.T, bias=True), held_out, losses)


@pytest.fixture(scope="module")
def known():
    return fitted(normal(2000, 0), normal(600, 1), lost(600, 2))


def test_the_distance_of_a_code_is_that_of_its_gaussian(known):
    distances = known.figures(np.zeros((4000, 2)), normal(4000, 3))[:, 2]
    for share in (0.5, 0.95):
        assert np.quantile(distances, share) ** 2 == pytest.approx(chi2.ppf(share, 3), rel=0.06)


def test_axes_along_which_codes_do_not_vary_are_not_looked_at():
    codes = np.pad(normal(300, 0), ((0, 0), (0, 2)))
    found = fitted(codes, codes[:50], np.ones((50, 2)))
    assert found.axes.shape == (5, 3)


def test_new_normal_pictures_are_seldom_unlike(known):
    told = known.told(known.figures(lost(4000, 5), normal(4000, 4)))
    assert np.mean([one.unlike for one in told]) == pytest.approx(1 - LIMIT, abs=0.008)
    places = np.array([one.percentile for one in told])
    assert np.quantile(places, [0.25, 0.5, 0.75]) == pytest.approx([25, 50, 75], abs=5)


def test_the_reason_is_the_figure_that_is_furthest_out(known):
    codes = np.array([[1.0, 2, 3]] * 3 + [[40, 2, 3]])
    rows = known.figures(np.array([[1.5, 0.3], [30, 0.3], [1.5, 0.9], [1.5, 0.3]]), codes)
    usual, faint, other, away = known.told(rows)
    assert [one.unlike for one in (usual, faint, other, away)] == [False, True, True, True]
    assert "keeps so little" in faint.sentence()
    assert faint.lost == pytest.approx(20, rel=0.05)
    assert "other outlines" in other.sentence()
    assert other.astray == pytest.approx(3, rel=0.05)
    assert "lies so far" in away.sentence()
    assert faint.percentile == 100
    assert "all 600" in faint.place


def test_outlines_are_compared_whatever_the_contrast():
    x, y = np.random.default_rng(0).integers(0, 255, (2, 3, 6, 7, 3))
    slopes = [np.concatenate([np.diff(p, axis=k).ravel() for k in (0, 1)]) for p in (x[0], y[0])]
    direct = 1 - slopes[0] @ slopes[1] / np.prod([np.linalg.norm(s) for s in slopes])
    assert outline_mismatch(x, y)[0] == pytest.approx(direct)
    assert outline_mismatch(x, 0.2 * x + 30) == pytest.approx(np.zeros(3), abs=1e-9)
    assert outline_mismatch(np.full_like(x, 9), x) == pytest.approx(np.ones(3))


def test_the_place_of_a_picture_by_hand():
    """Its scores are (4 - 2) / 1 and so on; of a hundred held-out ones those below it count, equal ones do not."""
    held = np.arange(1, 101) / 10
    known = Novelty(np.array([1.0, 0]), np.diag([1.0, 2]), np.array([2.0, 0.5, 0]), np.array([1.0, 0.25, 2]), held)
    assert known.limit == 10.0
    figures = known.figures(np.array([[4, 0.5], [2, 1.6], [2, 0.5]]), np.array([[1.0, 0], [4, 2], [1, 11]]))
    np.testing.assert_allclose(figures, [[4, 0.5, 0], [2, 1.6, 5], [2, 0.5, 22]])
    np.testing.assert_allclose(known.score(figures), [2, 4.4, 11])
    first, second, third = known.told(figures)
    assert (first.percentile, second.percentile, third.percentile) == (19, 43, 100)
    assert (first.held_out, first.unlike, second.unlike, third.unlike) == (100, False, False, True)
    assert (first.lost, first.astray, first.away) == (2, 1, 0)
    assert second.astray == pytest.approx(3.2)
    assert ["keeps so little" in first.reason, "outlines" in second.reason, "so far" in third.reason] == [True] * 3
    assert first.place == "stranger than 19% of 100 held-out ones"
    assert third.place == "stranger than all 100 held-out ones"
    assert "its error is 1.0, the mismatch of outlines 1.0 and the" in third.sentence()
    at_the_limit = known.told(np.array([[12.0, 0.5, 0]]))[0]
    assert (at_the_limit.unlike, at_the_limit.percentile) == (False, 99)


@pytest.mark.parametrize(("n", "rank"), [(1000, 991), (199, 198), (198, 198), (50, 50)])
def test_the_limit_has_the_rank_that_holds_99_of_100_new_pictures(n, rank):
    flat = np.zeros(3)
    assert Novelty(flat, np.eye(3), flat, flat + 1, np.arange(1, n + 1)).limit == rank


def test_figures_count_from_their_median_in_units_of_the_way_to_their_95_percent_point():
    """Errors are 0 to 100, outlines are all alike, and codes vary along one of three axes only as rounding does."""
    codes = np.outer(np.arange(101.0), [1, 0, 0])
    steps = np.column_stack([np.arange(101.0), np.full(101, 0.2)])
    found = fit_novelty(np.zeros(3), np.diag([400.0, 1.3, 1.2]), codes, steps)
    assert found.axes.shape == (3, 1)  # the others have less than 1% of the mean, 1.34
    np.testing.assert_allclose(np.abs(found.axes[:, 0]), [0.05, 0, 0])
    np.testing.assert_allclose(found.middle, [50, 0.2, 2.5])
    np.testing.assert_allclose(found.spread, [45, 1e-9, 2.25])
    np.testing.assert_allclose(found.normal, (np.arange(101) - 50).clip(0) / 45, atol=1e-6)
    (odd,) = found.told(np.array([[50, 0.201, 2.5]]))
    assert odd.unlike
    assert "outlines" in odd.reason
    assert fit_novelty(np.zeros(3), np.diag([400.0, 1.5, 1.2]), codes, steps).axes.shape == (3, 2)
    still = fit_novelty(np.zeros(3), np.zeros((3, 3)), np.zeros((101, 3)), steps)
    assert still.axes.shape == (3, 0)
    assert fit_novelty(np.zeros(3), np.eye(3) * 1e-6, codes, steps).axes.shape == (3, 3)
