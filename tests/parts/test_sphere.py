"""Codes on a sphere: densities against closed forms and integrals, and draws against densities."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import integrate, special, stats

from latentdial import LatentdialError
from latentdial.config import ModelSettings, RunConfig
from latentdial.latent.sampling import fit_prior
from latentdial.parts.sphere import OnSphere, ProjectedNormal, UniformOnSphere, _log_lengths
from latentdial.recipes import build
from latentdial.runs.loading import codec_of
from latentdial.types import Level


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def along_axis(length: float, latent: int) -> ProjectedNormal:
    """The posterior of one picture, whose centre is on the first axis."""
    return ProjectedNormal(length * torch.eye(latent)[:1])


def drawn(posterior: ProjectedNormal, n: int) -> torch.Tensor:
    return posterior.sample(torch.randn(n, *posterior.centre.shape, generator=seeded()), n)


def exact(t: float, latent: int) -> float:
    """The log of the integral over lengths, by scipy."""

    def inside(r: float) -> float:
        return (latent - 1) * math.log(r) - 0.5 * (r - t) ** 2

    mode = 0.5 * (t + math.sqrt(t * t + 4 * (latent - 1)))
    value, _ = integrate.quad(lambda r: math.exp(inside(r) - inside(mode)), 1e-12, mode + 40, points=[mode], limit=200)
    return math.log(value) + inside(mode)


@pytest.mark.parametrize("latent", [2, 3, 32, 512])
def test_the_integral_over_lengths_and_its_slope(latent):
    t = torch.tensor([-8.0, -1.0, 0.0, 2.5, 40.0, 900.0], requires_grad=True)
    found = _log_lengths(t, latent)
    (slope,) = torch.autograd.grad(found.sum(), t)
    known = [exact(one, latent) for one in t.tolist()]
    more = [exact(one, latent + 1) for one in t.tolist()]  # the slope is the mean length less t
    np.testing.assert_allclose(found.detach(), known, rtol=2e-6, atol=1e-4)
    np.testing.assert_allclose(slope, np.exp(np.subtract(more, known)) - t.detach().numpy(), rtol=2e-3, atol=2e-4)


def test_on_a_circle_the_density_is_that_of_the_textbook():
    """Presnell et al., eq. 3: phi(|m|) / phi(t) (1 + t Phi(t) / phi(t)) / 2 pi with t = m . u, and integrates to 1."""
    angles = torch.linspace(0, 2 * math.pi, 401)[:-1]
    on_circle = torch.stack([angles.cos(), angles.sin()], 1)
    posterior = along_axis(1.7, 2)
    found = posterior.log_prob(on_circle[:, None])[:, 0, 0].exp()
    t = 1.7 * np.cos(angles.numpy())
    norm = stats.norm
    known = norm.pdf(1.7) / np.sqrt(2 * np.pi) * (1 + t * norm.cdf(t) / norm.pdf(t))
    np.testing.assert_allclose(found, known, rtol=1e-4)
    assert found.mean().item() * 2 * math.pi == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(("length", "latent"), [(0.0, 3), (1.5, 3), (6.0, 3), (4.0, 12)])
def test_draws_follow_the_density(length, latent):
    """Of the cosine with the centre's direction, whose density is that on the sphere times the area of a ring."""
    posterior = along_axis(length, latent)
    cosines = drawn(posterior, 20_000)[:, 0, 0].double().numpy()

    def density(c: np.ndarray) -> np.ndarray:
        codes = torch.zeros(len(c), 1, latent)
        codes[:, 0, 0], codes[:, 0, 1] = torch.tensor(c), torch.tensor(np.sqrt(1 - c**2))
        ring = 2 * np.pi ** ((latent - 1) / 2) / special.gamma((latent - 1) / 2) * (1 - c**2) ** ((latent - 3) / 2)
        return posterior.log_prob(codes)[:, 0, 0].exp().numpy() * ring

    grid = np.linspace(-1, 1, 20_001)
    below = integrate.cumulative_trapezoid(density(grid), grid, initial=0)
    assert below[-1] == pytest.approx(1, abs=2e-3)
    assert stats.kstest(cosines, lambda c: np.interp(c, grid, below)).pvalue > 1e-3


