"""What each family claims, by identities and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from latentdial import LatentdialError
from latentdial.config import ModelSettings, TrainSettings
from latentdial.parts.aggregate import decompose, dip, discrepancy, log_aggregate, mmd, multiquadratic, rbf
from latentdial.parts.bottlenecks import TopK
from latentdial.parts.bounds import importance
from latentdial.parts.corruptions import Mask, Noise
from latentdial.parts.objectives import kl, nll, total
from latentdial.parts.penalties import squared_slope
from latentdial.parts.priors import StandardNormal
from latentdial.posteriors import Diagonal, Point
from latentdial.recipes import Recipe, build
from latentdial.training.loop import Loop
from latentdial.types import Batch, Level, Pass

SHAPE = (3, 16, 16)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def made(name: str, **options) -> Recipe:
    torch.manual_seed(0)
    return build(ModelSettings(name, {"latent": 3, "layers": [6, 8], **options}), SHAPE)


def batch_of(recipe: Recipe, n: int = 6, seed: int = 0) -> Batch:
    x = recipe.model.scale(torch.randint(0, 256, (n, 16, 16, 3), dtype=torch.uint8, generator=seeded(1)))
    return recipe.model.batch(x, recipe.samples, seeded(seed))


def gradients(recipe: Recipe, loss: torch.Tensor) -> list[torch.Tensor]:
    return list(torch.autograd.grad(loss, [p for p in recipe.model.parameters() if p.requires_grad]))


def level_of(n: int = 5, dims: int = 2, samples: int = 3) -> Level:
    posterior = Diagonal(torch.randn(n, dims, generator=seeded()), torch.randn(n, dims, generator=seeded(1)) - 1)
    return Level(
        posterior.sample(torch.randn(samples, n, dims, generator=seeded(2)), samples), posterior, StandardNormal(dims)
    )


# beta-TCVAE, DIP-VAE --------------------------------------------------------------------------------------------------


def test_beta_tcvae_of_one_is_the_vae():
    recipe = made("beta-tcvae", beta=1.0)
    batch = batch_of(recipe)
    losses = []
    for objective in (recipe.objective, [nll(), kl()]):
        run = recipe.model(batch)
        losses.append((total(objective, run, batch)[0], run))
    (ours, _), (vae, _) = losses
    assert ours.item() == vae.item()
    for a, b in zip(gradients(recipe, ours), gradients(recipe, vae), strict=True):
        assert torch.equal(a, b)


def test_index_information_total_correlation_and_dimensions_make_the_kl():
    level = level_of()
    parts = decompose(level, pictures=1000)
    torch.testing.assert_close(sum(parts), level.log_qz - level.log_pz)


def test_where_the_batch_is_the_set_the_aggregate_is_the_mixture():
    level = level_of()
    spread = (0.5 * level.posterior.log_variance).exp()
    uniform = torch.distributions.Categorical(torch.ones(5))
    joint = torch.distributions.Independent(torch.distributions.Normal(level.posterior.mean, spread), 1)
    expected = torch.distributions.MixtureSameFamily(uniform, joint).log_prob(level.z)
    log_qz, log_each = log_aggregate(level, pictures=5)
    torch.testing.assert_close(log_qz, expected)
    for d in range(2):
        one = torch.distributions.Normal(level.posterior.mean[:, d], spread[:, d])
        mixture = torch.distributions.MixtureSameFamily(uniform, one)
        torch.testing.assert_close(log_each[..., d], mixture.log_prob(level.z[..., d]))


def test_the_density_of_the_aggregate_is_unbiased_over_batches():
    """All batches of three of five pictures that hold picture 0: the mean of the estimates is the density."""
    from itertools import combinations

    whole = level_of()
    exact = log_aggregate(whole, 5)[0][:, 0].exp()
    estimates = []
    for others in combinations(range(1, 5), 2):
        rows = [0, *others]
        posterior = Diagonal(whole.posterior.mean[rows], whole.posterior.log_variance[rows])
        estimates.append(log_aggregate(Level(whole.z[:, rows], posterior, whole.prior), 5)[0][:, 0].exp())
    torch.testing.assert_close(torch.stack(estimates).mean(0), exact)


def test_independent_dimensions_have_no_total_correlation_and_equal_ones_have():
    """Two equal Gaussian dimensions of correlation r have a total correlation of -log(1 - r^2) / 2."""
    rng = np.random.default_rng(0)
    for r in (0.0, 0.9):
        mean = torch.tensor(rng.multivariate_normal([0, 0], [[1, r], [r, 1]], 1500), dtype=torch.float32)
        posterior = Diagonal(mean, torch.full_like(mean, math.log(0.02)))
        z = posterior.sample(torch.randn(1, 1500, 2, generator=seeded()))
        _, correlation, _ = decompose(Level(z, posterior, StandardNormal(2)), 1500)
        seen = r / 1.02  # the posterior's own spread is independent
        assert correlation.mean().item() == pytest.approx(-0.5 * math.log(1 - seen**2), abs=0.08)


@pytest.mark.parametrize("kind", ["i", "ii"])
def test_dip_is_the_squared_distance_of_a_covariance_from_the_identity(kind):
    level = level_of(40, 3)
    covariance = np.cov(level.posterior.mean.numpy().T, bias=True)
    if kind == "ii":
        covariance += np.diag(level.posterior.log_variance.exp().mean(0).numpy())
    off = covariance - np.diag(np.diag(covariance))
    expected = 2.0 * (off**2).sum() + 5.0 * ((np.diag(covariance) - 1) ** 2).sum()
    x = torch.zeros(40, 1, 1, 1)
    value = dip(kind, 2.0, 5.0).value(Pass(x, x[None], x[None, :, 0, 0, 0], {"z": level}), Batch(x))
    assert value.item() == pytest.approx(expected, rel=1e-4)


# maximum mean discrepancy ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", [rbf(2), multiquadratic(2)])
def test_equal_distributions_have_no_discrepancy_and_shifted_ones_have(kernel):
    same, shifted = [], []
    for seed in range(150):
        a, b = torch.randn(2, 40, 2, generator=seeded(seed))
        same.append(discrepancy(a, b, kernel).item())
        shifted.append(discrepancy(a + 0.7, b, kernel).item())
    error = np.std(same) / math.sqrt(len(same))
    assert abs(np.mean(same)) < 4 * error
    assert np.mean(shifted) > 20 * error


def test_discrepancy_of_two_gaussians_has_its_closed_form():
    """E exp(-|a - b|^2 / 2h) = (h / (h + s))^(D/2) exp(-|m|^2 / 2(h + s)) where a - b has mean m and variance s."""

    def expected(h: float, m: float, s: float) -> float:
        return (h / (h + s)) * math.exp(-2 * m**2 / (2 * (h + s)))

    exact = expected(2, 0, 2) + expected(2, 0, 0.5) - 2 * expected(2, 1, 1.25)
    a, b = torch.randn(2, 4000, 2, generator=seeded())
    assert discrepancy(a + 1, 0.5 * b, rbf(2)).item() == pytest.approx(exact, rel=0.05)


# penalties, corruptions, sparsity -------------------------------------------------------------------------------------


def test_squared_slope_is_the_frobenius_norm_of_the_jacobian():
    """The sum over all unit directions is the norm itself; random directions have it as their mean."""
    torch.manual_seed(0)
    net, at = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)), torch.randn(5, 4)
    expected = torch.stack([torch.func.jacrev(net)(one).square().sum() for one in at])
    units = sum(squared_slope(net, at, unit.expand(5, 3)) for unit in torch.eye(3))
    torch.testing.assert_close(units, expected)
    many = squared_slope(net, at[:1].expand(20_000, 4), torch.randn(20_000, 3)).mean()
    assert many.item() == pytest.approx(expected[0].item(), rel=0.05)


def test_contraction_lowers_the_slope_of_the_encoder(discs):
    slopes = []
    for penalty in (0.0, 10.0):
        recipe = made("contractive-ae", penalty=penalty)
        pixels = torch.from_numpy(discs)
        loop = Loop(recipe, TrainSettings(batch=16, steps=60, lr=3e-3), pixels, pixels, "cpu", "float32")
        loop.run(lambda record: None, lambda: False)
        slopes.append(loop.evaluate(pixels)["contraction"])
    assert slopes[1] < 0.8 * slopes[0]


def test_terms_that_differentiate_twice_are_not_compiled(discs):
    pixels, settings = torch.from_numpy(discs), TrainSettings(batch=16, steps=2, compile=True)
    with pytest.raises(LatentdialError, match="contraction of this recipe cannot be compiled"):
        Loop(made("contractive-ae"), settings, pixels, pixels, "cpu", "float32")


def test_corruptions_spoil_as_much_as_they_say_and_only_in_training():
    x, noise = torch.rand(20, 3, 32, 32), torch.randn(20, 3, 32, 32, generator=seeded())
    masked = Mask((3, 32, 32), 0.3, -1.0)(x, noise)
    hidden = (masked == -1).float()
    assert hidden.mean().item() == pytest.approx(0.3, abs=0.01)
    assert (hidden.amin(1) == hidden.amax(1)).all()
    assert torch.equal(masked[hidden == 0], x[hidden == 0])
    assert (Noise((3, 32, 32), 0.2)(x, noise) - x).std().item() == pytest.approx(0.2, rel=0.01)
    recipe = made("denoising-ae")
    batch = batch_of(recipe)
    spoilt, clean = recipe.model(batch), recipe.model.eval()(batch)
    torch.testing.assert_close(clean.z[0], recipe.model.encode(batch.x))
    assert (spoilt.z - clean.z).abs().max() > 1e-3
    assert torch.equal(spoilt.x, batch.x)


def test_a_sparse_code_holds_the_largest_values():
    features = torch.randn(7, 20, generator=seeded())
    code = TopK(20, 4)(features).mean
    assert ((code != 0).sum(1) == 4).all()
    torch.testing.assert_close(code.sort(1).values[:, -4:].clamp(min=0), features.sort(1).values[:, -4:].clamp(min=0))


def test_rae_sums_its_parts():
    recipe = made("rae-l2", beta=0.5, decay=0.25)
    batch = batch_of(recipe)
    run = recipe.model(batch)
    loss, terms = total(recipe.objective, run, batch)
    size = 0.5 * run.z[0].square().sum(1).mean()
    squares = sum(w.square().sum() for w in recipe.model.decoder.parameters())
    torch.testing.assert_close(terms["size"], size)
    torch.testing.assert_close(loss, terms["nll"] + 0.5 * size + 0.25 * squares)


# importance weighting -------------------------------------------------------------------------------------------------


def gaussian_case(
    samples: int, mean: torch.Tensor, log_variance: torch.Tensor, n: int = 64
) -> tuple[Pass, Batch, float]:
    """z ~ N(0, 1) and x | z ~ N(z, 1), so that x ~ N(0, 2) and z | x ~ N(x / 2, 1 / 2); all n pictures are x = 1.3."""
    x = torch.full((n, 1, 1, 1), 1.3)
    posterior = Diagonal(mean.expand(n, 1), log_variance.expand(n, 1))
    z = posterior.sample(torch.randn(samples, n, 1, generator=seeded()), samples)
    log_px = torch.distributions.Normal(z[..., 0], 1.0).log_prob(x[:, 0, 0, 0])
    exact = torch.distributions.Normal(0.0, math.sqrt(2)).log_prob(torch.tensor(1.3)).item()
    return Pass(x, z[..., None, None], log_px, {"z": Level(z, posterior, StandardNormal(1))}), Batch(x), exact


def parameters(mean: float = 0.65, variance: float = 0.5) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor([mean], requires_grad=True), torch.tensor([math.log(variance)], requires_grad=True)


def test_one_sample_is_the_elbo_and_many_come_to_the_likelihood():
    one = gaussian_case(1, *parameters(0.2, 0.9))
    elbo = (one[0].log_px + one[0].levels["z"].log_pz - one[0].levels["z"].log_qz).mean()
    assert importance(1).value(*one[:2]).item() == pytest.approx(-elbo.item(), rel=1e-6)
    bounds = []
    for k in (1, 10, 1000):
        run, batch, exact = gaussian_case(k, *parameters(0.2, 0.9), n=400)
        bounds.append(-importance(k).value(run, batch).item())
    assert bounds[0] < bounds[1] < exact + 0.01
    assert bounds[2] == pytest.approx(exact, abs=0.005)


@pytest.mark.parametrize("k", [1, 5])
def test_the_true_posterior_has_the_likelihood_in_every_sample_and_no_gradient(k):
    mean, log_variance = parameters()
    run, batch, exact = gaussian_case(k, mean, log_variance)
    term = importance(k)
    loss, terms = total([term], run, batch)
    assert loss.item() == pytest.approx(-exact, abs=1e-5)
    assert terms["iwae"].item() == pytest.approx(-exact, abs=1e-5)
    loss.backward()
    assert mean.grad.abs().item() < 1e-6
    assert log_variance.grad.abs().item() < 1e-6


@pytest.mark.parametrize("elbo", [0.0, 0.4])
def test_both_gradients_have_the_same_mean(elbo):
    found = []
    for dreg in (False, True):
        mean, log_variance = parameters(0.1, 1.2)
        run, batch, _ = gaussian_case(4, mean, log_variance, n=40_000)
        total([importance(4, elbo, dreg)], run, batch)[0].backward()
        found.append([mean.grad.item(), log_variance.grad.item()])
    assert np.abs(found[0]).min() > 0.02
    np.testing.assert_allclose(found[1], found[0], atol=0.01)


def test_groups_are_averages_of_bounds():
    run, batch, _ = gaussian_case(6, *parameters(0.2, 0.9))
    halves, level = [], run.levels["z"]
    for rows in (slice(0, 3), slice(3, 6)):
        held = Level(level.z[rows], level.posterior, level.prior)
        part = Pass(run.x, run.output[rows], run.log_px[rows], {"z": held})
        halves.append(importance(3).value(part, batch).item())
    assert importance(3).value(run, batch).item() == pytest.approx(sum(halves) / 2, rel=1e-6)


def test_a_point_has_no_density():
    point = Point(torch.zeros(2, 3))
    assert point.log_prob(torch.zeros(1, 2, 3)) is None
    assert point.kl(StandardNormal(3)) is None


def test_the_term_compares_all_codes_of_the_batch_with_as_many_of_the_prior():
    z, prior = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(0)).chunk(2)
    passed = Pass(torch.zeros(6, 1, 1, 1), z, torch.zeros(1, 6), {"z": Level(z, Point(z[0]))})
    term = mmd(3, rbf(3), 5.0)
    assert term.value(passed, Batch(passed.x, {"prior": prior})) == discrepancy(z[0], prior[0], rbf(3))
    assert (term.weight, term.draws) == (5.0, {"prior": (3,)})


def test_the_kernel_sums_over_its_scales():
    apart = torch.tensor([[0.0, 0.0]]), torch.tensor([[6.0, 8.0]])
    scales = [4 * s for s in (0.1, 0.2, 0.5, 1, 2, 5, 10)]
    assert multiquadratic(2)(*apart).item() == pytest.approx(sum(c / (c + 100) for c in scales))


def test_of_one_picture_the_aggregate_is_its_posterior():
    level = level_of(n=1)
    joint, each = log_aggregate(level, pictures=1000)
    torch.testing.assert_close(joint, level.log_qz)
    torch.testing.assert_close(each.sum(-1), level.log_qz)
