"""Pictures with something wrong in them, made of normal ones."""

from __future__ import annotations

import numpy as np

PATCH, TURNED = 1 / 5, 1 / 3  # of the side
PARTS = "patched", "turned"  # ways that change a part alone


def shifted(pictures: np.ndarray, seed: int = 0) -> dict[str, np.ndarray]:
    """Uint8 pictures (N, H, W, C) changed in three ways, each (N, H, W, C).

    "patched" has a patch of another picture, "turned" a part turned about, and "whole" is turned by a quarter, which
    makes normal pictures strange as a whole (Tack et al., NeurIPS 2020, section 2.2).

    >>> pictures = np.random.default_rng(0).integers(0, 255, (3, 20, 20, 3), np.uint8)
    >>> {kind: round(float((made != pictures).any(-1).mean()), 2) for kind, made in shifted(pictures).items()}
    {'patched': 0.04, 'turned': 0.12, 'whole': 1.0}
    """
    rng = np.random.default_rng(seed)
    others = (np.arange(len(pictures)) + rng.integers(1, max(2, len(pictures)), len(pictures))) % len(pictures)
    pairs = list(zip(pictures, pictures[others], strict=True))
    quarters = rng.integers(1, 4, len(pictures))
    return {
        "patched": np.stack([_patched(picture, other, rng) for picture, other in pairs]),
        "turned": np.stack([_turned(picture, rng) for picture in pictures]),
        "whole": np.stack([np.rot90(picture, k) for picture, k in zip(pictures, quarters, strict=True)]),
    }


def _patched(picture: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    width = max(2, round(len(picture) * PATCH))
    (top, left), (row, column) = rng.integers(0, len(picture) - width + 1, (2, 2))
    made = picture.copy()
    made[top : top + width, left : left + width] = other[row : row + width, column : column + width]
    return made


def _turned(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    width = max(2, round(len(picture) * TURNED))
    top, left = rng.integers(0, len(picture) - width + 1, 2)
    made = picture.copy()
    part = (slice(top, top + width), slice(left, left + width))
    made[part] = picture[part][::-1, ::-1]
    return made
