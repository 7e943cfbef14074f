"""A mixture of Gaussians with full covariances over white codes."""

from __future__ import annotations

from dataclasses import dataclass
from math import log, pi

import numpy as np
from scipy.linalg import solve_triangular

from latentdial.texts import Brief

COMPONENTS = (2, 4, 8, 16)
CODES_EACH = 10  # a component needs so many
ROUNDS = 60  # of expectation maximisation


@dataclass(frozen=True, eq=False, repr=False)
class Mixture(Brief):
    """sum_k weights_k N(means_k, roots_k roots_k'), float32, as they are stored."""

    weights: np.ndarray  # (K,)
    means: np.ndarray  # (K, D)
    roots: np.ndarray  # (K, D, D) lower triangular

    def log_prob(self, white: np.ndarray) -> np.ndarray:
        """Log density (N,) of white codes (N, D), in nats."""
        each = []
        for weight, mean, root in zip(*(part.astype(np.float64) for part in self._parts), strict=True):
            apart = solve_triangular(root, (white - mean).T, lower=True)
            scale = log(weight) - np.log(np.diagonal(root)).sum() - 0.5 * len(mean) * log(2 * pi)
            each.append(scale - 0.5 * np.square(apart).sum(0))
        return np.logaddexp.reduce(np.stack(each), axis=0)

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draw white codes (n, D)."""
        weights, means, roots = (part.astype(np.float64) for part in self._parts)
        chosen = rng.choice(len(weights), n, p=weights / weights.sum())
        noise = rng.standard_normal((n, means.shape[1]))
        drawn = np.empty_like(noise)
        for k in np.unique(chosen):
            mine = chosen == k
            drawn[mine] = means[k] + noise[mine] @ roots[k].T
        return drawn

    @property
    def _parts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.weights, self.means, self.roots


def fit_mixture(white: np.ndarray, components: int, seed: int = 0) -> Mixture:
    """The mixture of so many components that fits white codes (N, D).

    Covariances have a Wishart prior about the identity, which is what white codes have together, so that components
    with few codes stay sound (Bishop, Pattern Recognition and Machine Learning, section 10.2).
    """
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import BayesianGaussianMixture

    latent = white.shape[1]
    fit = BayesianGaussianMixture(
        n_components=components,
        weight_concentration_prior_type="dirichlet_distribution",
        covariance_prior=latent * np.eye(latent),
        degrees_of_freedom_prior=latent,
        mean_precision_prior=1e-2,
        max_iter=ROUNDS,
        tol=1e-2,
        random_state=seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fit.fit(white)
    kept = fit.weights_ > 0.5 / len(white)
    weights = fit.weights_[kept] / fit.weights_[kept].sum()
    roots = np.linalg.cholesky(fit.covariances_[kept])
    return Mixture(*(np.ascontiguousarray(part, np.float32) for part in (weights, fit.means_[kept], roots)))


def choose_mixture(white: np.ndarray, seed: int = 0) -> Mixture:
    """The mixture of white codes (N, D) whose number of components gives every fifth of them the highest likelihood."""
    kept = np.arange(len(white)) % 5 > 0
    counts = [k for k in COMPONENTS if kept.sum() >= CODES_EACH * k] or [1]
    scores = []
    for count in counts:
        scores.append(fit_mixture(white[kept], count, seed).log_prob(white[~kept]).mean())
        if scores[-1] < max(scores):
            break
    return fit_mixture(white, counts[int(np.argmax(scores))], seed)
