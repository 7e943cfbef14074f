"""Nets of plain layers: what they are made of, and the sizes that they take."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from latentdial import LatentdialError
from latentdial.layers import Dense, Shortcut
from latentdial.parts.networks import conv, linear, mlp


def shapes(net: nn.Module) -> list[tuple[int, ...]]:
    return [tuple(layer.weight.shape) for layer in net.modules() if hasattr(layer, "weight")]


def kinds(net: nn.Sequential) -> list[str]:
    return [f"{name} {type(layer).__name__}" for name, layer in net.named_children()]


def test_a_fully_connected_net_goes_down_and_back_up_through_its_widths():
    net = mlp((3, 2, 2), 5, 4, (8, 6))
    assert isinstance(net.encoder, Dense)
    assert kinds(net.encoder) == ["flatten Flatten", "0 Linear", "1 ReLU", "2 Linear", "3 ReLU", "4 Linear"]
    assert kinds(net.decoder) == ["0 Linear", "1 ReLU", "2 Linear", "3 ReLU", "4 Linear", "picture Unflatten"]
    assert shapes(net.encoder) == [(8, 12), (6, 8), (5, 6)]
    assert shapes(net.decoder) == [(6, 4), (8, 6), (12, 8)]
    assert net.decoder(torch.zeros(7, 4)).shape == (7, 3, 2, 2)
    plain = linear((3, 2, 2), 5, 4)
    assert (shapes(plain.encoder), shapes(plain.decoder)) == ([(5, 12)], [(12, 4)])
    with torch.device("meta"):
        assert shapes(mlp((1, 2, 2), 3, 3).encoder) == [(2048, 4), (512, 2048), (3, 512)]


def test_a_convolutional_net_halves_and_doubles_with_a_linear_map_beside_it():
    net = conv((3, 8, 16), 6, 5, [4, 7])
    assert isinstance(net.encoder, Shortcut)
    down, up = net.encoder.net, net.decoder.net
    assert kinds(down) == ["layout ChannelsLast", "0 Conv2d", "1 ReLU", "2 Conv2d", "3 ReLU", "4 Flatten", "5 Linear"]
    assert shapes(down) == [(4, 3, 4, 4), (7, 4, 4, 4), (6, 7 * 2 * 4)]
    assert shapes(up) == [(7 * 2 * 4, 5), (7, 4, 4, 4), (4, 3, 4, 4)]
    assert shapes(net.encoder.linear) == [(6, 3 * 8 * 16)]
    assert shapes(net.decoder.linear) == [(3 * 8 * 16, 5)]
    assert net.decoder(net.encoder(torch.zeros(2, 3, 8, 16))[:, :5]).shape == (2, 3, 8, 16)
    more = conv((1, 8, 8), 6, 5, [4], shortcut=False, outputs=9)
    assert more.decoder(torch.zeros(2, 5)).shape == (2, 9, 8, 8)
    with torch.device("meta"):
        wide = conv((3, 64, 64), 6, 5)
    assert [shape[0] for shape in shapes(wide.encoder)][:4] == [32, 64, 128, 256]


@pytest.mark.parametrize(
    ("height", "width", "size"), [(20, 24, 16), (24, 20, 24), (28, 28, 32), (3, 8, 8), (21, 21, 24)]
)
def test_a_side_that_cannot_be_halved_so_often_is_refused_with_the_nearest_that_can(height, width, size):
    with pytest.raises(LatentdialError, match=f"3 times, and {height} is no multiple of 8: use --size {size}"):
        conv((3, height, width), 6, 5, [4, 4, 8])