def test_a_centre_at_zero_is_the_prior_which_is_uniform():
    for latent, area in ((2, 2 * math.pi), (3, 4 * math.pi), (4, 2 * math.pi**2)):
        prior, z = UniformOnSphere(latent), torch.nn.functional.normalize(torch.randn(4, 2, latent), dim=-1)
        torch.testing.assert_close(prior.log_prob(z), torch.full((4, 2, 1), -math.log(area)))
        torch.testing.assert_close(
            ProjectedNormal(torch.zeros(2, latent)).log_prob(z), prior.log_prob(z), rtol=0, atol=2e-5
        )
        codes = prior.sample(20_000, seeded())
        torch.testing.assert_close(codes.norm(dim=1), torch.ones(20_000))
        torch.testing.assert_close(codes.T @ codes / 20_000, torch.eye(latent) / latent, atol=0.02, rtol=0)


def test_the_divergence_and_its_slope_are_those_of_an_integral():
    """On a sphere in three dimensions, by scipy; the slope by the length of the centre is what training follows."""

    def divergence(length: float) -> float:
        def inside(c: float) -> float:
            log_q = exact(length * c, 3) - 0.5 * length**2 * (1 - c * c) - 1.5 * math.log(2 * math.pi)
            return math.exp(log_q) * (log_q + math.log(4 * math.pi)) * 2 * math.pi

        return integrate.quad(inside, -1, 1)[0]

    length = torch.tensor(3.0, requires_grad=True)
    posterior = ProjectedNormal(length * torch.eye(3)[:1])
    z = posterior.sample(torch.randn(40_000, 1, 3, generator=seeded()), 40_000)
    kl = Level(z, posterior, UniformOnSphere(3)).kl
    assert kl.shape == (1, 1)
    assert kl.item() == pytest.approx(divergence(3.0), rel=0.01)
    (slope,) = torch.autograd.grad(kl.sum(), length)
    assert slope.item() == pytest.approx((divergence(3.01) - divergence(2.99)) / 0.02, rel=0.03)


def test_features_say_a_direction_and_how_sure_it_is():
    features = torch.tensor([[3.0, 4.0, 0.0], [0.0, -2.0, math.log(5)], [1.0, 0.0, 99.0]])
    posterior = OnSphere(2)(features)
    torch.testing.assert_close(posterior.mean, torch.tensor([[0.6, 0.8], [0.0, -1.0], [1.0, 0.0]]))
    expected = torch.tensor([1.0, 5.0, math.exp(12)]) * math.sqrt(2)
    torch.testing.assert_close(posterior.centre.norm(dim=1), expected)
    torch.testing.assert_close(OnSphere(2).read(torch.tensor([[30.0, 40.0]])), torch.tensor([[0.6, 0.8]]))
    with pytest.raises(LatentdialError, match="two dimensions at least"):
        OnSphere(1)


def test_a_density_on_a_surface_is_not_held_against_those_in_space():
    codes = torch.nn.functional.normalize(torch.randn(60, 3, generator=seeded()), dim=1).numpy()
    judged = {}
    for name in ("sphere-vae", "beta-tcvae"):
        model = build(ModelSettings(name, {"latent": 3, "layers": [6, 8]}), (3, 16, 16)).model
        judged[name] = fit_prior(codec_of(model, RunConfig(), name, "cpu", codes), kinds=["gaussian"]).nats
    assert judged["sphere-vae"].keys() == {"gaussian"}
    assert judged["beta-tcvae"].keys() == {"gaussian", "model"}


def test_a_direction_is_sure_within_bounds_and_needs_two_dimensions():
    posterior = OnSphere(4)(torch.tensor([[0.0, 3, 0, 4, 20], [0, 0, 2, 0, -1]]))
    torch.testing.assert_close(posterior.centre.norm(dim=1), 2 * torch.tensor([12.0, -1]).exp())
    torch.testing.assert_close(posterior.mean, torch.tensor([[0, 0.6, 0, 0.8], [0, 0, 1, 0]]))
    assert (OnSphere(2).features, OnSphere(2).code, OnSphere(2).random) == (3, (2,), True)
    assert UniformOnSphere.surface
    with pytest.raises(LatentdialError, match="two dimensions at least"):
        OnSphere(1)
    drawn = UniformOnSphere(3).sample(2000, seeded())
    torch.testing.assert_close(drawn.norm(dim=1), torch.ones(2000))
    torch.testing.assert_close(drawn.mean(0), torch.zeros(3), atol=0.05, rtol=0)
