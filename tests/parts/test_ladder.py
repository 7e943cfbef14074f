"""Levels as they begin, and the linear codec that they begin as."""

from __future__ import annotations

import math

import pytest
import torch

from latentdial.parts.bottlenecks import Deterministic, Gaussian
from latentdial.parts.ladder import Ladder, Said, TwoLevels, _apart, _gaussian, _moved, _weighed, rates
from latentdial.posteriors import Diagonal
from latentdial.types import Batch, Level, Pass, Principal

AXES = torch.tensor([[0, 1.0, 0], [0.6, 0, 0.8], [0.8, 0, -0.6]])
KNOWN = Principal(torch.tensor([1.0, 2, 3]), AXES, torch.tensor([4.0, 0.25, 0.1]), 4.45)


def test_what_is_said_is_little_at_first_and_never_beyond_all_bounds():
    torch.manual_seed(0)
    said = Said(4, 64, 3)
    assert [tuple(said.net[i].weight.shape) for i in (0, 2)] == [(64, 4), (6, 64)]
    assert said.net[0].weight.abs().max().item() == pytest.approx(0.5, rel=0.05)
    assert said.net[2].weight.abs().max().item() == pytest.approx(0.01 / 8, rel=0.05)
    assert said.net[2].bias.abs().max() < 0.01 / 8
    assert said(torch.zeros(7, 4)).mean.shape == (7, 3)
    bounded = _gaussian(torch.tensor([[5.0, -6, 30, -30]]))
    assert (bounded.mean.tolist(), bounded.log_variance.tolist()) == ([[5, -6]], [[20, -20]])


def test_sizes_of_two_levels_and_of_a_ladder():
    two = TwoLevels(Gaussian(3), 2, 5)
    assert (two.features, two.code, two.sizes, two.random, two.starts) == (6, (5,), (2, 3), True, True)
    assert not TwoLevels(low_without_start(), 2, 5).starts
    ladder = Ladder(Gaussian(3), [1, 2], 5)
    assert (ladder.features, ladder.code, ladder.sizes, ladder.random) == (11, (6,), (1, 2, 3), True)
    assert [tuple(down.net[i].weight.shape) for down in ladder.downs for i in (0, 2)] == [
        (5, 1),
        (4, 5),
        (5, 2),
        (6, 5),
    ]
    assert [tuple(says.weight.shape) for says in ladder.says] == [(4, 5), (2, 5)]
    seen = ladder(torch.zeros(7, 11)).seen
    assert [one.mean.shape for one in seen] == [(7, 1), (7, 2), (7, 3)]
    features = torch.randn(7, 11, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(ladder(features).seen[2].mean, features[:, :3])
    deeper = ladder.ups[0](features[:, 6:])
    torch.testing.assert_close(ladder(features).seen[1].mean, ladder.says[0](deeper)[:, :2])
    torch.testing.assert_close(ladder(features).seen[0].mean, ladder.says[1](ladder.ups[1](deeper))[:, :1])


def low_without_start() -> Deterministic:
    low = Deterministic(3)
    low.starts = False
    return low


def test_levels_begin_as_the_linear_codec_of_the_lowest():
    alone = Gaussian(2).linear(KNOWN.first(2), 0.5)
    found = TwoLevels(Gaussian(2), 1, 5).linear(KNOWN.first(2), 0.5)
    torch.testing.assert_close(found.weight, alone.weight)
    torch.testing.assert_close(found.bias, alone.bias)


@pytest.mark.parametrize("beta", [0.5, 10.0])
def test_what_a_ladder_sees_makes_with_the_prior_the_posterior_of_the_lowest_alone(beta):
    """Precisions add up: that of the prior is 1. Above the noise of 10 nothing is known, which is seen as 0.99."""
    alone = Gaussian(2).linear(KNOWN.first(2), beta)
    found = Ladder(Gaussian(2), [1], 5).linear(KNOWN.first(2), beta)
    assert found.weight.shape == (4 + 5, 3)
    x = torch.tensor([[2.0, 1.0, -1.0]])
    mean, log_variance = (x @ found.weight.T + found.bias)[:, :4].chunk(2, 1)
    wanted, log_wanted = (x @ alone.weight.T + alone.bias).chunk(2, 1)
    precision = (-log_variance).exp()
    torch.testing.assert_close(1 / (1 + precision), log_wanted.exp().clamp(max=0.99))
    torch.testing.assert_close(mean * precision / (1 + precision), wanted)
    torch.testing.assert_close(found.weight[4:], alone.weight[[0, 1, 0, 1, 0]])
    torch.testing.assert_close(found.bias[4:], alone.bias[[0, 1, 0, 1, 0]])


def test_the_divergence_of_every_level_is_logged_by_its_number():
    class Known(Diagonal):
        def kl(self, prior):
            return torch.tensor([[1.0, 2, 4, 8], [3, 0, 0, 0]])

    level = Level(torch.zeros(1, 2, 4), Known(torch.zeros(2, 4), torch.zeros(2, 4)), torch.nn.Identity())
    x = torch.zeros(2, 1, 1, 1)
    terms = rates((1, 1, 2))
    found = {
        term.name: float(term.value(Pass(x, x[None], torch.zeros(1, 2), {"z": level}), Batch(x))) for term in terms
    }
    assert found == {"kl_3": 2, "kl_2": 1, "kl_1": 6}
    assert {term.weight for term in terms} == {0}


def test_standard_deviations_from_what_is_likely_and_back():
    likely, z = Diagonal(torch.tensor([[1.0, 2.0]]), torch.tensor([[math.log(4), 0.0]])), torch.tensor([[5.0, -1.0]])
    assert _apart(z, likely).tolist() == [[2, -3]]
    torch.testing.assert_close(_moved(likely, _apart(z, likely)), z)
    seen = Diagonal(
        torch.tensor([[5.0, 2.0]]), torch.tensor([[math.log(4 / 3), 0.0]])
    )  # a third of its variance, the same
    both = _weighed(seen, likely)
    torch.testing.assert_close(both.mean, torch.tensor([[2 * 3 / 4, 0]]))
    torch.testing.assert_close(both.log_variance.exp(), torch.tensor([[1 / 4, 1 / 2]]))
