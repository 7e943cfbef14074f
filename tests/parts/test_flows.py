"""Flows as they begin, and how large they may be."""

from __future__ import annotations

import math

import pytest
import torch

from latentdial import LatentdialError
from latentdial.parts.flows import Autoregressive, FlowPrior, _zuko
from latentdial.parts.priors import StandardNormal


def test_a_new_flow_is_all_but_standard_normal():
    torch.manual_seed(0)
    flow, z = FlowPrior(3, 2, [8]), torch.randn(2, 50, 3, generator=torch.Generator().manual_seed(0))
    apart = flow.log_prob(z)[..., 0] - StandardNormal(3).log_prob(z).sum(-1)
    assert 0 < apart.abs().max() < 0.2
    assert flow.log_prob(z).shape == (2, 50, 1)
    assert flow.kl(z, z) is None


def test_gates_let_most_of_a_code_pass_at_first():
    """Without anything said they are sigmoid(2), and every step turns the code round."""
    torch.manual_seed(0)
    bottleneck = Autoregressive(2, 3, [8], 4)
    assert (bottleneck.features, bottleneck.code, bottleneck.random) == (8, (2,), True)
    for net in bottleneck.steps:
        assert 0 < net[-1].weight.abs().max() < 0.01
        torch.nn.init.zeros_(net[-1].weight)
        torch.nn.init.zeros_(net[-1].bias)
    features = torch.tensor([[1.0, 2.0, -30.0, 30.0, 0, 0, 0, 0], [3.0, 4.0, 0, 0, 0, 0, 0, 0]])
    posterior = bottleneck(features)
    assert posterior.base.mean.tolist() == [[1, 2], [3, 4]]
    assert posterior.base.log_variance.tolist() == [[-20, 20], [0, 0]]
    assert torch.equal(posterior.context, features[:, 4:])
    gate = 1 / (1 + math.exp(-2))
    torch.testing.assert_close(posterior.mean, gate**3 * torch.tensor([[2.0, 1], [4, 3]]))
    noise = torch.randn(5, 2, 2, generator=torch.Generator().manual_seed(0))
    z = posterior.sample(noise, 5)
    expected = posterior.base.log_prob(posterior.base.sample(noise)).sum(-1) - 2 * 3 * math.log(gate)
    torch.testing.assert_close(posterior.log_prob(z)[..., 0], expected)
    assert posterior.log_prob(z) is posterior.log_prob(z)
    with torch.no_grad():
        bottleneck.steps[0][-1].bias[2:] = 1.0  # the shifts
    first = (gate * torch.tensor([1.0, 2]) + 1 - gate).flip(-1)
    torch.testing.assert_close(posterior.mean[0], gate**2 * first)


def test_the_largest_flows_that_are_made():
    _zuko(512, [8, 2048])
    for latent, widths in ((513, [8]), (2, [8, 2049])):
        with pytest.raises(LatentdialError, match="a flow takes 512 dimensions and layers of 2048 at most"):
            _zuko(latent, widths)
