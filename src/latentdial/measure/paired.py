"""Whether two things differ by more than noise, of figures measured on the same pictures, blocks or repeats."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

DRAWS, INSIDE = 2_000, 0.95
FEWEST = 4  # pairs, below which nothing is said


@dataclass(frozen=True)
class Interval:
    """The mean of paired differences, and the 95% interval of that mean."""

    mean: float
    low: float
    high: float

    @property
    def clear(self) -> bool:
        """Whether the difference is beyond noise: the interval leaves out zero."""
        return self.low > 0 or self.high < 0


def paired_difference(a: np.ndarray, b: np.ndarray, seed: int = 0) -> Interval | None:
    """The mean of a - b over N pairs, its interval by the bootstrap over pairs; None of fewer than four pairs.

    Percentiles of resampled means (Efron & Tibshirani 1993, section 13.3); each pair is a picture, block or repeat.

    >>> found = paired_difference(np.arange(9.0) + 1, np.arange(9.0))
    >>> found.mean, found.clear
    (1.0, True)
    """
    each = np.asarray(a, np.float64) - np.asarray(b, np.float64)
    if each.ndim != 1 or not np.isfinite(each).all():
        raise ValueError(f"pairs must be finite numbers (N,), not {each.shape}")
    if len(each) < FEWEST:
        return None
    drawn = np.random.default_rng(seed).integers(0, len(each), (DRAWS, len(each)))
    means = each[drawn].mean(1)
    low, high = np.quantile(means, [(1 - INSIDE) / 2, (1 + INSIDE) / 2])
    return Interval(float(each.mean()), float(low), float(high))
