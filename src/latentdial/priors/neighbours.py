"""Codes between those of like pictures: manifold Parzen windows (Vincent & Bengio, NIPS 2002)."""

from __future__ import annotations

import numpy as np

NEIGHBOURS = 3  # more of them are newer pictures, and worse (benchmarks/results/samples.json)
CHUNK = 256


def between(codes: np.ndarray, seen: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw n codes (n, D), each from the Gaussian of a code of (N, D), drawn at random, and its three nearest.

    Near are those whose coordinates `seen` (N, K) are. Their mean and covariance are kept, so that what depends on each
    other in pictures of a kind still does; and no code is far from all.

    >>> drawn = between(np.array([[0.0], [1.0], [90.0]]), np.array([[0.0], [1.0], [90.0]]), 5, np.random.default_rng(0))
    >>> drawn.shape
    (5, 1)
    """
    near = min(NEIGHBOURS, len(codes) - 1) + 1
    drawn = []
    for chosen in np.array_split(rng.integers(0, len(codes), n), -(-n // CHUNK)):
        squares = np.square(seen).sum(1) - 2 * seen[chosen] @ seen.T  # less what is the same for all of a row
        group = codes[np.argpartition(squares, near - 1, axis=1)[:, :near]].astype(np.float64)
        middle = group.mean(1, keepdims=True)
        weights = rng.standard_normal((len(chosen), near, 1)) / np.sqrt(max(near - 1, 1))
        drawn.append((middle + (weights * (group - middle)).sum(1, keepdims=True))[:, 0])
    return np.concatenate(drawn).astype(np.float32)
