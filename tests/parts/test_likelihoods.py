"""Likelihoods of single values, by their textbook densities."""

from __future__ import annotations

import math

import pytest
import torch

from latentdial.parts.likelihoods import PIXELS, Bernoulli, Gaussian, Laplace

X = torch.tensor([[[[0.5, -1.0]]], [[[0.0, 0.25]]]])  # two pictures of two values
ZEROS = torch.zeros(3, 2, 1, 1, 2)


def test_densities_of_two_values_are_summed_for_every_sample_and_picture():
    squares, absolute = torch.tensor([1.25, 0.0625]), torch.tensor([1.5, 0.25])
    gaussian = -squares / (2 * 0.25) - 2 * math.log(0.5) - math.log(2 * math.pi)
    torch.testing.assert_close(Gaussian(0.5).log_prob(ZEROS, X), gaussian.expand(3, 2))
    laplace = -absolute / 0.5 - 2 * math.log(2 * 0.5)
    torch.testing.assert_close(Laplace(0.5).log_prob(ZEROS, X), laplace.expand(3, 2))
    one = torch.full_like(ZEROS, math.log(3))  # white with a probability of 3/4
    bernoulli = Bernoulli().log_prob(one, torch.tensor([[[[1.0, 0]]], [[[1, 1]]]]))
    torch.testing.assert_close(bernoulli, torch.tensor([math.log(3 / 16), math.log(9 / 16)]).expand(3, 2))


@pytest.mark.parametrize("kind", [Gaussian, Laplace])
def test_a_width_that_is_learned_begins_at_one_and_moves_by_ten_times_a_step(kind):
    learned = kind()
    assert learned.log_sigma.item() == 0
    assert learned.log_sigma_over_gain.requires_grad
    with torch.no_grad():
        learned.log_sigma_over_gain.add_(0.01)
    assert learned.log_sigma.item() == pytest.approx(0.1)
    with torch.no_grad():
        learned.log_sigma_over_gain.fill_(-9)
    assert learned.log_sigma.item() == pytest.approx(-math.log(255))
    fixed = kind(0.3)
    assert not fixed.log_sigma_over_gain.requires_grad
    fixed.start(0.5)
    assert fixed.log_sigma.exp().item() == pytest.approx(0.3)


def test_a_width_starts_where_a_density_of_that_error_is_best():
    gaussian, laplace = Gaussian(), Laplace()
    for square in (0.04, 9.0):
        gaussian.start(square)
        laplace.start(square)
        assert gaussian.log_sigma.exp().item() == pytest.approx(square**0.5)
        assert laplace.log_sigma.exp().item() == pytest.approx((square / 2) ** 0.5)
    gaussian.start(0.0)
    assert gaussian.log_sigma_over_gain.item() == pytest.approx(-math.log(255) / 10)


def test_the_mean_and_its_inverse():
    outputs = torch.tensor([-1.0, 0.0, 2.0])
    torch.testing.assert_close(Gaussian().mean(outputs), outputs.tanh())
    assert Gaussian(squash=False).mean(outputs) is outputs
    torch.testing.assert_close(Bernoulli().mean(outputs), outputs.sigmoid())
    picture = torch.tensor([0.0, 0.5, 1.0])
    torch.testing.assert_close(Bernoulli().invert(picture).sigmoid(), torch.tensor([0.02, 0.5, 0.98]))
    torch.testing.assert_close(Gaussian().invert(2 * picture - 1).tanh(), torch.tensor([-0.96, 0, 0.96]))
    assert Gaussian(squash=False).invert(picture) is picture
    assert Gaussian().target(picture, {}) is picture


def test_grey_becomes_black_or_white_as_declared():
    grey = torch.tensor([[[[0.0, 0.49, 0.5, 1.0]]]])
    plain, threshold, sampled = Bernoulli("none", (1, 1, 4)), Bernoulli("threshold"), Bernoulli("sampled", (1, 1, 4))
    assert (plain.draws, threshold.draws, sampled.draws) == ({}, {}, {PIXELS: (1, 1, 4)})
    assert plain.target(grey, {}) is sampled.target(grey, {}) is grey
    assert threshold.target(grey, {}).flatten().tolist() == [0, 0, 1, 1]
    noise = torch.tensor([[[[[-9.0, -0.1, 0.1, 9.0]]]], [[[[9.0, 9, 9, 9]]]]])
    assert sampled.target(grey, {PIXELS: noise}).flatten().tolist() == [0, 1, 0, 0]
    assert sampled.target(grey, {PIXELS: noise - 0.2}).flatten().tolist() == [0, 1, 1, 0]
    assert sampled.target(grey, {PIXELS: noise * 0}).flatten().tolist() == [0, 0, 0, 1]
    with pytest.raises(ValueError, match="shape of the image"):
        Bernoulli("sampled")


def test_kinds_and_ranges_are_those_of_pictures_at_rest():
    assert [(one.kind, one.range) for one in (Gaussian, Laplace, Bernoulli)] == [
        ("density", (-1, 1)), ("density", (-1, 1)), ("binary", (0, 1)),
    ]  # fmt: skip
