"""A mixture of Gaussians with full covariances over white codes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from math import log, pi

import numpy as np
from scipy.linalg import solve_triangular

from latentdial.images.splits import spread
from latentdial.texts import Brief

COMPONENTS = (1, 2, 4, 8, 16)
CODES_EACH = 10  # a component needs so many
STRENGTHS = (12.0, 48.0)  # codes that the covariance of all components counts as, in that of one
FEW = 4  # components, with which strengths are compared
ROUNDS, PATIENCE = 15, 2  # of expectation maximisation; rounds without gain before the end
NO_SHARE = 1e-6  # of a code, that changes nothing
MOST_CODES, MOST_WORK = 10_000, 2e10  # codes that are used, and multiplications a round


@dataclass(frozen=True, eq=False, repr=False)
class Mixture(Brief):
    """sum_k weights_k N(means_k, roots_k roots_k'), float32, as they are stored."""

    weights: np.ndarray  # (K,)
    means: np.ndarray  # (K, D)
    roots: np.ndarray  # (K, D, D) lower triangular

    def log_prob(self, white: np.ndarray) -> np.ndarray:
        """Log density (N,) of white codes (N, D), in nats."""
        return np.logaddexp.reduce(self.each(white))

    def each(self, white: np.ndarray) -> np.ndarray:
        """Log densities (K, N) of white codes (N, D) by components, with their weights, in nats and the codes' type."""
        each = []
        for weight, mean, root in zip(*(part.astype(np.float64) for part in self._parts), strict=True):
            inverse = solve_triangular(root, np.eye(len(root)), lower=True)
            apart = white @ inverse.T.astype(white.dtype) - (inverse @ mean).astype(white.dtype)
            scale = log(weight) - np.log(np.diagonal(root)).sum() - 0.5 * len(mean) * log(2 * pi)
            each.append(scale - 0.5 * np.einsum("nd,nd->n", apart, apart))
        return np.stack(each)

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


def fit_mixture(
    white: np.ndarray, components: int, strength: float = 12.0, rounds: int = ROUNDS, seed: int = 0
) -> Mixture:
    """The mixture of so many components after rounds of expectation maximisation on white codes (N, D).

    A component's covariance counts `strength` codes more with the covariance within all components, and that one
    as many with the identity (Bishop, Pattern Recognition and Machine Learning, sections 9.2 and 10.2).
    """
    return deque(islice(_rounds(white, components, strength, seed), rounds), maxlen=1).pop()


def choose_mixture(white: np.ndarray, seed: int = 0) -> Mixture:
    """The mixture of white codes (N, D) whose number of components, strength and rounds suit codes kept apart best.

    Every fifth is kept apart while that is found; more components have to gain more than the standard error.
    """
    white = white[spread(len(white), MOST_CODES)]
    apart = np.arange(len(white)) % 5 == 0
    work = len(white) * white.shape[1] ** 2
    counts = [k for k in COMPONENTS if (~apart).sum() >= CODES_EACH * k and k * work <= MOST_WORK] or [1]
    few = min(FEW, counts[-1])
    strongest = max((_tried(white, apart, few, strength, seed) for strength in STRENGTHS), key=_Tried.mean)
    strength, known = strongest.strength, {few: strongest}
    best = known.get(counts[0]) or _tried(white, apart, counts[0], strength, seed)
    for count in counts[1:]:
        one = known.get(count) or _tried(white, apart, count, strength, seed)
        if one.better_than(best):
            best = one
        elif count > 2 * best.components:
            break
    return fit_mixture(white, best.components, best.strength, best.rounds, seed)


@dataclass(frozen=True)
class _Tried:
    """A mixture as it was after the rounds that made codes kept apart likeliest."""

    components: int
    strength: float
    rounds: int
    nats: np.ndarray  # (M,) log likelihood of each of them

    def mean(self) -> float:
        return float(self.nats.mean())

    def better_than(self, other: _Tried) -> bool:
        gain = self.nats - other.nats
        return bool(gain.mean() > gain.std() / len(gain) ** 0.5)


def _tried(white: np.ndarray, apart: np.ndarray, components: int, strength: float, seed: int) -> _Tried:
    """How well a mixture of most codes suits those kept apart, in rounds until it does no better."""
    tried = []
    for done, mixture in enumerate(islice(_rounds(white[~apart], components, strength, seed), ROUNDS), 1):
        tried.append(_Tried(components, strength, done, mixture.log_prob(white[apart])))
        best = max(tried, key=_Tried.mean)
        if done - best.rounds == PATIENCE:
            break
    return best


def _rounds(white: np.ndarray, components: int, strength: float, seed: int) -> Iterator[Mixture]:
    """Mixtures after one round of expectation maximisation more each, from clusters."""
    import warnings

    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different codes than components
        labels = KMeans(components, n_init=1, random_state=seed).fit_predict(white)
    rough = white.astype(np.float32)  # shares need no more digits, and take a quarter of the time
    shares = np.eye(components)[labels]  # (N, K): how likely each component is to have drawn each code
    while True:
        mixture = _maximised(white, shares, strength)
        yield mixture
        each = mixture.each(rough).astype(np.float64)
        shares = np.exp(each - np.logaddexp.reduce(each)).T


def _scatter(white: np.ndarray, share: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """The scatter (D, D) about their mean of codes that belong to a component by these shares (N,); in many dimensions
    most belong to one alone."""
    mine = share > NO_SHARE
    centred = np.sqrt(share[mine, None]) * (white[mine] - mean)
    return centred.T @ centred


def _maximised(white: np.ndarray, shares: np.ndarray, strength: float) -> Mixture:
    """The mixture that fits codes (N, D) which belong to components by these shares (N, K)."""
    shares = shares[:, shares.sum(0) > 0.5]
    counts, identity = shares.sum(0), np.eye(white.shape[1])
    means = shares.T @ white / counts[:, None]
    scatters = np.stack([_scatter(white, share, mean) for share, mean in zip(shares.T, means, strict=True)])
    within = (scatters.sum(0) + strength * identity) / (len(white) + strength)
    covariances = (scatters + strength * within) / (counts + strength)[:, None, None]
    parts = counts / counts.sum(), means, np.linalg.cholesky(covariances)
    return Mixture(*(np.ascontiguousarray(part, np.float32) for part in parts))
