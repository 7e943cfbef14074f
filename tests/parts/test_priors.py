"""Priors as they are before anything is learnt, and where a mixture of one or of known parts has closed forms."""

from __future__ import annotations

import math

import pytest
import torch

from latentdial.parts.priors import Mixture, StandardNormal, Vamp
from latentdial.posteriors import Diagonal

LOG_2_PI = math.log(2 * math.pi)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_standard_normal_by_hand():
    prior = StandardNormal(3)
    z = torch.tensor([[[0.0, 1.0, -2.0]]])
    torch.testing.assert_close(prior.log_prob(z), -0.5 * (torch.tensor([[[0.0, 1, 4]]]) + LOG_2_PI))
    kl = prior.kl(torch.tensor([[1.0, 0]]), torch.tensor([[0.0, math.log(4)]]))
    torch.testing.assert_close(kl, torch.tensor([[0.5, 0.5 * (3 - math.log(4))]]))
    assert torch.equal(prior.sample(4, seeded()), torch.randn(4, 3, generator=seeded()))


def test_a_mixture_begins_near_the_standard_normal_and_one_of_one_is_it():
    torch.manual_seed(0)
    many, one = Mixture(40, 50), Mixture(2, 1)
    assert many.mean.std().item() == pytest.approx(0.5, rel=0.05)
    torch.testing.assert_close(many.log_variance, torch.full((50, 40), math.log(0.75)))
    assert many.logits.requires_grad
    assert not many.logits.any()
    assert not one.mean.any()
    assert not one.log_variance.any()
    assert not one.logits.requires_grad
    two = Mixture(2, 2)
    assert two.mean.abs().min() > 0
    assert two.logits.requires_grad
    assert two.kl(torch.zeros(1, 2), torch.zeros(1, 2)) is None


def test_a_mixture_of_two_by_hand():
    """Half N(1, 1) and half N(-1, 4) along one dimension; then three quarters and a quarter."""
    prior = Mixture(1, 2).requires_grad_(False)
    prior.mean.copy_(torch.tensor([[1.0], [-1.0]]))
    prior.log_variance.copy_(torch.tensor([[0.0], [math.log(4)]]))
    first, second = (math.exp(-0.5 * LOG_2_PI - 0.5 * square) / sd for square, sd in ((0.0, 1), (1.0, 2)))
    z = torch.tensor([[[1.0]]])
    assert prior.log_prob(z).shape == (1, 1, 1)
    assert prior.log_prob(z).exp().item() == pytest.approx(0.5 * first + 0.5 * second)
    prior.logits.copy_(torch.tensor([math.log(3), 0.0]))
    assert prior.log_prob(z).exp().item() == pytest.approx(0.75 * first + 0.25 * second)
    drawn = prior.sample(4000, seeded())
    assert drawn.shape == (4000, 1)
    assert drawn.mean().item() == pytest.approx(0.75 - 0.25, abs=0.08)
    assert drawn.var().item() == pytest.approx(0.75 * 2 + 0.25 * 5 - 0.25, rel=0.1)


def test_one_component_away_from_the_middle_has_the_divergence_of_two_gaussians():
    prior = Mixture(1, 1).requires_grad_(False)
    prior.mean.fill_(2.0)
    prior.log_variance.fill_(math.log(4))
    kl = prior.kl(torch.tensor([[3.0]]), torch.tensor([[math.log(2)]]))
    assert kl.item() == pytest.approx(0.5 * (0.25 + 0.5 - 1 - math.log(0.5)))


def test_pseudo_inputs_begin_around_the_middle_of_the_range_and_stay_in_it():
    """The posterior here has the mean of a picture, and its sd 1: known components."""
    torch.manual_seed(0)
    prior = Vamp(lambda x: Diagonal(x.flatten(1).mean(1, keepdim=True), torch.zeros(len(x), 1)), (1, 8, 8), 40, -1, 3)
    assert prior.inputs.mean().item() == pytest.approx(1, abs=0.05)
    assert prior.inputs.std().item() == pytest.approx(0.2 * 4, rel=0.05)
    with torch.no_grad():
        prior.inputs[:20], prior.inputs[20:] = -9, 7
    assert prior.components.mean.flatten().tolist() == [-1.0] * 20 + [3.0] * 20
    log_mass = prior.log_prob(torch.tensor([[[-1.0], [0.0]]]))
    assert log_mass.shape == (1, 2, 1)
    expected = [0.5 * (1 + math.exp(-8)), 0.5 * (math.exp(-0.5) + math.exp(-4.5))]
    assert log_mass.exp().flatten().tolist() == pytest.approx([one / math.sqrt(2 * math.pi) for one in expected])
    drawn = prior.sample(4000, seeded()).flatten()
    assert drawn.mean().item() == pytest.approx(1, abs=0.1)
    assert drawn.var().item() == pytest.approx(4 + 1, rel=0.1)
