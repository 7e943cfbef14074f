"""Terms of the aggregate posterior of two pictures, by hand."""

from __future__ import annotations

import math

import pytest
import torch

from latentdial.parts.aggregate import decompose, dip, discrepancy, log_aggregate, mmd, multiquadratic, rbf
from latentdial.parts.aggregate import total_correlation as correlation
from latentdial.parts.priors import StandardNormal
from latentdial.posteriors import Diagonal, Point
from latentdial.types import Batch, Level, Pass

MEANS = torch.tensor([[0.0, 0.0], [1.0, 2.0]])


def level() -> Level:
    """Two codes at the means of their posteriors, whose variances are 1."""
    return Level(MEANS[None], Diagonal(MEANS, torch.zeros(2, 2)), StandardNormal(2))


def passed(held: Level) -> Pass:
    x = torch.zeros(2, 1, 1, 1)
    return Pass(x, x[None], torch.zeros(held.z.shape[:2]), {"z": held})


@pytest.mark.parametrize(("pictures", "own", "other"), [(2, 1 / 2, 1 / 2), (10, 1 / 10, 9 / 10)])
def test_a_code_is_likely_under_its_own_picture_and_the_others_share_the_rest(pictures, own, other):
    joint, each = log_aggregate(level(), pictures)
    peak = 1 / (2 * math.pi)
    torch.testing.assert_close(joint.exp(), torch.full((1, 2), peak * (own + other * math.exp(-2.5))))
    apart = [math.sqrt(peak) * (own + other * math.exp(-square / 2)) for square in (1, 4)]
    torch.testing.assert_close(each.exp(), torch.tensor([[apart, apart]]))
    information, together, dimensions = decompose(level(), pictures)
    torch.testing.assert_close(information, level().log_qz - joint)
    torch.testing.assert_close(together, joint - each.sum(-1))
    torch.testing.assert_close(dimensions, each.sum(-1) - level().log_pz)
    run = passed(level())
    term = correlation(3.0)
    torch.testing.assert_close(term.value(run, Batch(run.x, pictures=pictures)), together.mean())
    assert (term.name, term.weight, term.scheduled) == ("tc", 3.0, True)


def test_of_a_set_that_nobody_has_counted_all_pictures_of_a_batch_weigh_one():
    peak = 1 / (2 * math.pi)
    torch.testing.assert_close(log_aggregate(level(), 1)[0].exp(), torch.full((1, 2), peak * (1 + math.exp(-2.5))))
    wide = Diagonal(MEANS, torch.tensor([[0.0, 0.0], [math.log(4), math.log(4)]]))  # each code under either posterior
    found = log_aggregate(Level(MEANS[None], wide, StandardNormal(2)), 2)[0]
    first, second = 1 + math.exp(-5 / 8) / 4, math.exp(-2.5) + 1 / 4
    torch.testing.assert_close(found.exp(), torch.tensor([[first, second]]) * peak / 2)


def test_a_covariance_is_held_against_the_identity():
    """That of the means is (1/4, 1/2; 1/2, 1); with the posteriors' own variance (5/4, 1/2; 1/2, 2)."""
    run = passed(level())
    off = 2 * 0.5**2
    for kind, on in (("i", 0.75**2), ("ii", 0.25**2 + 1)):
        term = dip(kind, 3.0, 5.0)
        assert term.value(run, Batch(run.x)).item() == pytest.approx(3 * off + 5 * on)
        assert (term.name, term.weight, term.scheduled) == ("dip", 1.0, True)


def test_kernels_and_their_discrepancy():
    a, b = torch.tensor([[0.0, 0.0], [3.0, 4.0]]), torch.tensor([[3.0, 4.0], [6.0, 8.0], [0.0, 0.0]])
    near, far = math.exp(-25 / 4), math.exp(-100 / 4)
    torch.testing.assert_close(rbf(2)(a, b), torch.tensor([[near, far, 1], [1, near, near]]))
    scales = [4 * share for share in (0.1, 0.2, 0.5, 1, 2, 5, 10)]
    assert multiquadratic(2)(a, b)[0].tolist() == pytest.approx(
        [sum(c / (c + square) for c in scales) for square in (25, 100, 0)]
    )
    between = (far + 2 + 3 * near) / 6
    same = b[:2]
    expected = near + near - 2 * (near + far + 1 + near) / 4
    assert discrepancy(a, same, rbf(2)).item() == pytest.approx(expected)
    assert rbf(2)(a, b).mean().item() == pytest.approx(between)
    assert discrepancy(a[:1], a[1:], rbf(2)).item() == pytest.approx(-2 * near)
    term = mmd(2, rbf(2), 3.0)
    held = Level(a[None], Point(a))
    found = term.value(passed(held), Batch(torch.zeros(2), {"prior": same[None]}))
    assert found.item() == pytest.approx(expected)
    assert (term.name, term.weight, term.scheduled, term.draws) == ("mmd", 3.0, True, {"prior": (2,)})
