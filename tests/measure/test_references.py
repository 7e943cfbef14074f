"""Every figure of `evaluate` against an outside library, and how it moves with known degradations."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from prdc import compute_prdc
from scipy.linalg import sqrtm
from scipy.ndimage import gaussian_filter
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import polynomial_kernel
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

from latentdial.measure.codes import displacement, linear_probe
from latentdial.measure.generation import coverage, frechet, kernel_distances, kid, memory, nearest
from latentdial.measure.likelihood import bits_per_dim, log_likelihood
from latentdial.parts.priors import StandardNormal
from latentdial.posteriors import Diagonal


def drawn(n: int, features: int, seed: int, scale: float = 1.0, shift: float = 0.0) -> np.ndarray:
    """Correlated normal features (n, F)."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(features, features)) / np.sqrt(features)
    return shift + scale * rng.normal(size=(n, features)) @ mixing


def kernel_distance(a: np.ndarray, b: np.ndarray) -> float:
    """The unbiased squared MMD with scikit-learn's cubic kernel."""
    own = [polynomial_kernel(one, degree=3, gamma=None, coef0=1) for one in (a, b)]
    inside = sum((one.sum() - np.trace(one)) / (len(one) * (len(one) - 1)) for one in own)
    return float(inside - 2 * polynomial_kernel(a, b, degree=3, gamma=None, coef0=1).mean())


@pytest.mark.parametrize(("n", "m", "features"), [(400, 300, 12), (900, 500, 64)])
def test_frechet_is_that_of_scipy(n, m, features):
    a, b = drawn(n, features, 0), drawn(m, features, 1, 1.4, 0.3)
    s, t = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    known = np.square(a.mean(0) - b.mean(0)).sum() + np.trace(s) + np.trace(t) - 2 * np.trace(sqrtm(s @ t)).real
    assert frechet(a, b) == pytest.approx(known, rel=1e-8)


def test_kernel_distances_are_those_of_scikit_learn():
    a, b = drawn(120, 9, 0), drawn(120, 9, 1, 1.2, 0.2)
    assert kid(a, b, block=120, blocks=2).value == pytest.approx(kernel_distance(a, b), rel=1e-10)
    blocks = [kernel_distance(a[rows], b[rows]) for rows in np.array_split(np.arange(120), 20)]
    assert kernel_distances(a, b) == pytest.approx(blocks, rel=1e-9)


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (0.5, 0.0), (2.0, 0.0), (1.0, 1.0)])
def test_precision_recall_density_and_coverage_are_those_of_prdc(scale, shift):
    real, made = drawn(300, 4, 0), drawn(260, 4, 1, scale, shift)
    known = compute_prdc(real, made, nearest_k=5)
    found = coverage(real, made, neighbours=5)
    assert vars(found) == pytest.approx({name: float(known[name]) for name in vars(found)}, abs=1e-12)


def test_nearest_and_copies_are_those_of_scikit_learn():
    training, held_out, made = drawn(400, 6, 0), drawn(150, 6, 1), drawn(180, 6, 2, 0.8)
    model = NearestNeighbors(n_neighbors=1).fit(training)
    distance, index = (one[:, 0] for one in model.kneighbors(made))
    assert nearest(made, training)[0].tolist() == index.tolist()
    assert nearest(made, training)[1] == pytest.approx(distance)
    usual = model.kneighbors(held_out)[0][:, 0]
    found = memory(made, training, held_out)
    assert found.generated == pytest.approx(np.median(distance))
    assert found.held_out == pytest.approx(np.median(usual))
    assert found.copies == np.mean(distance < np.quantile(usual, 0.01))


def test_rates_are_torchs_divergences():
    mean = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    log_variance = torch.tensor([0.3, -1.0, 2.0]).expand(5, 3)
    known = kl_divergence(Normal(mean, (0.5 * log_variance).exp()), Normal(torch.zeros(5, 3), torch.ones(5, 3)))
    assert torch.allclose(Diagonal(mean, log_variance).kl(StandardNormal(3)), known, atol=1e-6)


