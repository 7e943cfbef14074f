"""Does each dimension of a code carry one factor? Published scores, as functions of codes (N, D) and factors (N, K).

Factors are whole numbers; bin a continuous one first with `binned`. 1 is best; definitions follow
disentanglement_lib (Locatello et al., arXiv 1811.12359) unless another source is named.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np

BINS = 20
LEAST_SD = 0.05  # of a dimension that votes in the FactorVAE score
TRAIN = 0.8  # share of the pictures that a score's classifiers are trained on


def binned(values: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Columns of numbers (N, D) as indices of equal-width bins."""
    columns = [np.digitize(column, np.histogram_bin_edges(column, bins)[1:-1]) for column in np.atleast_2d(values.T)]
    return np.stack(columns, axis=1)


def mutual_information(codes: np.ndarray, factors: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Mutual information (D, K) in nats between binned code dimensions and factors."""
    from sklearn.metrics import mutual_info_score

    columns = binned(codes, bins)
    return np.array([[mutual_info_score(factor, column) for factor in factors.T] for column in columns.T])


def entropy(factors: np.ndarray) -> np.ndarray:
    """Entropy (K,) of every factor in nats."""
    shares = [np.unique(factor, return_counts=True)[1] / len(factor) for factor in factors.T]
    return np.array([-(share * np.log(share)).sum() for share in shares])


def mig(codes: np.ndarray, factors: np.ndarray) -> float:
    """Mutual information gap: of a factor's two most informative dimensions, in its entropy (arXiv 1802.04942)."""
    ordered = np.sort(mutual_information(codes, factors), axis=0)
    return float(((ordered[-1] - ordered[-2]) / entropy(factors)).mean())


def modularity(codes: np.ndarray, factors: np.ndarray) -> float:
    """How far every dimension informs about one factor only (Ridgeway & Mozer, arXiv 1802.05312, section 3)."""
    squared = np.square(mutual_information(codes, factors))
    largest = squared.max(1)
    other = (squared.sum(1) - largest) / np.maximum(largest * (squared.shape[1] - 1), 1e-300)
    return float(np.where(largest > 0, 1 - other, 0).mean())


def sap(codes: np.ndarray, factors: np.ndarray) -> float:
    """Separated attribute predictability: gap of the two best dimensions' linear accuracy (arXiv 1711.00848)."""
    from sklearn.svm import LinearSVC

    cut = math.ceil(TRAIN * len(codes))
    scores = np.zeros((codes.shape[1], factors.shape[1]))
    for i, column in enumerate(codes.T[:, :, None]):
        for k, factor in enumerate(factors.T):
            classifier = LinearSVC(C=0.01, class_weight="balanced", random_state=0).fit(column[:cut], factor[:cut])
            scores[i, k] = (classifier.predict(column[cut:]) == factor[cut:]).mean()
    ordered = np.sort(scores, axis=0)
    return float((ordered[-1] - ordered[-2]).mean())


def dci(codes: np.ndarray, factors: np.ndarray, trees: int = 100, seed: int = 0) -> dict[str, float]:
    """Disentanglement, completeness and informativeness by boosted trees (Eastwood & Williams, ICLR 2018)."""
    from sklearn.ensemble import GradientBoostingClassifier

    cut = math.ceil(TRAIN * len(codes))
    importance, accuracy = [], []
    state = np.random.RandomState(seed)  # as published, one for all factors
    for factor in factors.T:
        model = GradientBoostingClassifier(n_estimators=trees, random_state=state).fit(codes[:cut], factor[:cut])
        importance.append(model.feature_importances_)
        accuracy.append((model.predict(codes[cut:]) == factor[cut:]).mean())
    relative = np.array(importance).T
    return {
        "disentanglement": _weighted_purity(relative),
        "completeness": _weighted_purity(relative.T),
        "informativeness": float(np.mean(accuracy)),
    }


def _weighted_purity(importance: np.ndarray) -> float:
    """One minus the normalised entropy of every row, weighted by the share of all importance in the row."""
    rows = importance.sum(1)
    shares = importance / np.maximum(rows, 1e-300)[:, None]
    spread = -(shares * np.log(np.maximum(shares, 1e-300))).sum(1) / np.log(importance.shape[1])
    return float(((1 - spread) * rows).sum() / max(rows.sum(), 1e-300))


@dataclass(frozen=True)
class Draws:
    """S draws of B pictures: the factor `held` (S,) that the pictures of a draw share, and their rows (S, B).

    Draws of pairs have the rows (S, B, 2), and the two pictures of each pair share the factor.
    """

    held: np.ndarray
    rows: np.ndarray


def draw_batches(factors: np.ndarray, samples: int, batch: int, rng: np.random.Generator) -> Draws:
    """Draws of pictures that share the value one random picture has of a random factor."""
    held = rng.integers(0, factors.shape[1], samples)
    values = factors[rng.integers(0, len(factors), samples), held]
    same = [np.flatnonzero(factors[:, k] == value) for k, value in zip(held, values, strict=True)]
    return Draws(held, np.stack([rng.choice(rows, batch) for rows in same]))


def draw_pairs(factors: np.ndarray, samples: int, batch: int, rng: np.random.Generator) -> Draws:
    """Draws of pairs of pictures, each pair sharing its value of a random factor, the same one for all of a draw."""
    held = rng.integers(0, factors.shape[1], samples)
    first = rng.integers(0, len(factors), (samples, batch))
    second = np.empty_like(first)
    for k in range(factors.shape[1]):
        for value in np.unique(factors[:, k]):
            here = (held[:, None] == k) & (factors[first, k] == value)
            second[here] = rng.choice(np.flatnonzero(factors[:, k] == value), int(here.sum()))
    return Draws(held, np.stack([first, second], axis=-1))


def beta_vae_score(
    codes: np.ndarray, factors: np.ndarray, samples: tuple[int, int] = (1000, 500), batch: int = 64, seed: int = 0
) -> float:
    """Accuracy of telling, from mean differences of pairs, which factor the pairs share (Higgins et al., ICLR 2017).

    `samples` are the draws to learn from and those to judge by, published as 10,000 and 5,000.
    """
    rng = np.random.default_rng(seed)
    return beta_vae_accuracy(codes, *(draw_pairs(factors, count, batch, rng) for count in samples))


def beta_vae_accuracy(codes: np.ndarray, learn: Draws, judge: Draws) -> float:
    """The BetaVAE score for given draws of pairs."""
    from sklearn.linear_model import LogisticRegression

    seen, asked = (np.abs(codes[d.rows[..., 0]] - codes[d.rows[..., 1]]).mean(1) for d in (learn, judge))
    model = LogisticRegression(max_iter=2000).fit(seen, learn.held)
    return float((model.predict(asked) == judge.held).mean())


def factor_vae_score(
    codes: np.ndarray, factors: np.ndarray, samples: tuple[int, int] = (1000, 500), batch: int = 64, seed: int = 0
) -> float:
    """Accuracy of a majority vote from the least varying dimension to the factor held fixed (arXiv 1802.05983).

    `samples` are the draws to learn from and those to judge by, published as 10,000 and 5,000.
    """
    rng = np.random.default_rng(seed)
    return factor_vae_accuracy(codes, *(draw_batches(factors, count, batch, rng) for count in samples))


def factor_vae_accuracy(codes: np.ndarray, learn: Draws, judge: Draws) -> float:
    """The FactorVAE score for given draws; dimensions with a standard deviation below 0.05 do not vote."""
    spread = codes.var(0, ddof=1)
    active = np.sqrt(spread) >= LEAST_SD
    if not active.any():
        return 0.0
    scaled = codes[:, active] / np.sqrt(spread[active])
    table = np.zeros((int(active.sum()), int(max(learn.held.max(), judge.held.max())) + 1), int)
    votes = [scaled[draws.rows].var(1).argmin(1) for draws in (learn, judge)]
    np.add.at(table, (votes[0], learn.held), 1)
    return float((table.argmax(1)[votes[1]] == judge.held).mean())


def infomec(codes: np.ndarray, factors: np.ndarray, seed: int = 0) -> dict[str, float]:
    """InfoM, InfoC and InfoE: modularity, compactness and explicitness (Hsu et al., arXiv 2305.18378, section 4).

    Mutual information is estimated from 10 nearest neighbours and normalised by the factor's entropy; dimensions
    whose range is below a twentieth of the widest are left out of the first two.
    """
    from sklearn.feature_selection import mutual_info_classif

    width = np.ptp(codes, axis=0)
    active = _standard(codes[:, width > width.max() / 20])
    columns = [mutual_info_classif(active, f, n_neighbors=10, random_state=seed) for f in factors.T]
    shared = np.stack(columns, axis=1) / entropy(factors)
    return {
        "modularity": _peak_share(shared, axis=1),
        "compactness": _peak_share(shared, axis=0),
        "explicitness": float(np.mean([_explicitness(_standard(codes), factor) for factor in factors.T])),
    }


def scores(codes: np.ndarray, factors: np.ndarray, trees: int = 20) -> dict[str, float]:
    """All scores of codes (N, D) for factors (N, K) by name; the trees of DCI are fewer than published, for time."""
    found = {"MIG": mig(codes, factors), "SAP": sap(codes, factors), "modularity": modularity(codes, factors)}
    found |= {f"DCI {name}": value for name, value in dci(codes, factors, trees).items()}
    found["BetaVAE score"] = beta_vae_score(codes, factors)
    found["FactorVAE score"] = factor_vae_score(codes, factors)
    return found | {f"Info {name}": value for name, value in infomec(codes, factors).items()}


def _peak_share(shared: np.ndarray, axis: int) -> float:
    """The largest share along the axis, averaged; rescaled so that an even spread gives 0."""
    chance = 1 / shared.shape[axis]
    peak = shared.max(axis) / np.maximum(shared.sum(axis), 1e-12)
    return float((peak.mean() - chance) / (1 - chance)) if chance < 1 else 1.0


def _explicitness(codes: np.ndarray, factor: np.ndarray) -> float:
    """Share of the log loss of knowing nothing that a logistic regression, with balanced classes, takes away."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a factor that is separable has no largest likelihood
        model = LogisticRegression(C=np.inf, class_weight="balanced", max_iter=100).fit(codes, factor)
    return float(1 - log_loss(factor, model.predict_proba(codes)) / np.log(len(model.classes_)))


def _standard(codes: np.ndarray) -> np.ndarray:
    sd = codes.std(0)
    return (codes - codes.mean(0)) / np.where(sd > 0, sd, 1)
