"""Codes of several levels: densities against the levels' own, exact posteriors, and where they are the plain VAE."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

import latentdial
from latentdial.config import ModelSettings
from latentdial.images import open_parts
from latentdial.measure.reconstruction import squared_errors
from latentdial.model import Autoencoder
from latentdial.parts.bottlenecks import Gaussian
from latentdial.parts.ladder import Ladder, Said, TwoLevels, _weighed
from latentdial.parts.objectives import kl, nll, total
from latentdial.parts.priors import StandardNormal
from latentdial.posteriors import Diagonal
from latentdial.recipes import Recipe, build
from latentdial.report.compare import compare
from latentdial.report.evaluate import evaluate
from latentdial.report.pca_codec import fit_pca
from latentdial.runs.records import read_summary
from latentdial.training.starting import components, start_at_pca
from latentdial.types import Level, Principal

SHAPE = (3, 16, 16)
BOTH = ["two-level-vae", "ladder-vae"]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def options(name: str) -> dict:
    above = {"two-level-vae": 2, "ladder-vae": [2, 3]}.get(name)
    return {"latent": 4, "layers": [6, 8]} | ({"above": above, "hidden": 8} if above else {})


def made(name: str, **others) -> Recipe:
    torch.manual_seed(0)
    return build(ModelSettings(name, options(name) | others), SHAPE)


@torch.no_grad()
def loud(model: Autoencoder) -> Autoencoder:
    """With levels that say much of each other."""
    for layer in model.modules():
        if isinstance(layer, Said):
            layer.net[2].weight.mul_(100)
            layer.net[2].bias.normal_(generator=seeded(7))
    return model.requires_grad_(False)


@torch.no_grad()
def quiet(model: Autoencoder) -> Autoencoder:
    """With levels that say nothing of each other."""
    for layer in model.modules():
        if isinstance(layer, Said):
            layer.net[2].weight.zero_()
            layer.net[2].bias.zero_()
    return model


def pictures(model: Autoencoder, n: int = 5) -> Tensor:
    return model.scale(torch.randint(0, 256, (n, 16, 16, 3), dtype=torch.uint8, generator=seeded(1)))


def normal(said: Diagonal) -> Normal:
    return Normal(said.mean, (0.5 * said.log_variance).exp())


def levels_of(model: Autoencoder, code: Tensor) -> list[Tensor]:
    """The levels themselves, the highest first, of codes (..., D)."""
    bottleneck = model.bottleneck
    downs = bottleneck.downs if isinstance(bottleneck, Ladder) else [bottleneck.down]
    first, *others = code.split(list(bottleneck.sizes), -1)
    levels = [first]
    for down, apart in zip(downs, others, strict=True):
        likely = normal(down(levels[-1]))
        levels.append(likely.mean + likely.stddev * apart)
    return levels


def joint(model: Autoencoder, levels: list[Tensor]) -> Tensor:
    """log p of all levels, by torch's own densities."""
    bottleneck = model.bottleneck
    downs = bottleneck.downs if isinstance(bottleneck, Ladder) else [bottleneck.down]
    found = Normal(0, 1).log_prob(levels[0]).sum(-1)
    for down, above, below in zip(downs, levels[:-1], levels[1:], strict=True):
        found = found + normal(down(above)).log_prob(below).sum(-1)
    return found


def inferred(model: Autoencoder, x: Tensor, levels: list[Tensor]) -> Tensor:
    """log q of all levels given pictures, by torch's own densities and, in a ladder, weights of precisions."""
    bottleneck, features = model.bottleneck, model.encoder(x)
    if isinstance(bottleneck, TwoLevels):
        high, low = levels
        below = normal(bottleneck.low(features)).log_prob(low).sum(-1)
        return below + normal(bottleneck.up(low)).log_prob(high).sum(-1)
    likely, found = Normal(torch.zeros(2), torch.ones(2)), torch.zeros(())
    for i, seen in enumerate(bottleneck(features).seen):
        ours, theirs = (0.5 * seen.log_variance).exp() ** -2, likely.stddev**-2
        mean = (seen.mean * ours + likely.mean * theirs) / (ours + theirs)
        found = found + Normal(mean, (ours + theirs) ** -0.5).log_prob(levels[i]).sum(-1)
        if i < 2:
            likely = normal(bottleneck.downs[i](levels[i]))
    return found


