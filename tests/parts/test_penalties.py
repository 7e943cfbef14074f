"""Penalties of linear maps, whose slopes, sizes and details can be computed by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from latentdial.parts.penalties import contraction, details, flatness, size, squared_slope, weights
from latentdial.types import Batch, Level, Pass

MAP = torch.tensor([[1.0, 2.0, 0, 0], [0, 0, 3.0, 1.0]])  # of four values to two


def passed(z: torch.Tensor) -> Pass:
    """One pass of two pictures with codes (K, 2, ...)."""
    x = torch.zeros(2, 1, 2, 2)
    return Pass(x, x[None], torch.zeros(z.shape[:2]), {"z": Level(z, None)})


def test_the_slope_of_an_encoder_is_that_of_its_map_along_the_probe():
    """|v A|^2 is 5 for the first unit and 10 for the second; (1, 1) gives 15."""
    term = contraction(lambda x: x.flatten(1) @ MAP.T, (2,), 0.25)
    noise = {"contraction": torch.tensor([[[1.0, 0], [0, 1]], [[9, 9], [9, 9]]])}
    run = passed(torch.zeros(1, 2, 2))
    assert term.value(run, Batch(run.x, noise)) == 7.5
    noise = {"contraction": torch.tensor([[[1.0, 1], [1, 1]]])}
    assert term.value(run, Batch(run.x, noise)) == 15
    assert (term.name, term.weight, term.draws, term.compiles) == ("contraction", 0.25, {"contraction": (2,)}, False)


def test_the_slope_of_a_decoder_is_taken_at_the_first_sample_and_learns():
    """Of z^2 the slope is 2 z: at (1, 2) along (1, 1) it is (2, 4), whose square is 20."""
    gain = torch.tensor(1.0, requires_grad=True)
    term = flatness(lambda z: gain * z.square(), (2,), 0.5)
    z = torch.tensor([[[1.0, 2], [0, 1]], [[5, 5], [5, 5]]], requires_grad=True)
    value = term.value(passed(z), Batch(torch.zeros(2), {"flatness": torch.ones(1, 2, 2)}))
    assert value == (20 + 4) / 2
    value.backward()
    assert gain.grad == 24
    torch.testing.assert_close(z.grad, torch.tensor([[[4.0, 8], [0, 4]], [[0, 0], [0, 0]]]))
    assert (term.name, term.weight, term.draws, term.compiles) == ("flatness", 0.5, {"flatness": (2,)}, False)


def test_a_slope_needs_no_gradients_of_its_caller():
    at = torch.tensor([[1.0, 2.0]])
    with torch.no_grad():
        assert squared_slope(torch.square, at, torch.ones(1, 2)).tolist() == [20]
    assert not at.requires_grad


def test_weights_and_codes_count_by_their_squares():
    net = nn.Linear(2, 1)
    nn.init.constant_(net.weight, 2)
    nn.init.constant_(net.bias, 3)
    run = passed(torch.tensor([[[1.0, 2], [0, 0]], [[0, 0], [3, 4]]]))
    assert weights(net, 0.1).value(run, Batch(run.x)) == 4 + 4 + 9
    assert size(0.1).value(run, Batch(run.x)) == 0.5 * (5 + 25) / 4
    grid = passed(torch.ones(1, 2, 3, 2, 2))
    assert size(0.1).value(grid, Batch(grid.x)) == 6
    assert [(term.name, term.weight) for term in (weights(net, 0.1), size(0.2))] == [("weights", 0.1), ("size", 0.2)]


@pytest.mark.parametrize(("height", "width", "levels"), [(7, 16, 0), (16, 7, 0), (8, 8, 1), (9, 15, 1), (15, 16, 2)])
def test_details_count_at_every_scale_of_at_least_eight_pixels(height, width, levels):
    x = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0))
    expected, left = 0.0, x
    for level in range(levels):
        coarse = F.avg_pool2d(left, 2, ceil_mode=True)
        smooth = F.interpolate(coarse, size=left.shape[2:], mode="bilinear", align_corners=False)
        expected, left = expected + 4**level * float((left - smooth).abs().sum()), coarse
    assert details(x).item() == pytest.approx(expected, rel=1e-5)
