"""Pictures with something wrong in them, made of normal ones."""

from __future__ import annotations

import numpy as np

PATCH, TURNED = 1 / 5, 1 / 3  # of the side


def shifted(pictures: np.ndarray, seed: int = 0) -> np.ndarray:
    """The same uint8 pictures (N, H, W, C), in turn with a patch of another, a part turned, and mixed with another.

    >>> pictures = np.random.default_rng(0).integers(0, 255, (3, 20, 20, 3), np.uint8)
    >>> [round(float((one != two).any(-1).mean()), 2) for one, two in zip(pictures, shifted(pictures))]
    [0.04, 0.12, 1.0]
    """
    rng = np.random.default_rng(seed)
    others = (np.arange(len(pictures)) + rng.integers(1, max(2, len(pictures)), len(pictures))) % len(pictures)
    kinds, pairs = (_patched, _turned, _mixed), zip(pictures, pictures[others], strict=True)
    return np.stack([kinds[i % 3](picture, other, rng) for i, (picture, other) in enumerate(pairs)])


def _patched(picture: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    width = max(2, round(len(picture) * PATCH))
    (top, left), (row, column) = rng.integers(0, len(picture) - width + 1, (2, 2))
    made = picture.copy()
    made[top : top + width, left : left + width] = other[row : row + width, column : column + width]
    return made


def _turned(picture: np.ndarray, _other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    width = max(2, round(len(picture) * TURNED))
    top, left = rng.integers(0, len(picture) - width + 1, 2)
    made = picture.copy()
    part = (slice(top, top + width), slice(left, left + width))
    made[part] = picture[part][::-1, ::-1]
    return made


def _mixed(picture: np.ndarray, other: np.ndarray, _rng: np.random.Generator) -> np.ndarray:
    return (picture.astype(np.float64) / 2 + other / 2).round().astype(np.uint8)
