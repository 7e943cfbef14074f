"""Does each dimension of a code carry one factor? Published scores, as functions of codes (N, D) and factors (N, K).

Factors are whole numbers; bin a continuous one first with `binned`. 1 is best; definitions follow
disentanglement_lib (Locatello et al., arXiv 1811.12359) unless another source is named.
"""

from __future__ import annotations

import numpy as np

BINS = 20
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

    cut = int(TRAIN * len(codes))
    scores = np.zeros((codes.shape[1], factors.shape[1]))
    for i, column in enumerate(_standard(codes).T[:, :, None]):
        for k, factor in enumerate(factors.T):
            classifier = LinearSVC(C=0.01, class_weight="balanced", dual=False).fit(column[:cut], factor[:cut])
            scores[i, k] = (classifier.predict(column[cut:]) == factor[cut:]).mean()
    ordered = np.sort(scores, axis=0)
    return float((ordered[-1] - ordered[-2]).mean())


def dci(codes: np.ndarray, factors: np.ndarray, trees: int = 100, seed: int = 0) -> dict[str, float]:
    """Disentanglement, completeness and informativeness by boosted trees (Eastwood & Williams, ICLR 2018)."""
    from sklearn.ensemble import GradientBoostingClassifier

    cut = int(TRAIN * len(codes))
    importance, accuracy = [], []
    for factor in factors.T:
        model = GradientBoostingClassifier(n_estimators=trees, random_state=seed).fit(codes[:cut], factor[:cut])
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


def beta_vae_score(codes: np.ndarray, factors: np.ndarray, samples: int = 500, batch: int = 64, seed: int = 0) -> float:
    """Accuracy of telling, from mean differences of pairs, which factor the pairs share (Higgins et al., ICLR 2017)."""
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(seed)
    scaled = _standard(codes)
    chosen = rng.integers(0, factors.shape[1], samples)
    points = []
    for k in chosen:
        first = rng.integers(0, len(codes), batch)
        second = [rng.choice(np.flatnonzero(factors[:, k] == factors[i, k])) for i in first]
        points.append(np.abs(scaled[first] - scaled[second]).mean(0))
    cut, features = int(TRAIN * samples), _standard(np.array(points))
    model = LogisticRegression(max_iter=2000).fit(features[:cut], chosen[:cut])
    return float((model.predict(features[cut:]) == chosen[cut:]).mean())


def factor_vae_score(
    codes: np.ndarray, factors: np.ndarray, samples: int = 800, batch: int = 64, seed: int = 0
) -> float:
    """Accuracy of a majority vote from the least varying dimension to the factor held fixed (arXiv 1802.05983)."""
    rng = np.random.default_rng(seed)
    spread = codes.var(0)
    active = spread > 1e-8 * spread.max()
    scaled = codes[:, active] / np.sqrt(spread[active])
    chosen = rng.integers(0, factors.shape[1], samples)
    votes = []
    for k in chosen:
        same = np.flatnonzero(factors[:, k] == factors[rng.integers(len(codes)), k])
        votes.append(int(scaled[rng.choice(same, batch)].var(0).argmin()))
    cut = int(TRAIN * samples)
    table = np.zeros((scaled.shape[1], factors.shape[1]), int)
    np.add.at(table, (np.array(votes[:cut]), chosen[:cut]), 1)
    return float((table.argmax(1)[votes[cut:]] == chosen[cut:]).mean())


def infomec(codes: np.ndarray, factors: np.ndarray, seed: int = 0) -> dict[str, float]:
    """InfoM, InfoC and InfoE: modularity, compactness and explicitness (Hsu et al., arXiv 2305.18378, section 4).

    Mutual information is estimated by nearest neighbours and normalised by the factor's entropy; dimensions whose
    range is below an eighth of the widest are left out; explicitness is by multinomial logistic regression.
    """
    from sklearn.feature_selection import mutual_info_classif

    width = np.ptp(codes, axis=0)
    active = codes[:, width > width.max() / 8]
    information = np.stack([mutual_info_classif(active, factor, random_state=seed) for factor in factors.T], axis=1)
    shared = information / entropy(factors)
    return {
        "modularity": _peak_share(shared, axis=1),
        "compactness": _peak_share(shared, axis=0),
        "explicitness": float(np.mean([_explicitness(active, factor) for factor in factors.T])),
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
    """Share of the factor's entropy that a linear classifier of the code takes away."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss

    scaled, labels = _standard(codes), np.unique(factor)
    model = LogisticRegression(max_iter=2000, C=1e3).fit(scaled, factor)
    left = log_loss(factor, model.predict_proba(scaled), labels=labels)
    return float(max(0.0, 1 - left / entropy(factor[:, None])[0]))


def _standard(codes: np.ndarray) -> np.ndarray:
    sd = codes.std(0)
    return (codes - codes.mean(0)) / np.where(sd > 0, sd, 1)
