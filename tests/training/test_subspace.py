"""Nets whose outer layers learn in the pictures' principal components, and are plain nets in the end."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from latentdial.config import ModelSettings
from latentdial.layers import Lifted, Projected, linear_of
from latentdial.parts.objectives import total
from latentdial.recipes import build
from latentdial.training.starting import components, start_at_pca
from latentdial.training.subspace import _basis_with, components_wanted, narrow, round_bases, widen

COUNT = 24
OPTIONS = {"latent": 4, "widths": [40]}


def started(discs, recipe="fcn-ae"):
    torch.manual_seed(0)
    made = build(ModelSettings(recipe, OPTIONS), (3, 16, 16))
    pixels = torch.from_numpy(discs)
    principal = components(made.model, pixels, COUNT)
    start_at_pca(made.model, pixels, principal.first(4), made.beta)
    return made, principal, pixels


def outputs(model, pixels) -> torch.Tensor:
    return model.decode(model.encode(model.scale(pixels))).detach()


def learn(made, pixels, steps=5):
    optimizer = torch.optim.Adam([p for p in made.model.parameters() if p.requires_grad], 1e-3)
    for step in range(steps):
        batch = made.model.batch(made.model.scale(pixels), generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        total(made.objective, made.model(batch), batch)[0].backward()
        optimizer.step()


def test_a_projected_layer_does_what_the_layer_did_within_the_subspace():
    torch.manual_seed(0)
    basis, mean, layer = torch.linalg.qr(torch.randn(9, 3))[0].T, torch.randn(9), nn.Linear(9, 5)
    projected, inside = Projected.within(layer, basis, mean), mean + torch.randn(7, 3) @ basis
    torch.testing.assert_close(projected(inside), layer(inside))
    anywhere = torch.randn(7, 9)
    torch.testing.assert_close(projected.plain()(anywhere), projected(anywhere))
    outside = torch.linalg.qr(torch.randn(9, 9))[0]
    outside = outside - outside @ basis.T @ basis
    torch.testing.assert_close(projected(mean + outside), projected(mean.expand(9, -1)))


def test_a_lifted_layer_keeps_the_outputs_that_lie_in_the_subspace():
    torch.manual_seed(0)
    basis = torch.linalg.qr(torch.randn(9, 3))[0].T
    layer, x = linear_of(basis.T @ torch.randn(3, 5), torch.randn(9)), torch.randn(7, 5)
    lifted = Lifted.within(layer, basis)
    torch.testing.assert_close(lifted(x), layer(x))
    nn.init.normal_(lifted.bias)
    torch.testing.assert_close(lifted.plain()(x), lifted(x))


def test_the_basis_holds_what_the_last_layer_reaches_however_weakly_and_then_the_first_components():
    torch.manual_seed(0)
    axes = torch.linalg.qr(torch.randn(9, 9))[0]
    silent = torch.zeros(9, 1)  # a unit that says nothing yet, beside one that says what another says
    weight = torch.cat([axes[:, :2] * torch.tensor([1.0, 0.01]), silent, axes[:, :1]], 1)
    basis = _basis_with(weight, axes[:, 2:6].T)
    torch.testing.assert_close(basis @ basis.T, torch.eye(4), atol=1e-6, rtol=0)
    torch.testing.assert_close(basis.T @ basis @ weight, weight, atol=1e-6, rtol=0)
    torch.testing.assert_close((basis @ axes[:, 2:4]).norm(dim=0), torch.ones(2), atol=1e-6, rtol=0)


@pytest.mark.parametrize("recipe", ["fcn-ae", "fcn-vae"])
def test_a_started_net_stays_the_same_when_narrowed(recipe, discs):
    made, _, pixels = started(discs, recipe)
    everything = components(made.model, pixels, len(discs) - 1)
    before = outputs(made.model, pixels)
    narrow(made.model, everything)
    torch.testing.assert_close(outputs(made.model, pixels), before, atol=2e-4, rtol=0)


def test_a_trained_net_stays_the_same_when_widened_and_is_a_plain_one(discs):
    made, principal, pixels = started(discs)
    names = [(name, tensor.shape) for name, tensor in made.model.state_dict().items()]
    narrow(made.model, principal)
    learn(made, pixels)
    before = outputs(made.model, pixels)
    widen(made.model)
    assert [(name, tensor.shape) for name, tensor in made.model.state_dict().items()] == names
    assert type(made.model.encoder[1]) is type(made.model.decoder[2]) is nn.Linear
    torch.testing.assert_close(outputs(made.model, pixels), before, atol=1e-5, rtol=0)


def test_a_rounded_basis_changes_no_bit_of_training_in_bfloat16(discs):
    made, principal, pixels = started(discs)
    narrow(made.model, principal)
    names, exact = list(made.model.state_dict()), outputs(made.model, pixels)
    with torch.autocast("cpu", torch.bfloat16):
        before = outputs(made.model, pixels)
    round_bases(made.model, "float32")
    assert made.model.encoder[1].rounded is None
    round_bases(made.model, "bf16")
    assert torch.equal(outputs(made.model, pixels), exact)  # outside of autocast it is not looked at
    made.model.encoder[1].basis.data.zero_()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(outputs(made.model, pixels), before)
    assert not torch.equal(outputs(made.model, pixels), exact)
    assert list(made.model.state_dict()) == names


def test_gradients_reach_every_weight_but_the_subspace(discs):
    made, principal, pixels = started(discs, "fcn-vae")
    narrow(made.model, principal)
    still = {name: p.detach().clone() for name, p in made.model.named_parameters() if not p.requires_grad}
    assert still.keys() == {f"{layer}.{name}" for layer in ("encoder.0", "decoder.2") for name in ("basis", "offset")}
    learn(made, pixels)
    assert all(p.grad.any() for p in made.model.parameters() if p.requires_grad)
    assert all(torch.equal(dict(made.model.named_parameters())[name], tensor) for name, tensor in still.items())


def test_only_wide_nets_of_large_pictures_are_worth_it(discs):
    def wanted(recipe, options, most, side=16):
        with torch.device("meta"):
            return components_wanted(build(ModelSettings(recipe, options), (3, side, side)).model, most)

    assert wanted("fcn-ae", OPTIONS, COUNT) == COUNT
    assert wanted("fcn-ae", OPTIONS, 0) == 0
    assert wanted("fcn-ae", OPTIONS, 400) == 0  # of 768 values
    assert wanted("fcn-ae", OPTIONS, 81) == 0  # of 40 units
    assert wanted("pca", {"latent": 4}, COUNT) == 0
    assert wanted("conv-ae", {"channels": [8, 8]}, COUNT) == 0
    assert wanted("fcn-ae", {}, 1024, 64) == 1024


@pytest.mark.parametrize(
    ("widths", "latent", "most", "wanted"),
    [
        ([200], 4, 384, 384), ([200], 4, 385, 0),  # of 768 values
        ([40], 4, 80, 80), ([40], 4, 81, 0),  # of 40 units
        ([40], 39, 24, 24), ([40], 40, 24, 0),  # of which the code takes all
    ],
)  # fmt: skip
def test_a_subspace_is_worth_it_up_to_half_of_the_values_and_twice_the_units(widths, latent, most, wanted):
    with torch.device("meta"):
        model = build(ModelSettings("fcn-ae", {"latent": latent, "widths": widths}), (3, 16, 16)).model
    assert components_wanted(model, most) == wanted


def test_the_outer_layers_are_the_first_and_the_last(discs):
    torch.manual_seed(0)
    made = build(ModelSettings("fcn-ae", {"latent": 4, "widths": [40, 30]}), (3, 16, 16))
    narrow(made.model, components(made.model, torch.from_numpy(discs), COUNT))
    kinds = [
        [type(m).__name__ for m in net if isinstance(m, nn.Linear)] for net in (made.model.encoder, made.model.decoder)
    ]
    assert kinds == [["Projected", "Linear", "Linear"], ["Linear", "Linear", "Lifted"]]
    with torch.device("meta"):
        uneven = build(ModelSettings("fcn-ae", {"latent": 4, "widths": [40]}), (3, 16, 16)).model
        uneven.decoder = type(uneven.decoder)(nn.Linear(4, 40), nn.ReLU(), nn.Linear(40, 2 * 768))
    assert components_wanted(uneven, COUNT) == 0
    for half in ("encoder", "decoder"):
        with torch.device("meta"):
            other = build(ModelSettings("fcn-ae", {"latent": 4, "widths": [40]}), (3, 16, 16)).model
        assert components_wanted(other, COUNT) == COUNT
        setattr(other, half, nn.Sequential(*getattr(other, half)))  # a net that is no plain stack of layers to us
        assert components_wanted(other, COUNT) == 0


@pytest.mark.parametrize(("strength", "held"), [(0.2, 1.0), (0.05, 0.0)])
def test_what_a_layer_reaches_with_a_ten_thousandth_of_its_strength_counts(strength, held):
    """Of a strength of 1,000 these are two and half a ten-thousandth."""
    axes = torch.eye(9)
    basis = _basis_with(axes[:, :2] * torch.tensor([1000.0, strength]), axes[2:4])
    assert (basis @ axes[1]).norm().item() == pytest.approx(held, abs=1e-5)
    assert (basis @ axes[0]).norm().item() == pytest.approx(1, abs=1e-5)
    bare = _basis_with(torch.zeros(9, 2), axes[2:4])
    torch.testing.assert_close(bare.abs(), axes[2:4])
