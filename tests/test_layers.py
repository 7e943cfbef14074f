"""Layers that can be set to a linear map, and those that learn in a subspace."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

from latentdial import LatentdialError
from latentdial.layers import OFFSET, ChannelsLast, Dense, Lifted, Projected, Shortcut, halved, linear_of, silence
from latentdial.types import Affine


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def affine(outputs: int, inputs: int) -> Affine:
    return Affine(torch.randn(outputs, inputs, generator=seeded()), torch.arange(1.0, outputs + 1))


def dense(*sizes: int) -> Dense:
    layers = [nn.Linear(before, after) for before, after in pairwise(sizes)]
    return Dense(*[part for layer in layers[:-1] for part in (layer, nn.ReLU())], layers[-1])


def become(net, wanted: Affine, x: torch.Tensor):
    net.become(wanted)
    torch.testing.assert_close(net(x), x @ wanted.weight.T + wanted.bias, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("width", [3, 4, 5, 6, 7, 20])
def test_three_numbers_pass_through_a_layer_that_holds_them_in_pairs_or_alone(width):
    """Six units hold three numbers of any size, three of them such as are above -12."""
    x = torch.randn(9, 5, generator=seeded()) * (100 if width >= 6 else 1)
    become(dense(5, width, 3), affine(3, 5), x)
    become(dense(3, width, 5), affine(5, 3), x[:, :3])
    net = dense(5, width, 3)
    net.become(Affine(torch.eye(5)[:3], torch.zeros(3)))
    low = torch.full((1, 5), -OFFSET - 1)
    kept = width >= 6
    torch.testing.assert_close(net(low), torch.full((1, 3), -OFFSET - kept), atol=1e-4, rtol=0)


def test_outputs_that_do_not_vary_take_no_room():
    """Of five outputs two vary: four units carry them exactly, and the others are their bias."""
    weight = torch.zeros(5, 6)
    weight[1], weight[4] = torch.arange(6.0), torch.ones(6)
    x = 100 * torch.randn(9, 6, generator=seeded())
    become(dense(6, 4, 5), Affine(weight, torch.arange(5.0)), x)
    become(dense(6, 4, 4, 5), Affine(weight, torch.arange(5.0)), x)
    become(dense(6, 5), Affine(weight, torch.arange(5.0)), x)


def test_units_that_carry_nothing_stay_random_and_are_not_read():
    net = dense(4, 9, 2)
    before = net[0].weight.detach().clone()
    net.become(affine(2, 4))
    assert torch.equal(net[0].weight[4:], before[4:])
    assert not net[2].weight[:, 4:].any()
    assert net[2].weight[:, :4].any(0).all()


def test_a_shortcut_becomes_a_map_and_its_net_adds_nothing_yet():
    net = Shortcut(
        nn.Sequential(nn.Flatten(), nn.Linear(6, 7), nn.ReLU(), nn.Linear(7, 4), nn.Unflatten(1, (2, 2))), 6, 4
    )
    x, wanted = torch.randn(3, 2, 3, generator=seeded()), affine(4, 6)
    torch.testing.assert_close(net(x), net.net(x) + net.linear(x.flatten(1)).view(3, 2, 2))
    net.become(wanted)
    torch.testing.assert_close(net(x), (x.flatten(1) @ wanted.weight.T + wanted.bias).view(3, 2, 2))
    assert net.net[1].weight.any()


def test_a_linear_map_is_added_to_the_first_channels_of_a_net_that_has_more():
    net = Shortcut(nn.Sequential(nn.Linear(6, 12), nn.Unflatten(1, (3, 2, 2))), 6, 4)
    x = torch.randn(5, 6, generator=seeded())
    own = net.net(x)
    torch.testing.assert_close(net(x)[:, :1], own[:, :1] + net.linear(x).view(5, 1, 2, 2))
    assert torch.equal(net(x)[:, 1:], own[:, 1:])


@pytest.mark.parametrize("last", [nn.Linear(4, 2), nn.Conv2d(2, 2, 1), nn.ConvTranspose2d(2, 2, 1)])
def test_of_a_net_the_last_layer_with_weights_is_silenced(last):
    first = nn.Linear(3, 4)
    net = nn.Sequential(first, nn.ReLU(), last, nn.Tanh())
    silence(net)
    assert first.weight.any()
    assert not any(parameter.any() for parameter in last.parameters())


def test_a_linear_layer_of_given_numbers():
    layer = linear_of(torch.tensor([[1.0, 2, 3], [4, 5, 6]]), torch.tensor([7.0, 8]))
    assert (layer.in_features, layer.out_features) == (3, 2)
    assert layer(torch.tensor([[1.0, 0, 1]])).tolist() == [[11, 18]]


def test_layers_in_a_subspace_by_hand():
    """Pictures of three values along the first axis, through (0, 1, 2)."""
    layer, basis, mean = (
        linear_of(torch.tensor([[1.0, 2, 3]]), torch.tensor([4.0])),
        torch.eye(3)[:1],
        torch.arange(3.0),
    )
    projected = Projected.within(layer, basis, mean)
    assert projected.weight.tolist() == [[1]]
    assert projected.bias.tolist() == [4 + 2 + 6]
    assert projected(torch.tensor([[5.0, 9, 9]])).tolist() == [[5 + 12]]
    assert (projected.in_features, projected.out_features) == (1, 1)
    assert projected.plain()(torch.tensor([[5.0, 9, 9]])).tolist() == [[17]]
    lifted = Lifted.within(linear_of(torch.tensor([[2.0], [0], [0]]), torch.tensor([1.0, 5, 6])), basis)
    assert lifted(torch.tensor([[3.0]])).tolist() == [[7, 5, 6]]
    assert lifted.bias.tolist() == [0]
    with torch.no_grad():
        lifted.bias += 1
    assert lifted(torch.tensor([[3.0]])).tolist() == lifted.plain()(torch.tensor([[3.0]])).tolist() == [[8, 5, 6]]
    for one in (projected, lifted):
        assert {name for name, p in one.named_parameters() if p.requires_grad} == {"weight", "bias"}
        assert "rounded" not in one.state_dict()


def test_pictures_are_laid_out_anew_in_mixed_precision_alone():
    x = torch.randn(2, 3, 4, 4)
    assert ChannelsLast()(x) is x
    with torch.autocast("cpu", torch.bfloat16):
        found = ChannelsLast()(x)
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(found, x)


@pytest.mark.parametrize(
    ("height", "width", "remedy"),
    [
        (20, 24, "--size 16 or fewer layers: --set channels=4,5"),
        (24, 20, "--size 24 or fewer layers: --set channels=4,5"),
        (24, 22, "--size 24 or fewer layers: --set channels=4"),
        (22, 24, "--size 24 or fewer layers: --set channels=4"),
        (24, 21, "--size 24"),
        (3, 8, "--size 8"),
    ],
)
def test_the_remedy_of_a_side_that_cannot_be_halved_so_often_names_the_layers_that_it_can(height, width, remedy):
    with pytest.raises(LatentdialError, match=f"use {remedy}$"):
        halved((3, height, width), [4, 5, 6])
    assert halved((3, 24, 40), [4, 5, 6]) == (3, 5)
