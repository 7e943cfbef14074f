"""Bounds and units of likelihoods, by numbers that are known."""

from __future__ import annotations

import math

import pytest
import torch

from latentdial.measure.likelihood import bits_per_dim, importance_bound, information, log_likelihood

WEIGHTS = torch.tensor([[1.0, 2.0, 4.0, 5.0], [8.0, 8.0, 8.0, 8.0]]).T.log()  # (K, B): means 3 and 8


def test_the_bound_is_the_log_of_the_mean_weight():
    torch.testing.assert_close(importance_bound(WEIGHTS).exp(), torch.tensor([3.0, 8.0]))


@pytest.mark.parametrize(("chunk", "asked"), [(1, [1, 1, 1, 1]), (3, [3, 1]), (4, [4]), (64, [4])])
def test_it_is_the_same_some_at_a_time(chunk, asked):
    counts, rows = [], iter(WEIGHTS)

    def draw(count: int) -> torch.Tensor:
        counts.append(count)
        return torch.stack([next(rows) for _ in range(count)])

    torch.testing.assert_close(log_likelihood(draw, 4, chunk).exp(), torch.tensor([3.0, 8.0]).double())
    assert counts == asked
    with pytest.raises(ValueError, match="at least one"):
        log_likelihood(draw, 0)


def test_codes_are_drawn_64_at_a_time_where_nothing_is_said():
    counts = []
    log_likelihood(lambda count: counts.append(count) or torch.zeros(count, 1), 130)
    assert counts == [64, 64, 2]


def test_bits_are_of_levels_of_a_width():
    assert bits_per_dim(-3 * math.log(2), 3) == pytest.approx(1)
    assert bits_per_dim(-3 * math.log(2), 3, 2.0) == pytest.approx(0)


def test_information_of_three_codes_by_hand():
    each = torch.tensor([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.1, 0.1, 0.8]]).log()
    least, most = information(each)
    assert least == pytest.approx((2 * math.log(0.5 * 3) + math.log(0.8 * 3)) / 3)
    assert most == pytest.approx((2 * math.log(0.5 / 0.25) + math.log(0.8 / 0.1)) / 3)
    assert information(torch.zeros(1, 1))[0] == 0
