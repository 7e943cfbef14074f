"""Probabilities of levels, and a density of absolute errors."""

from __future__ import annotations

import math

import pytest
import torch

from latentdial.parts.likelihoods import Laplace
from latentdial.parts.logistic import LogisticMixture


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def levels() -> torch.Tensor:
    return torch.arange(256) / 127.5 - 1


@pytest.mark.parametrize("loudness", [0.3, 1.0, 3.0])
def test_probabilities_of_all_levels_sum_to_one(loudness):
    likelihood = LogisticMixture(1, 3)
    output = loudness * torch.randn(1, 1, likelihood.outputs, 2, 2, generator=seeded())
    every = levels()[:, None, None, None].double()
    for row, column in ((0, 0), (1, 1)):
        one = output.double()[..., row : row + 1, column : column + 1].expand(1, 256, -1, 1, 1)
        assert likelihood.log_prob(one, every).exp().sum().item() == pytest.approx(1, abs=1e-6)


def test_greens_and_blues_sum_to_the_probability_of_their_red():
    """Over all 65,536 of them; what a mixture of one channel with the same numbers gives to that red."""
    likelihood, alone = LogisticMixture(3, 2), LogisticMixture(1, 2)
    output = torch.randn(1, 1, likelihood.outputs, 1, 1, generator=seeded()).double()
    picture, logits, means, scales, _ = output[0, 0, :, 0, 0].split([3, 2, 6, 6, 6])
    red_only = torch.cat([picture[:1], logits, means[[0, 3]], scales[[0, 3]]])[None, None, :, None, None]
    grid = torch.cartesian_prod(levels().double(), levels().double())
    for red in (levels()[90].double(), levels()[255].double()):
        x = torch.cat([red.expand(len(grid), 1), grid], 1)[..., None, None]
        together = likelihood.log_prob(output.expand(1, len(grid), -1, 1, 1), x).exp().sum().item()
        assert together == pytest.approx(alone.log_prob(red_only, red.reshape(1, 1, 1, 1)).exp().item(), rel=1e-6)


def test_one_component_is_the_difference_of_two_sigmoids():
    likelihood = LogisticMixture(1, 1)
    output = torch.tensor([0.3, 0.0, -0.2, 1.0])[None, None, :, None, None].double()
    scale = torch.tensor(-1.0).double().exp()  # the first log scale is -2
    for level in (0, 100, 255):
        x = levels()[level].double()
        upper = torch.sigmoid((x + 1 / 255 - 0.1) / scale) if level < 255 else 1.0
        lower = torch.sigmoid((x - 1 / 255 - 0.1) / scale) if level else 0.0
        found = likelihood.log_prob(output, x.reshape(1, 1, 1, 1)).exp().item()
        assert found == pytest.approx(float(upper - lower), rel=1e-6)


def test_green_follows_red_by_its_coefficient():
    likelihood = LogisticMixture(2, 1)
    output = torch.zeros(1, likelihood.outputs, 1, 1)
    output[0, 3:5, 0, 0] = torch.tensor([0.5, 0.1])  # means
    output[0, 7] = 20.0  # tanh: 1
    mean = likelihood.mean(output)
    torch.testing.assert_close(mean[0, :, 0, 0], torch.tensor([0.5, 0.6]))
    likelier = [
        likelihood.log_prob(output[None], torch.tensor([red, red + 0.1])[None, :, None, None]).item()
        for red in (0.5, -0.3)
    ]
    off = likelihood.log_prob(output[None], torch.tensor([-0.3, 0.6])[None, :, None, None]).item()
    assert likelier[1] > off


@pytest.mark.parametrize("channels", [1, 3])
def test_the_first_outputs_are_the_picture_and_its_mean_and_it_is_their_best(channels):
    likelihood = LogisticMixture(channels, 4)
    assert likelihood.invert(likelihood.shown(torch.tensor([-3.0, 0.2, 3.0]))).tolist() == pytest.approx([-1, 0.2, 1])
    x = likelihood.target(torch.rand(2, channels, 3, 3, generator=seeded()) * 2 - 1, {})
    output, other = (
        torch.cat([one, torch.zeros(2, likelihood.outputs - channels, 3, 3)], 1) for one in (x, x.roll(1, 0))
    )
    torch.testing.assert_close(likelihood.mean(output), x)
    assert (likelihood.log_prob(output[None], x) > likelihood.log_prob(other[None], x)).all()


def test_pictures_come_to_whole_levels():
    grid = levels()
    x = (grid + 0.003 * torch.randn(256, generator=seeded()).clamp(-1, 1)).reshape(1, 1, 16, 16)
    torch.testing.assert_close(LogisticMixture(1, 1).target(x, {}).flatten(), grid)


def test_laplace_is_torchs_and_starts_at_the_error_it_is_told():
    likelihood = Laplace()
    likelihood.start(2 * 0.3**2)
    output, x = torch.randn(2, 3, 1, 4, 4, generator=seeded()), torch.rand(3, 1, 4, 4, generator=seeded(1)) * 2 - 1
    reference = torch.distributions.Laplace(output.tanh(), 0.3).log_prob(x).sum((2, 3, 4))
    torch.testing.assert_close(likelihood.log_prob(output, x), reference)


def test_a_level_of_one_component_by_hand():
    """Scales are exp(-2) where an output is zero, and exp(-7) at least; level 128 of 255 is at 1 / 255."""
    x = torch.full((1, 1, 1, 1), 1 / 255)
    for log_scale, scale in ((0.0, -2.0), (1.0, -1.0), (-50.0, -7.0)):
        output = torch.tensor([0.5, 9.0, -0.5, log_scale]).reshape(1, 1, 4, 1, 1)
        expected = 1 / (1 + math.exp(-math.exp(-scale) * 2 / 255)) - 0.5
        assert LogisticMixture(1, 1).log_prob(output, x).exp().item() == pytest.approx(expected, rel=1e-4)


def test_a_pixel_takes_so_many_outputs():
    assert [LogisticMixture(c, m).outputs for c, m in ((1, 1), (1, 5), (2, 1), (3, 1), (3, 4))] == [4, 16, 8, 13, 43]


def test_scales_start_at_the_error_they_are_told_and_components_differ():
    """A logistic distribution has a standard deviation of pi / sqrt(3) scales."""
    likelihood = LogisticMixture(3, 5)
    likelihood.start(0.04)
    wanted = math.log(0.2 * math.sqrt(3) / math.pi)
    assert likelihood.at_first.tolist() == pytest.approx([wanted + apart for apart in (-1, -0.5, 0, 0.5, 1)], abs=1e-6)
    likelihood.start(0.0)
    assert likelihood.at_first.mean().item() == pytest.approx(math.log(1 / 255))


def test_where_an_output_is_zero_a_component_has_its_first_scale():
    likelihood = LogisticMixture(1, 2)
    output = torch.tensor([0.0, 90.0, 0.0, 0.0, 0.0, 0.0, 0.0]).reshape(1, 1, 7, 1, 1)  # all weight on the narrow one
    x = torch.full((1, 1, 1, 1), 1 / 255)
    expected = 1 / (1 + math.exp(-math.exp(3) * 2 / 255)) - 0.5
    assert likelihood.log_prob(output, x).exp().item() == pytest.approx(expected, rel=1e-4)
