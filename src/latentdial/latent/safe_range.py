"""How far real codes can move and stay among the data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from latentdial.latent.codec import Codec
from latentdial.latent.direction import Direction

MAX_STEPS = 8.0  # sd; a safe range is not looked for further out
SLACK = 1e-3  # of a score, by which it may differ with the size of a batch
REACH = 0.999  # share of the training codes between the two ends of a direction


def left(score: np.ndarray | float, start: np.ndarray | float) -> np.ndarray:
    """Whether codes of these scores are beyond the border, and further out than where they started."""
    return np.asarray(score > np.maximum(1.0, start) + SLACK)


def safe_ranges(codec: Codec, codes: np.ndarray, directions: Sequence[Direction], rounds: int = 4) -> np.ndarray:
    """How far codes (N, D) can move along K directions and stay inside: (K, N, 2), in sd, down and up.

    Found by halving between 0 and where the training codes end along it, at most 8 sd; a code that starts
    outside may go as far as it is no further out.
    """
    start = codec.support.score(codec, codes)
    steps = np.stack([direction.step for direction in directions])
    outer, signs = _room(codec, codes, directions), np.array([-1.0, 1.0])
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


def reach(codec: Codec, direction: Direction) -> tuple[float, float]:
    """The coordinates along a direction between which 99.9% of the training codes lie."""
    low, high = np.quantile(direction.along(codec.codes), [(1 - REACH) / 2, (1 + REACH) / 2])
    return float(low), float(high)


def _room(codec: Codec, codes: np.ndarray, directions: Sequence[Direction]) -> np.ndarray:
    """How many sd it is along directions, down and up, from codes (N, D) to where the training codes end: (K, N, 2)."""
    ends = np.array([reach(codec, direction) for direction in directions])
    now = np.stack([direction.along(codes) for direction in directions])
    sds = np.array([max(direction.sd, 1e-12) for direction in directions])
    room = (ends[:, None] - now[..., None]) / sds[:, None, None]
    return np.clip(room * [-1.0, 1.0], 0, MAX_STEPS).round(3)  # the same for vectors of float32 and float64
