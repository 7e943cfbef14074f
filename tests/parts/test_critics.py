"""What critics are made of, and what they are asked, by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from latentdial import LatentdialError
from latentdial.parts.critics import (
    PictureCritic,
    adversarial_prior,
    code_critic,
    density_ratio,
    learned_similarity,
    shuffle,
    telling,
)
from latentdial.types import Batch, Level, Pass


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def test_to_tell_two_kinds_is_a_cross_entropy():
    found = telling(torch.tensor([1.0, 2.0]), torch.tensor([3.0]))
    assert found.item() == pytest.approx(0.5 * ((softplus(-1) + softplus(-2)) / 2 + softplus(3)))


def test_shuffled_codes_keep_every_number_in_its_dimension():
    codes = torch.tensor([[1.0, 10], [2, 20], [3, 30]])
    noise = torch.tensor([[0.3, 5], [0.1, 6], [0.2, 4]])
    assert shuffle(codes, noise).tolist() == [[2, 30], [3, 10], [1, 20]]


def test_a_critic_of_codes_has_leaky_layers_and_one_logit():
    net = code_critic(3, [5, 4])
    assert [tuple(layer.weight.shape) for layer in net if isinstance(layer, nn.Linear)] == [(5, 3), (4, 5), (1, 4)]
    assert net[1](torch.tensor([-1.0, 1])).tolist() == pytest.approx([-0.2, 1])
    assert [type(layer).__name__ for layer in net][1::2] == ["LeakyReLU", "LeakyReLU", "Flatten"]
    assert net(torch.zeros(7, 3)).shape == (7,)
    assert [tuple(layer.weight.shape) for layer in code_critic(3, []) if isinstance(layer, nn.Linear)] == [(1, 3)]


def test_a_critic_of_pictures_halves_them_and_normalises_each():
    critic = PictureCritic((3, 8, 16), [4, 6])
    x = torch.randn(2, 3, 8, 16, generator=torch.Generator().manual_seed(0))
    assert critic.features(x).shape == (2, 6 * 2 * 4)
    assert critic(x).shape == (2,)
    torch.testing.assert_close(critic(x), critic.logit(critic.features(x)).flatten())
    assert [layer.num_groups for layer in critic.features if isinstance(layer, nn.GroupNorm)] == [1, 1]
    normal = critic.features[:2](x)
    torch.testing.assert_close(normal.mean((1, 2, 3)), torch.zeros(2), atol=1e-5, rtol=0)
    assert critic.features[2](torch.tensor([-1.0])).item() == pytest.approx(-0.2)
    for image in ((3, 10, 16), (3, 8, 10)):
        with pytest.raises(LatentdialError, match=f"halves the picture 2 times, and {image[1]} is no multiple"):
            PictureCritic(image, [4, 6])


def fixed(critic: nn.Module, weight: float) -> None:
    """A critic whose logit is the weight times the sum of what it sees."""
    for parameter in critic.parameters():
        nn.init.constant_(parameter, 0.0)
    nn.init.constant_(critic[0].weight, weight)


def passed(z: torch.Tensor) -> Pass:
    x = torch.zeros(z.shape[1], 1, 1, 1)
    return Pass(x, x[None], torch.zeros(z.shape[:2]), {"z": Level(z, None)})


def test_the_total_correlation_is_the_mean_logit_and_its_critic_sees_codes_and_shuffled_ones():
    term, rival = density_ratio(2, [], 3.0)
    fixed(rival.net, 1.0)
    z = torch.tensor([[[1.0, 2], [3, -1]]], requires_grad=True)
    noise = {"shuffle": torch.tensor([[[1.0, 0], [0, 1]]])}  # the first dimension is turned round
    run = passed(z)
    assert term.value(run, Batch(run.x)) == (3 + 2) / 2
    assert (term.name, term.weight, term.scheduled, rival.draws) == ("tc", 3.0, True, {"shuffle": (2,)})
    against = rival.value(run, Batch(run.x, noise))
    assert against.item() == pytest.approx(0.5 * (softplus(-3) + softplus(-2) + softplus(5) + softplus(0)) / 2)
    against.backward()
    assert z.grad is None


def test_codes_that_are_to_pass_for_normal_ones():
    term, rival = adversarial_prior(2, [], 3.0)
    fixed(rival.net, 1.0)
    z = torch.tensor([[[1.0, 2], [3, -1]]], requires_grad=True)
    run, noise = passed(z), {"prior": torch.tensor([[[0.5, 0], [0, -1]]])}
    assert term.value(run, Batch(run.x)).item() == pytest.approx((softplus(-3) + softplus(-2)) / 2)
    assert (term.name, term.weight, term.scheduled, rival.draws) == ("deceive", 3.0, False, {"prior": (2,)})
    against = rival.value(run, Batch(run.x, noise))
    assert against.item() == pytest.approx(0.5 * (softplus(-0.5) + softplus(1) + softplus(3) + softplus(2)) / 2)
    against.backward()
    assert z.grad is None


def test_similarity_is_half_a_squared_distance_of_features_and_only_the_decoder_deceives():
    gain = torch.ones((), requires_grad=True)
    similar, deceive, rival = learned_similarity(
        (1, 4, 4), 16, [2], torch.tanh, lambda z: gain * z.unflatten(1, (1, 4, 4)), 0.25
    )
    generator = torch.Generator().manual_seed(0)
    x, prior = torch.randn(3, 1, 4, 4, generator=generator), torch.randn(2, 3, 16, generator=generator)
    z, output = (torch.randn(2, 3, *shape, generator=generator).requires_grad_() for shape in ((16,), (1, 4, 4)))
    run, batch = Pass(x, output, torch.zeros(2, 3), {"z": Level(z, None)}), Batch(x, {"prior": prior})
    features, critic = rival.net.features, rival.net
    apart = [(features(output[k].tanh()) - features(x)).square().sum() for k in range(2)]
    torch.testing.assert_close(similar.value(run, batch), 0.5 * (apart[0] + apart[1]) / 6)
    made = torch.cat([z, prior]).reshape(12, 1, 4, 4)
    found = deceive.value(run, batch)
    torch.testing.assert_close(found, nn.functional.softplus(-critic(made)).mean())
    found.backward()
    assert gain.grad != 0
    assert z.grad is None
    seen = torch.cat([output.flatten(0, 1).tanh(), prior.reshape(6, 1, 4, 4)])
    against = rival.value(run, batch)
    torch.testing.assert_close(against, telling(critic(x), critic(seen)))
    against.backward()
    assert output.grad is None
    assert (similar.weight, deceive.weight, rival.draws) == (1.0, 0.25, {"prior": (16,)})
