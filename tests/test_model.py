"""The parts put together, with nets that do nothing but reshape, so that every number can be told."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from latentdial import LatentdialError
from latentdial.layers import Network
from latentdial.model import KEPT, Autoencoder, Model, draw, prefix
from latentdial.parts.bottlenecks import Deterministic
from latentdial.parts.bottlenecks import Gaussian as GaussianBottleneck
from latentdial.parts.conditions import LABELS, Condition
from latentdial.parts.corruptions import Noise
from latentdial.parts.likelihoods import PIXELS, Bernoulli, Gaussian
from latentdial.parts.priors import Mixture, StandardNormal
from latentdial.types import Batch

IMAGE = (1, 2, 2)
X = torch.tensor([[[[0.1, 0.2], [0.3, 0.4]]], [[[0.5, 0.6], [-0.7, 0.8]]]])


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


class Twice(nn.Module):
    """Codes (B, 2) as pictures, once in each row."""

    def forward(self, z):
        return torch.stack([z[:, :2], z[:, :2]], 1)[:, None]


class Cut(nn.Module):
    """The first four values of what an encoder sees."""

    def forward(self, x):
        return x.flatten(1)[:, :4]


def plain(**more) -> Autoencoder:
    return Autoencoder(Network(Cut(), nn.Unflatten(1, IMAGE)), Deterministic(4), Gaussian(1.0, squash=False), **more)


def variational(prior: nn.Module | None = None, **more) -> Autoencoder:
    network = Network(Cut(), Twice())
    return Autoencoder(network, GaussianBottleneck(2), Gaussian(1.0, squash=False), prior or StandardNormal(2), **more)


def test_an_autoencoder_of_nets_that_do_nothing():
    model = plain()
    assert (model.latent, model.code, model.draws, model.labels) == (4, (4,), {}, 0)
    assert torch.equal(model.encode(X), X.flatten(1))
    assert torch.equal(model.decode(X.flatten(1)), X)
    codes, kl = model.codes_and_kl(X)
    assert torch.equal(codes, X.flatten(1))
    assert kl is None
    found = model(model.batch(X))
    assert torch.equal(found.output, X[None])
    assert torch.equal(found.z, X.flatten(1)[None])
    assert found.levels["z"].prior is None
    assert found.log_px.shape == (1, 2)
    assert model(model.batch(X), 3).output.shape == (3, 2, *IMAGE)
    assert torch.equal(model.scale(torch.tensor([[[[255], [0]]]], dtype=torch.uint8)), torch.tensor([[[[1.0, -1]]]]))


def test_a_variational_one_draws_its_codes_from_the_noise_of_its_batch():
    model = variational()
    assert model.draws == {"z": (2,)}
    noise = torch.tensor([[[1.0, -1], [0, 2]], [[0, 0], [0, 0]]])
    found = model(Batch(X, {"z": noise}), 2)
    mean, log_variance = X.flatten(1)[:, :2], X.flatten(1)[:, 2:]
    z = mean + (0.5 * log_variance).exp() * noise
    torch.testing.assert_close(found.z, z)
    torch.testing.assert_close(found.output, torch.stack([z, z], 2)[:, :, None])
    torch.testing.assert_close(found.log_px, model.likelihood.log_prob(found.output, X))
    codes, kl = model.codes_and_kl(X)
    assert torch.equal(codes, mean)
    torch.testing.assert_close(kl, StandardNormal(2).kl(mean, log_variance))
    assert variational(Mixture(2, 2)).codes_and_kl(X)[1] is None
    assert torch.equal(model.sample(3, seeded()), torch.randn(3, 2, generator=seeded()))
    assert model.batch(X, 5, seeded()).noise["z"].shape == (5, 2, 2)


def test_the_same_pictures_are_encoded_once_and_their_codes_are_drawn_anew():
    passes = variational().passes(X, seeded())
    expected = seeded()
    for samples in (1, 3):
        noise = torch.randn(samples, 2, 2, generator=expected)
        torch.testing.assert_close(passes(samples).z, variational()(Batch(X, {"z": noise}), samples).z)


def test_pictures_are_spoilt_in_training_alone_and_are_held_against_the_clean_ones():
    model = plain(corruption=Noise(IMAGE, 0.5))
    assert model.draws == {"x": IMAGE}
    noise = torch.stack([torch.ones_like(X), torch.zeros_like(X)])
    found = model.train()(Batch(X, {"x": noise}))
    torch.testing.assert_close(found.z[0], (X + 0.5).flatten(1))
    assert found.x is X
    assert torch.equal(model.eval()(Batch(X, {"x": noise})).z[0], X.flatten(1))


def conditional(out: float = 0.5) -> Autoencoder:
    """Of two labels, the pictures of which are -1 and -2 everywhere, and nothing of no label."""
    condition = Condition(2, IMAGE, 1, out)
    condition.start(-torch.arange(3.0)[:, None].expand(3, 4))
    with torch.no_grad():
        condition.words.weight.copy_(10 * torch.arange(3.0)[:, None])

    class Add(nn.Module):
        def forward(self, z):
            return (z[:, :-1] + z[:, -1:]).unflatten(1, IMAGE)

    return Autoencoder(Network(nn.Flatten(), Add()), Deterministic(4), Gaussian(1.0, squash=False), condition=condition)


def test_a_condition_is_seen_by_both_nets_and_left_out_by_noise_in_training_alone():
    model, y = conditional(), torch.tensor([0, 1])
    assert (model.labels, model.draws) == (2, {LABELS: ()})
    flat = X.flatten(1)
    torch.testing.assert_close(model.encode(X, y), flat + torch.tensor([[1.0], [2]]))
    torch.testing.assert_close(model.encode(X), flat)
    torch.testing.assert_close(model.decode(flat, y), X + torch.tensor([10.0, 20])[:, None, None, None])
    torch.testing.assert_close(model.decode(flat), X)
    torch.testing.assert_close(model.posterior(X).mean, flat)
    torch.testing.assert_close(model.output(flat), X)
    batch = Batch(X, {LABELS: torch.tensor([[-1.0, 1], [1, -1]])}, y)
    torch.testing.assert_close(model.train()(batch).z[0], flat + torch.tensor([[0.0], [2]]))
    both = model(batch, 2)
    torch.testing.assert_close(both.output[1], X + torch.tensor([0.0, 22])[:, None, None, None])
    torch.testing.assert_close(model.eval()(batch).z[0], flat + torch.tensor([[1.0], [2]]))
    torch.testing.assert_close(model.train()(Batch(X, {}, y)).z[0], flat + torch.tensor([[1.0], [2]]))
    for wanted, seen in (([1, 1], model.posterior(X, torch.tensor([1, 1])).mean), ([2, 2], None)):
        if seen is not None:
            torch.testing.assert_close(seen, flat + torch.tensor(wanted)[:, None])
    torch.testing.assert_close(
        model.output(flat, torch.tensor([2, 0])), X + torch.tensor([20.0, 0])[:, None, None, None]
    )


def test_an_ordered_code_is_cut_behind_its_first_numbers_in_training_alone():
    model = plain()
    model.order()
    assert model.draws == {KEPT: ()}
    batch = Batch(X, {KEPT: torch.tensor([[-9.0, 9]])})
    kept = X.flatten(1).clone()
    kept[0, 1:] = 0
    assert torch.equal(model.train()(batch).output[0].flatten(1), kept)
    assert torch.equal(model.eval()(batch).output[0], X)
    assert torch.equal(model.train()(Batch(X)).output[0], X)
    grid = Autoencoder(Network(nn.Identity(), nn.Identity()), Deterministic(IMAGE), Gaussian(1.0))
    assert (grid.latent, grid.encode(X).shape, grid.decode(grid.encode(X)).shape) == (4, (2, 4), X.shape)
    with pytest.raises(LatentdialError, match="is no row of numbers: train it without ordered=true"):
        grid.order()


def test_pixels_that_are_drawn_are_noise_of_the_batch():
    model = Autoencoder(Network(Cut(), nn.Unflatten(1, IMAGE)), Deterministic(4), Bernoulli("sampled", IMAGE))
    assert model.draws == {PIXELS: IMAGE}
    grey = torch.full((2, *IMAGE), 0.5)
    noise = torch.stack([torch.full((1, 2, 2), -1.0), torch.full((1, 2, 2), 1.0)])[None]
    assert model(Batch(grey, {PIXELS: noise})).x.flatten().tolist() == [1] * 4 + [0] * 4
    assert torch.equal(model.encode(grey), grey.flatten(1))
    passes = model.passes(grey, seeded())
    assert passes(1).x is passes(2).x
    torch.testing.assert_close(passes(1).x, (torch.randn(1, 2, *IMAGE, generator=seeded())[0] < 0).float())


def test_a_model_that_encodes_at_every_pass_has_its_pixels_drawn_once_as_well():
    model, seen = Autoencoder(Network(Cut(), nn.Identity()), Deterministic(4), Bernoulli("sampled", IMAGE)), []
    model.forward = lambda batch, samples: seen.append((batch.noise[PIXELS], samples))
    passes = Model.passes(model, torch.full((2, *IMAGE), 0.5), seeded())
    passes(1), passes(3)
    assert [samples for _, samples in seen] == [1, 3]
    assert seen[0][0] is seen[1][0]
    assert torch.equal(seen[0][0], torch.randn(1, 2, *IMAGE, generator=seeded()))


def test_half_of_the_codes_below_three_quarters_keep_less_than_the_root():
    """k is D to the power of the share of noise below it, over 3/4; here D is 16."""
    shares = torch.tensor([1e-6, 0.75 * 0.49, 0.75 * 0.51, 0.74, 0.76, 0.999])
    kept = prefix(torch.special.ndtri(shares), 16)
    assert kept.sum(-1).tolist() == [1, 3, 4, 15, 16, 16]
    assert kept[2].tolist() == [1] * 4 + [0] * 12


def test_noise_is_drawn_in_order_for_every_sample_and_picture():
    found, expected = draw({"a": (2,), "b": ()}, 3, 4, "cpu", seeded()), seeded()
    assert torch.equal(found["a"], torch.randn(3, 4, 2, generator=expected))
    assert torch.equal(found["b"], torch.randn(3, 4, generator=expected))