@pytest.mark.parametrize("name", BOTH)
def test_weights_are_those_of_the_levels_themselves(name):
    """log p(x, levels) - log q(levels | x), written with the levels and not with codes; a code gives them back."""
    model = loud(made(name).model)
    x = pictures(model)
    run = model(model.batch(x, 3, seeded(2)), 3)
    levels = levels_of(model, run.z)
    torch.testing.assert_close(model.bottleneck.read(run.z), levels[-1])
    expected = run.log_px + joint(model, levels) - inferred(model, x, levels)
    torch.testing.assert_close(run.log_weight, expected, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("name", BOTH)
def test_draws_follow_the_density_and_the_prior_is_standard_normal(name):
    """The mean of p / q over draws of q is 1, for the posterior of every picture."""
    model = loud(made(name).model)
    posterior = model.posterior(pictures(model, 3))
    z = posterior.sample(torch.randn(60_000, 3, model.latent, generator=seeded()), 60_000)
    near = Normal(z.mean(0), 0.7 * z.std(0))  # a density inside of q
    ratio = (near.log_prob(z).sum(-1) - posterior.log_prob(z).sum(-1)).exp()
    torch.testing.assert_close(ratio.mean(0), torch.ones(3), atol=0.05, rtol=0)
    assert isinstance(model.prior, StandardNormal)
    assert model.prior.latent == model.latent == model.code[0]


def test_densities_of_codes_of_other_pictures():
    """Every code under every picture's posterior, (K, N): what bounds of information ask for."""
    for name in BOTH:
        model = loud(made(name).model)
        posterior = model.posterior(pictures(model, 3))
        z = posterior.sample(torch.randn(1, 3, model.latent, generator=seeded()))[0]
        each = posterior.log_prob(z[:, None])
        assert each.shape == (3, 3, model.latent)
        for i in range(3):
            torch.testing.assert_close(each[:, i], model.posterior(pictures(model, 3)[i : i + 1]).log_prob(z[None])[0])


def test_the_divergence_of_a_ladder_is_what_its_draws_say():
    """Given the codes above, a level's KL has a closed form, whose mean is that of log q - log p, level by level."""
    model = loud(made("ladder-vae").model)
    posterior = model.posterior(pictures(model, 2))
    z = posterior.sample(torch.randn(60_000, 2, model.latent, generator=seeded()), 60_000)
    level = Level(z, posterior, model.prior)
    sampled = (posterior.log_prob(z) - model.prior.log_prob(z)).mean(0)
    for part in ((0, 2), (2, 5), (5, 9)):
        closed, drawn = (kl[:, slice(*part)].sum(1) for kl in (level.kl, sampled))
        torch.testing.assert_close(closed, drawn, atol=0.05, rtol=0.02)
    assert level.kl.min() >= 0


@pytest.mark.parametrize("name", BOTH)
def test_levels_that_say_nothing_of_each_other_are_the_vae(name):
    model, plain = quiet(made(name).model), made("beta-tcvae").model
    x, high = pictures(model), model.latent - 4
    with torch.no_grad():
        features = torch.randn(5, 8, generator=seeded(3))
        if (
            name == "ladder-vae"
        ):  # what the picture says so that with N(0, I) this comes of it, and nothing of the others
            mean, log_variance = features.chunk(2, 1)
            variance = (log_variance - 3).exp()
            features = torch.cat([mean, log_variance - 3], 1)
            seen = torch.cat([mean / (1 - variance), variance.logit(), torch.zeros(5, 8)], 1)
            for says in model.bottleneck.says:
                says.weight.zero_()
                says.bias.copy_(torch.tensor([0.0, 20.0]).repeat_interleave(says.out_features // 2))
        else:
            seen = features
    model.encoder, plain.encoder = torch.nn.Module(), torch.nn.Module()
    model.encoder.forward, plain.encoder.forward = lambda _: seen, lambda _: features
    plain.decoder, plain.likelihood = model.decoder, model.likelihood
    batch = model.batch(x, 2, seeded(4))
    ours = model(batch, 2)
    theirs = plain(SimpleNamespace(x=x, y=None, noise={"z": batch.noise["z"][..., high:]}), 2)
    torch.testing.assert_close(ours.log_px, theirs.log_px, rtol=1e-5, atol=1e-3)
    torch.testing.assert_close(ours.z[..., high:], theirs.z, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(ours.log_weight, theirs.log_weight, rtol=1e-5, atol=1e-3)


# exact posteriors -----------------------------------------------------------------------------------------------------

A, S, W, SIGMA = 0.8, 0.5, 1.7, 0.6  # h ~ N(0, 1), z ~ N(A h, S^2), x ~ N(W z, SIGMA^2)


class Affine(torch.nn.Module):
    """What a number says of another: a Gaussian with mean a z and a variance."""

    def __init__(self, a: float, variance: float):
        super().__init__()
        self.a, self.log_variance = a, math.log(variance)

    def forward(self, z: Tensor) -> Diagonal:
        return Diagonal(self.a * z, torch.full_like(z, self.log_variance))


def evidence(bottleneck: TwoLevels | Ladder, features: Tensor, x: Tensor) -> Tensor:
    """log p(x, h, z) / q(h, z | x) of draws, (K, B)."""
    posterior = bottleneck(features)
    z = posterior.sample(torch.randn(50, len(x), 2, generator=seeded(1)), 50)
    prior = StandardNormal(2).log_prob(z).sum(-1)
    seen = Normal(W * bottleneck.read(z)[..., 0], SIGMA).log_prob(x)
    return seen + prior - posterior.log_prob(z).sum(-1)


@pytest.mark.parametrize("kind", ["two", "ladder"])
def test_with_the_exact_posterior_every_draw_says_the_likelihood(kind):
    """All is Gaussian here, so the posterior is known: no draw's weight differs from log p(x)."""
    x = torch.tensor([-2.0, 0.3, 1.5])
    known = Normal(0.0, math.sqrt(W**2 * (A**2 + S**2) + SIGMA**2)).log_prob(x)
    low, column = Gaussian(1), torch.ones(3)
    if kind == "two":
        bottleneck, spread = TwoLevels(low, 1, 4), A**2 + S**2
        bottleneck.down, bottleneck.up = Affine(A, S**2), Affine(A / spread, S**2 / spread)
        precision = 1 / spread + W**2 / SIGMA**2
        features = torch.stack([W * x / SIGMA**2 / precision, -math.log(precision) * column], 1)
    else:  # what the picture says of a level alone is its likelihood
        bottleneck = Ladder(low, [1], 2)
        bottleneck.downs[0], bottleneck.ups[0] = Affine(A, S**2), torch.nn.Identity()
        bottleneck.says[0] = torch.nn.Identity()
        of_low = torch.stack([x / W, math.log(SIGMA**2 / W**2) * column], 1)
        of_high = torch.stack([x / (W * A), math.log((W**2 * S**2 + SIGMA**2) / (W * A) ** 2) * column], 1)
        features = torch.cat([of_low, of_high], 1)
    torch.testing.assert_close(evidence(bottleneck, features, x), known.expand(50, 3), rtol=1e-5, atol=1e-5)


# starts and samples ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BOTH)
def test_they_start_as_the_vae_does(name, discs):
    """At probabilistic PCA: the levels say hardly anything of each other yet."""
    pixels, losses = torch.from_numpy(discs), []
    for one in (name, "beta-tcvae"):
        model = made(one).model
        start_at_pca(model, pixels, components(model, pixels))
        batch = model.batch(model.scale(pixels), 50, seeded())
        losses.append(total([nll(), kl()], model.eval().requires_grad_(False)(batch, 50), batch)[0].item())
    ours, theirs = losses
    assert theirs - 0.5 < ours < theirs + 2  # of -157


@pytest.mark.parametrize("name", BOTH)
def test_what_pca_is_given_is_what_the_decoder_sees(name, discs_file, tmp_path):
    """Four numbers of the lowest level; the others only say where these are likely."""
    latentdial.train(name, discs_file, tmp_path / "run", options=options(name), size=16, steps=2, batch=16, holdout=0.5)
    assert "of PCA with 4 numbers" in read_summary(tmp_path / "run")["verdict"]
    codec = latentdial.load(tmp_path / "run")
    assert (codec.seen, codec.latent) == (4, {"two-level-vae": 6, "ladder-vae": 9}[name])
    parts = open_parts(codec.config)
    theirs = squared_errors(
        parts.test.pixels[:], fit_pca(parts.training.pixels[:], 4).reconstruct(parts.test.pixels[:])
    )
    shown = evaluate(tmp_path / "run", features="pixels-pca", samples=1, show=False).as_dict()["figures"]
    assert shown["mse"]["PCA"] == pytest.approx(theirs.mean(), rel=1e-4)
    found = compare([tmp_path / "run"], None)
    assert found.pca_errors == pytest.approx(theirs)
    rows = {row[0]: row[1:] for row in found.table()[1]}
    assert rows["numbers in a code"] == [str(codec.latent), "4"]
    assert rows["numbers that the decoder sees"] == ["4", "-"]


@pytest.mark.parametrize("name", BOTH)
def test_the_linear_start_is_that_of_the_lowest_level_alone(name, discs):
    """To rounding, where the levels say nothing of each other: the same means and variances, whatever the beta."""
    pixels, found = torch.from_numpy(discs), []
    for one in (name, "beta-tcvae"):
        model = quiet(made(one).model)
        start_at_pca(model, pixels, components(model, pixels), beta=30.0)
        posterior = model.eval().requires_grad_(False).posterior(model.scale(pixels))
        noise = torch.stack([torch.zeros(48, model.latent), torch.ones(48, model.latent)])
        found.append(posterior.sample(noise, 2)[..., -4:])
        if one == "ladder-vae":  # what the levels above are said by begins as what the picture says of the lowest
            assert model.encoder(model.scale(pixels))[:, 8:].std(0).min() > 0.1
    assert (found[1][1] - found[1][0]).mean() > 0.3  # of standard deviations: a start that is sure says little
    torch.testing.assert_close(*found, rtol=1e-3, atol=1e-4)


def test_a_start_that_knows_nothing_of_a_number_leaves_it_to_the_prior():
    """Where no component is above the noise, a ladder's picture cannot say N(0, I): it says nearly nothing."""
    principal = Principal(torch.zeros(6), torch.eye(6)[:2], torch.full((2,), 0.5), 4.6)
    bottleneck = Ladder(Gaussian(2), [1], 4)
    start = bottleneck.linear(principal, 1.0)
    likely = Diagonal(torch.zeros(1, 2), torch.zeros(1, 2))
    low = _weighed(bottleneck.low(start.bias[None, :4]), likely)
    torch.testing.assert_close(low.log_variance.exp(), torch.full((1, 2), 0.99))
    torch.testing.assert_close(low.mean, torch.zeros(1, 2))


def test_the_divergence_of_a_ladder_is_given_what_was_drawn_last():
    model = loud(made("ladder-vae").model)
    first, second = torch.randn(2, 4, 2, model.latent, generator=seeded()).unbind(0)
    posterior, fresh = (model.posterior(pictures(model, 2)) for _ in range(2))
    given_means = posterior.kl(model.prior)
    assert torch.equal(posterior.mean, fresh.mean)
    assert torch.equal(posterior.kl(model.prior), given_means)
    posterior.sample(first, 4)
    fresh.sample(second, 4)
    assert not torch.allclose(posterior.kl(model.prior), fresh.kl(model.prior), rtol=0.01)
    posterior.log_prob(posterior.sample(second, 4))
    assert torch.equal(posterior.kl(model.prior), fresh.kl(model.prior))
    assert given_means.shape == fresh.kl(model.prior).shape == (2, model.latent)


def test_the_divergences_of_the_levels_are_logged_and_make_the_whole():
    recipe = made("ladder-vae", beta=3.0)
    loud(recipe.model)
    batch = recipe.model.batch(pictures(recipe.model), generator=seeded())
    run = recipe.model(batch)
    loss, terms = total(recipe.objective, run, batch)
    each = run.levels["z"].kl.mean(0)
    parts = {"kl_3": each[:2].sum(), "kl_2": each[2:5].sum(), "kl_1": each[5:].sum()}
    for name, expected in parts.items():
        torch.testing.assert_close(terms[name], expected)
    torch.testing.assert_close(terms["kl"], sum(parts.values()))
    torch.testing.assert_close(loss, terms["nll"] + 3 * terms["kl"])
