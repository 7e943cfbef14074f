"""How far real codes can move and stay among the data."""

from __future__ import annotations

import numpy as np

from latentdial.latent.codec import Codec

MAX_STEPS = 8.0  # sd; a safe range is not looked for further out
SLACK = 1e-3  # of a score, by which it may differ with the size of a batch
REACH = 0.999  # share of the training codes between the two ends of a direction


def left(score: np.ndarray | float, start: np.ndarray | float) -> np.ndarray:
    """Whether codes of these scores are beyond the border, and further out than where they started."""
    return np.asarray(score > np.maximum(1.0, start) + SLACK)


def safe_ranges(codec: Codec, codes: np.ndarray, steps: np.ndarray, rounds: int = 4) -> np.ndarray:
    """How far codes (N, D) can move along steps (K, D) and stay inside: (K, N, 2), multiples of the step down and up.

    Found by halving between 0 and where the training codes end along the step, at most 8 steps; a code that starts
    outside may go as far as it is no further out.
    """
    start = codec.support.score(codec, codes)
    outer, signs = _room(codec, codes, steps), np.array([-1.0, 1.0])
    inner, tried = np.zeros_like(outer), outer.copy()
    for _ in range(rounds + 1):
        k, n, side = where = np.nonzero(inner < outer)
        if not len(k):
            break
        at = tried[where]
        moved = codes[n] + (at * signs[side])[:, None] * steps[k]
        inside = ~left(codec.support.score(codec, moved), start[n])
        inner[where] = np.where(inside, at, inner[where])
        outer[where] = np.where(inside, outer[where], at)
        tried = (inner + outer) / 2
    return inner * signs


def reach(codec: Codec, vector: np.ndarray) -> tuple[float, float]:
    """The coordinates along a unit vector (D,) between which 99.9% of the training codes lie."""
    low, high = np.quantile(codec.codes @ vector, [(1 - REACH) / 2, (1 + REACH) / 2])
    return float(low), float(high)


def _room(codec: Codec, codes: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Multiples of steps (K, D), down and up, from codes (N, D) to where the training codes end: (K, N, 2)."""
    lengths = np.maximum(np.linalg.norm(steps, axis=1), 1e-12)
    units = steps / lengths[:, None]
    ends = np.array([reach(codec, unit) for unit in units])
    room = (ends[:, None] - (units @ codes.T)[..., None]) / lengths[:, None, None]
    return np.clip(room * [-1.0, 1.0], 0, MAX_STEPS).round(3)  # the same for vectors of float32 and float64
