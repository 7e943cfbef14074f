"""Values that cross rooms, by small cases computed by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from latentdial.parts.objectives import total
from latentdial.parts.priors import StandardNormal
from latentdial.posteriors import Bottleneck, Diagonal, Point
from latentdial.types import Batch, Level, Pass, Principal, Term

LOG_2_PI = math.log(2 * math.pi)


class Unknown(StandardNormal):
    """A prior without a closed form."""

    def kl(self, mean, log_variance):
        return None


def test_components_project_restore_and_say_what_they_leave():
    axes = torch.tensor([[0, 1.0, 0, 0], [0, 0, 0.6, 0.8]])
    two = Principal(torch.tensor([1.0, 2, 3, 4]), axes, torch.tensor([5.0, 2]), 8.5)
    pictures = torch.tensor([[[1.0, 7], [3, 4]], [[1, 2], [3.6, 4.8]]])
    assert two.project(pictures).tolist() == [[5, 0], [0, pytest.approx(1)]]
    torch.testing.assert_close(two.restore(two.project(pictures)), pictures.flatten(1))
    assert two.rest == pytest.approx((8.5 - 7) / 2)
    one = two.first(1)
    assert (one.components.tolist(), one.variances.tolist()) == ([[0, 1, 0, 0]], [5])
    assert one.rest == pytest.approx((8.5 - 5) / 3)
    assert replace(two, total=6.9).rest == 0  # by rounding
    assert Principal(two.mean, torch.eye(4), torch.ones(4), 4.5).rest == 0


def level(prior, samples: int = 3) -> Level:
    """Codes (K, 2, 2, 1) of two pictures, over a grid, all of them 3; the means 1 and 2, the variances 1 and 4."""
    means, log_variances = torch.ones(2, 2, 1), torch.zeros(2, 2, 1)
    means[1], log_variances[1] = 2, math.log(4)
    return Level(torch.full((samples, 2, 2, 1), 3.0), Diagonal(means, log_variances), prior)


def test_densities_of_a_code_over_a_grid_are_summed_for_every_sample_and_picture():
    found = level(StandardNormal(2))
    torch.testing.assert_close(found.log_pz, torch.full((3, 2), -9 - LOG_2_PI))
    expected = torch.tensor([-4 - LOG_2_PI, -0.25 - LOG_2_PI - math.log(4)])
    torch.testing.assert_close(found.log_qz, expected.expand(3, 2))


def test_a_divergence_is_analytic_by_dimension_or_else_the_mean_over_samples():
    analytic = level(StandardNormal(2)).kl
    torch.testing.assert_close(analytic, torch.tensor([[0.5, 0.5], [0.5 * (4 + 3 - math.log(4))] * 2]))
    found = level(Unknown(2))
    moved = replace(found, z=torch.stack([found.z[0], found.z[0] + 1]))
    torch.testing.assert_close(moved.kl, (moved.log_qz - moved.log_pz).mean(0, keepdim=True).T)
    assert moved.kl.shape == (2, 1)
    assert level(None).kl is None
    assert level(None).log_pz is None
    point = replace(found, posterior=Point(found.posterior.mean))
    assert point.log_qz is None
    assert point.kl is None


def test_a_pass_speaks_of_the_level_nearest_to_the_data_and_weighs_all():
    near, far = level(StandardNormal(2)), level(StandardNormal(2))
    far = replace(far, z=far.z - 1)
    passed = Pass(torch.zeros(2, 1, 1, 1), torch.zeros(3, 2, 1, 1, 1), torch.full((3, 2), -7.0), {"a": near, "b": far})
    assert passed.z is near.z
    torch.testing.assert_close(
        passed.log_weight, -7 + near.log_pz - near.log_qz + far.log_pz - far.log_qz, rtol=0, atol=1e-5
    )


def test_a_term_that_says_no_more_than_its_value_counts_once_whatever_the_schedule():
    x = torch.zeros(1, 1, 1, 1)
    passed = Pass(x, x[None], torch.zeros(1, 1), {})
    term = Term("three", lambda p, _: torch.tensor(3.0))
    assert total([term], passed, Batch(x), 0.5)[0] == 3
    assert total([replace(term, scheduled=True)], passed, Batch(x), 0.5)[0] == 1.5
    assert term.compiles
    alone = Batch(x)  # pictures that are their whole set, when training is over
    assert (alone.pictures, alone.done, alone.y, alone.noise) == (1, 1.0, None, {})


def test_posteriors_draw_by_their_definition_and_a_bottleneck_promises_nothing():
    mean, log_variance = torch.tensor([[1.0, -2], [5, 0]]), torch.tensor([[0.0, math.log(9)], [math.log(4), 0]])
    drawn = Diagonal(mean, log_variance).sample(torch.tensor([[[2.0, 0.5], [1, 1]], [[0, -1], [0, 0]]]), 2)
    torch.testing.assert_close(drawn, torch.tensor([[[3.0, -0.5], [7, 1]], [[1, -5], [5, 0]]]))
    assert Point(mean).sample(None).tolist() == [mean.tolist()]
    assert Point(mean).sample(None, 2).tolist() == [mean.tolist()] * 2
    learnt = mean.clone().requires_grad_()
    held = Diagonal(learnt, learnt, {"more": mean}).detached()
    assert not held.mean.requires_grad
    assert not held.log_variance.requires_grad
    assert held.extra == {"more": mean}
    plain = Bottleneck(3, (2,))
    assert not plain.random
    assert not plain.starts
    assert plain.read(mean) is mean
