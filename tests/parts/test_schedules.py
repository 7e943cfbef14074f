"""Schedules by hand."""

from __future__ import annotations

import pytest

from latentdial.parts.schedules import constant, cosine, cyclic, linear, steps


@pytest.mark.parametrize(
    ("schedule", "factors"),
    [
        (constant(), [1, 1, 1, 1, 1]),
        (cosine(), [1, 0.5 + 0.125**0.5, 0.5, 0, 0]),
        (steps([0.25, 0.5], 0.1), [1, 0.1, 0.01, 0.01, 0.01]),
        (linear(0.5), [0, 0.5, 1, 1, 1]),
        (cyclic(0.5, 2), [0, 1, 0, 1, 1]),
    ],
)
def test_factors_at_the_start_a_quarter_half_the_end_and_beyond(schedule, factors):
    assert [schedule(done) for done in (0, 0.25, 0.5, 1, 1.5)] == pytest.approx(factors, abs=1e-12)
