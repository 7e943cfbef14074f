"""What codes (N, D) hold and withstand: labels, and small changes of the picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ACTIVE_VARIANCE = 0.01  # of the posterior mean over the data (arXiv 1509.00519, section 5.2)
FEW = 4  # pictures of a label, below which it is left out of a probe


@dataclass(frozen=True)
class Probe:
    """Share of held-out labels that a linear model reads from codes, and the share that the commonest label has."""

    accuracy: float
    chance: float


def active_units(codes: np.ndarray) -> int:
    """How many dimensions of posterior means (N, D) vary over the data (arXiv 1509.00519, section 5.2).

    >>> active_units(np.array([[0.0, 0.05], [1.0, 0.0]]))
    1
    """
    return int((codes.var(0) > ACTIVE_VARIANCE).sum())


def linear_probe(codes: np.ndarray, labels: np.ndarray, held_out: np.ndarray, held_out_labels: np.ndarray) -> Probe:
    """Logistic regression from codes (N, D), in units of their sd, to labels (N,), judged on held-out codes (M, D)."""
    from sklearn.linear_model import LogisticRegression

    kept = [label for label in np.unique(labels) if (labels == label).sum() >= FEW]
    mine, judged = np.isin(labels, kept), np.isin(held_out_labels, kept)
    if len(kept) < 2 or not judged.any():
        raise ValueError("a probe needs two labels of at least four pictures each, and held-out pictures of them")
    mean, sd = codes[mine].mean(0), codes[mine].std(0)
    scale = np.where(sd > 0, sd, 1.0)
    model = LogisticRegression(C=0.1, max_iter=300).fit((codes[mine] - mean) / scale, labels[mine])
    right = model.predict((held_out[judged] - mean) / scale) == held_out_labels[judged]
    commonest = np.bincount(np.searchsorted(kept, labels[mine])).argmax()
    return Probe(float(right.mean()), float((held_out_labels[judged] == kept[commonest]).mean()))


def displacement(codes: np.ndarray, changed: np.ndarray) -> float:
    """How far codes (N, D) move when their pictures change, over how far two pictures' codes are apart (both rms).

    >>> displacement(np.array([[0.0], [2.0]]), np.array([[1.0], [3.0]]))
    0.5
    """
    moved = np.square(np.asarray(changed, np.float64) - codes).sum(1).mean()
    apart = 2 * np.asarray(codes, np.float64).var(0, ddof=1).sum()
    return float(np.sqrt(moved / apart)) if apart > 0 else 0.0
