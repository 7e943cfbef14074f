"""Residual nets: what they are made of, and where each value of a picture goes."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from latentdial import LatentdialError
from latentdial.parts.residual import Block, ChannelToSpace, Refined, SpaceToChannel, grid_of, residual, spatial
from latentdial.types import Affine

LAYERS = (nn.Linear, nn.Conv2d, nn.GroupNorm, SpaceToChannel, ChannelToSpace, nn.PixelShuffle, nn.PixelUnshuffle)


def described(net: nn.Module) -> list[str]:
    """Every layer in order, with what it takes and gives."""
    return [text for layer in net.modules() if isinstance(layer, LAYERS) and (text := _described(layer))]


def _described(layer: nn.Module) -> str:
    match layer:
        case nn.Linear():
            return f"linear {layer.in_features} {layer.out_features}"
        case nn.Conv2d():
            same = layer.padding[0] * 2 + 1 == layer.kernel_size[0] and layer.stride == (1, 1)
            return f"conv{layer.kernel_size[0]} {layer.in_channels} {layer.out_channels}{'' if same else ' !'}"
        case nn.GroupNorm():
            return f"norm {layer.num_channels // layer.num_groups} {layer.num_channels}"
        case nn.PixelUnshuffle():
            return f"down {layer.downscale_factor}"
        case nn.PixelShuffle():
            return f"up {layer.upscale_factor}"
    return f"{'down' if isinstance(layer, SpaceToChannel) else 'up'} {layer.side}"


def block(channels: int) -> list[str]:
    return [f"norm {channels // 8} {channels}", f"conv3 {channels} {channels}", f"conv3 {channels} {channels}"]


def test_a_square_becomes_channels_row_by_row_its_colours_together():
    x = torch.arange(2 * 2 * 4 * 6.0).view(2, 2, 4, 6)
    apart = SpaceToChannel(2)(x)
    assert apart.shape == (2, 8, 2, 3)
    assert apart[1, :, 1, 2].tolist() == x[1, :, 2:4, 4:6].permute(1, 2, 0).flatten().tolist()
    assert torch.equal(ChannelToSpace(2)(apart), x)


def test_a_block_adds_two_convolutions_of_which_the_second_says_little_yet():
    torch.manual_seed(0)
    own, x = Block(16), torch.randn(2, 16, 3, 5)
    assert described(own) == block(16)
    torch.testing.assert_close(own(x), x + own.second(F.silu(own.first(own.norm(x)))))
    limit = (16 * 9) ** -0.5  # of the usual weights of a convolution
    assert own.first.weight.abs().max().item() == pytest.approx(limit, rel=0.01)
    assert own.second.weight.abs().max().item() == pytest.approx(0.1 * limit, rel=0.01)


def test_a_residual_net_is_made_of_patches_and_groups_of_four():
    """Pictures of 3 x 32 x 48: 16 x 24 patches of 2 x 2 pixels, 8 x 12 groups."""
    net = residual((3, 32, 48), 6, 5, width=8, blocks=(1, 2))
    inner = 16 * 8 * 12
    assert described(net.encoder.net) == [
        "down 2", "conv1 12 8", *block(8),
        "down 2", "conv1 32 16", *block(16), *block(16), "norm 2 16", f"linear {inner} 6",
    ]  # fmt: skip
    assert described(net.encoder.linear) == [f"linear {3 * 32 * 48} 6"]
    decoder = net.decoder
    assert isinstance(decoder, Refined)
    assert described(decoder.linear) == [f"linear 5 {3 * 32 * 48}"]
    assert described(decoder.code) == [f"linear 5 {inner}"]
    assert described(decoder.coarse) == ["down 4", "conv1 48 16"]
    assert described(decoder.fine) == ["down 2", "conv1 12 8"]
    assert described(decoder.inner) == [*block(16), *block(16), "conv1 16 32", "up 2"]
    assert described(decoder.outer) == [*block(8), "norm 1 8", "conv3 8 12", "up 2"]
    assert net.encoder(torch.zeros(2, 3, 32, 48)).shape == (2, 6)
    z = torch.randn(2, 5, generator=torch.Generator().manual_seed(0))
    picture = decoder.linear(z).view(2, 3, 32, 48)
    inside = decoder.inner(decoder.code(z) + decoder.coarse(picture.tanh()))
    torch.testing.assert_close(decoder(z), picture + decoder.outer(inside + decoder.fine(picture.tanh())))
    wanted = Affine(torch.randn(3 * 32 * 48, 5), torch.randn(3 * 32 * 48))
    decoder.become(wanted)
    torch.testing.assert_close(decoder(z).flatten(1), z @ wanted.weight.T + wanted.bias)
    plain = residual((1, 8, 8), 6, 5)  # small pictures have patches of one pixel
    assert described(plain.encoder.net)[:2] == ["down 1", "conv1 1 64"]
    assert len([name for name in described(plain.encoder.net) if name.startswith("conv3")]) == 2 * (1 + 2)


def test_a_net_over_a_grid_keeps_the_places():
    net = spatial((3, 32, 48), 4, 5, width=8, blocks=(2, 1))
    assert described(net.encoder) == [
        "down 2", "conv1 12 8", *block(8), *block(8), "down 2", "conv1 32 16", *block(16), "norm 2 16", "conv1 16 4",
    ]  # fmt: skip
    assert described(net.decoder) == [
        "conv3 5 16", *block(16), "conv1 16 32", "up 2", *block(8), *block(8), "norm 1 8", "conv3 8 12", "up 2",
    ]  # fmt: skip
    assert net.encoder(torch.zeros(1, 3, 32, 48)).shape == (1, 4, 8, 12)
    assert net.decoder(torch.zeros(1, 5, 8, 12)).shape == (1, 3, 32, 48)
    usual = described(spatial((1, 16, 16), 4, 4).encoder)
    assert usual[1] == "conv1 1 48"
    assert len([name for name in usual if name.startswith("conv3")]) == 2 * (1 + 2)


@pytest.mark.parametrize(
    ("image", "grid"), [((3, 64, 64), (8, 8)), ((1, 128, 64), (8, 4)), ((3, 32, 48), (8, 12)), ((3, 8, 6), (4, 3))]
)
def test_a_grid_has_eight_rows_of_large_pictures(image, grid):
    assert grid_of(image) == grid


@pytest.mark.parametrize(
    ("image", "step", "size"), [((3, 100, 96), 12, 96), ((3, 96, 100), 12, 96), ((3, 7, 8), 2, 8), ((3, 1, 8), 2, 2)]
)
def test_sides_that_cannot_be_taken_apart_are_refused_with_the_nearest_that_can(image, step, size):
    said = f"multiple of {step}, and {image[1]} is none: use --size {size}$"
    with pytest.raises(LatentdialError, match=said):
        grid_of(image)
    with pytest.raises(LatentdialError, match=said):
        residual(image, 4, 4)


def test_other_sizes_that_cannot_be_are_refused():
    for width, wanted in ((20, 16), (12, 16), (1, 8)):
        with pytest.raises(LatentdialError, match=f"multiple of 8: use {wanted}$"):
            residual((3, 16, 16), 4, 4, width=width)
    for blocks in ((1,), (1, 2, 3)):
        with pytest.raises(LatentdialError, match="blocks takes two numbers"):
            residual((3, 16, 16), 4, 4, blocks=blocks)
        with pytest.raises(LatentdialError, match="blocks two numbers"):
            spatial((3, 16, 16), 4, 4, blocks=blocks)
    with pytest.raises(LatentdialError, match="width must be a multiple of 8"):
        spatial((3, 16, 16), 4, 4, width=12)