def test_likelihood_of_a_linear_model_is_torchs():
    """Importance sampling from the prior itself, which needs thousands of draws, against the exact marginal."""
    generator = torch.Generator().manual_seed(0)
    weight, noise = torch.tensor([[1.0, 0.5], [-0.3, 0.8], [0.2, 0.1]], dtype=torch.float64), 0.7
    x = torch.randn(16, 2, generator=generator, dtype=torch.float64) @ weight.T
    known = MultivariateNormal(torch.zeros(3).double(), weight @ weight.T + noise**2 * torch.eye(3)).log_prob(x)

    def weights(count: int) -> torch.Tensor:
        z = torch.randn(count, 16, 2, generator=generator, dtype=torch.float64)
        return Independent(Normal(z @ weight.T, noise), 1).log_prob(x)

    found = log_likelihood(weights, 8_000)
    assert found == pytest.approx(known, abs=0.06)
    assert bits_per_dim(found.numpy(), 3) == pytest.approx(-found.numpy() / (3 * np.log(2)))


def test_a_probe_is_scikit_learns_pipeline():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 400)
    codes = rng.normal(size=(400, 5)) + labels[:, None] * [1.0, 0, 0.5, 0, 0]
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=300)).fit(codes[:300], labels[:300])
    found = linear_probe(codes[:300], labels[:300], codes[300:], labels[300:])
    assert found.accuracy == pytest.approx(model.score(codes[300:], labels[300:]))


def blobs(n: int, kinds: int, seed: int) -> np.ndarray:
    """Pictures (n, 12, 12, 1) in levels: a blob at one of so many places."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:12, :12]
    at = np.array([[3, 3], [3, 8], [8, 3], [8, 8]])[rng.integers(0, kinds, n)] + rng.normal(0, 0.5, (n, 2))
    apart = (rows - at[:, 0, None, None]) ** 2 + (columns - at[:, 1, None, None]) ** 2
    return (200 * np.exp(-apart / 3) + rng.normal(0, 4, (n, 12, 12))).clip(0, 255)[..., None]


def worse(kind: str) -> list[np.ndarray]:
    """Pictures like the real ones, and ever less so."""
    rng = np.random.default_rng(5)
    if kind == "fewer modes":
        return [blobs(400, modes, 1) for modes in (4, 3, 2, 1)]
    made = blobs(400, 4, 1)
    if kind == "blur":
        return [gaussian_filter(made, (0, sigma, sigma, 0)) for sigma in (0, 0.8, 1.6, 3.2)]
    return [(made + sd * rng.normal(size=made.shape)).clip(0, 255) for sd in (0, 15, 40, 100)]


@pytest.mark.parametrize("kind", ["blur", "noise", "fewer modes"])
def test_figures_of_samples_are_monotone_in_degradations(kind):
    real, training = blobs(400, 4, 0).reshape(400, -1) / 255, blobs(400, 4, 7).reshape(400, -1) / 255
    made = [one.reshape(400, -1) / 255 for one in worse(kind)]
    assert all(a < b for a, b in pairwise(frechet(real, one) for one in made))
    assert all(a < b for a, b in pairwise(kid(real, one).value for one in made))
    shares = [coverage(real, one) for one in made]
    assert all(a.coverage > b.coverage or a.coverage == b.coverage == 0 for a, b in pairwise(shares))
    if kind == "fewer modes":
        assert all(a.recall > b.recall for a, b in pairwise(shares))  # what is missing, and what is there is right
        assert min(one.precision for one in shares) > 0.8
    else:
        assert shares[0].precision > 0.8
        assert shares[-1].precision < 0.2
        assert shares[-1].density < 0.2 < shares[0].density
        apart = [memory(one, training, real).generated for one in made]
        assert apart[-1] > apart[0]


def test_copies_grow_with_the_share_of_training_pictures_among_samples():
    training, held_out, made = (drawn(300, 5, seed) for seed in (0, 1, 2))
    found = []
    for share in (0.0, 0.3, 0.6, 1.0):
        mixed = made.copy()
        mixed[: int(300 * share)] = training[: int(300 * share)]
        found.append(memory(mixed, training, held_out).copies)
    assert all(a < b for a, b in pairwise(found))
    assert found[-1] == 1


def test_robustness_and_probes_fall_with_noise():
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 2
    codes = rng.normal(size=(400, 6)) + 3 * labels[:, None] * np.eye(6)[0]
    noisy = [codes + sd * np.random.default_rng(1).normal(size=codes.shape) for sd in (0.0, 0.5, 2.0, 8.0)]
    assert all(a < b for a, b in pairwise(displacement(codes, one) for one in noisy))
    read = [linear_probe(one[:200], labels[:200], one[200:], labels[200:]).accuracy for one in noisy]
    assert all(a > b for a, b in pairwise(read))
