"""What loops are made of: few pictures and what stands for them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from latentdial.config import AugmentSettings, DataSettings, Geometry, ModelSettings, RunConfig, TrainSettings
from latentdial.machine.world import World
from latentdial.recipes import build
from latentdial.training.material import Material
from latentdial.training.starting import components, start_at_pca

SIDE = 16


def smooth(n: int, seed: int) -> torch.Tensor:
    """Grey pictures whose neighbouring pixels are alike: uint8 (N, 16, 16, 1)."""
    field = gaussian_filter(np.random.default_rng(seed).normal(size=(n, SIDE, SIDE)), (0, 1.5, 1.5))
    return torch.from_numpy((128 + 40 * field / field.std()).clip(0, 255).astype(np.uint8)[..., None])


def material(pixels: torch.Tensor, validation: int = 2, **augment) -> Material:
    config = RunConfig(
        data=DataSettings("few"),
        geometry=Geometry(size=SIDE, colour="grey"),
        model=ModelSettings("fcn-ae", {"latent": 12, "widths": [64]}),
        train=TrainSettings(batch=8, steps=2),
        augment=AugmentSettings(**augment),
    )
    return Material(config, pixels, smooth(9, validation), "cpu", "float32", World())


def squared_error(weights: dict[str, torch.Tensor], pixels: torch.Tensor) -> float:
    net = build(ModelSettings("fcn-ae", {"latent": 12, "widths": [64]}), (1, SIDE, SIDE)).model
    net.load_state_dict(weights)
    x = net.scale(pixels)
    with torch.no_grad():
        return float((net.decode(net.encode(x)) - x).square().mean())


def test_a_net_starts_from_stand_ins_and_is_judged_by_components_of_the_pictures_themselves():
    pixels, others = smooth(30, 1), smooth(200, 5)
    made = material(pixels)
    plain = components(made.plain, pixels)
    torch.testing.assert_close(made.principal.components, plain.components)
    rows = made.plain.scale(others).flatten(1)
    by_pca = float((plain.restore(plain.project(rows)) - rows).square().mean())
    net, varied = build(made.config.model, (1, SIDE, SIDE)).model, made.varied
    start_at_pca(net, varied.pixels, components(net, varied.pixels, width=varied.width))
    assert squared_error(made.started[0], others) < 0.88 * by_pca
    assert squared_error(made.started[0], others) == pytest.approx(squared_error(net.state_dict(), others), rel=1e-4)


def test_what_learns_from_labels_starts_within_them_and_is_judged_by_components_of_the_pictures_themselves():
    noise = np.random.default_rng(0).integers(100, 156, (1600, SIDE, SIDE, 1), np.uint8)
    noise[::2, :8] -= 80
    pixels, labels = torch.from_numpy(noise), torch.arange(1600) % 2
    plain = material(pixels)
    options = {"latent": 2, "channels": [4]}
    model = ModelSettings("conditional-vae", options, ("a", "b"))
    made = replace(plain, config=replace(plain.config, model=model), labels=(labels, labels[:9]))
    assert made.varied.pixels is pixels  # of so many
    torch.testing.assert_close(made.principal.components, components(made.plain, pixels).components)
    net = build(model, (1, SIDE, SIDE)).model
    net.load_state_dict(made.started[0])
    with torch.no_grad():
        codes = net.eval().encode(net.scale(pixels), labels)
        between = (codes[::2].mean(0) - codes[1::2].mean(0)).abs().max()
        assert between < 0.01 < made.principal.variances[0]
        torch.testing.assert_close(codes.std(0), torch.full((2,), float(codes.std(0)[0])), rtol=0.3, atol=0)


def test_validation_pictures_have_no_part_in_it():
    one, two = (material(smooth(30, 1), validation) for validation in (2, 3))
    assert torch.equal(one.varied.pixels, two.varied.pixels)
    assert one.varied.width > 0
    for name, weight in one.started[0].items():
        assert torch.equal(weight, two.started[0][name])


@pytest.mark.parametrize("crop", [None, 0, 1])
def test_few_pictures_are_moved_in_training_as_far_as_serves_them_unless_told_otherwise(crop):
    pixels = smooth(30, 1)
    made = material(pixels, crop=crop, noise=3.0)
    assert made.varied.most > 1
    loop = made.loop(made.config.train)
    assert loop.variation == AugmentSettings(crop=made.varied.most if crop is None else crop, noise=3.0)
    assert loop.pixels is pixels


def test_from_a_random_start_they_stand_for_themselves():
    pixels = smooth(30, 1)
    made = material(pixels)
    made = replace(made, config=replace(made.config, train=replace(made.config.train, start="random")))
    assert made.varied.pixels is pixels
    assert made.loop(made.config.train).variation.crop == 0


def test_those_that_may_be_mirrored_are_at_the_start():
    plain, mirrored = (len(material(smooth(35, 1), flip=flip).varied.pixels) for flip in (False, True))
    assert (plain, mirrored) == (43 * 35, 22 * 70)
