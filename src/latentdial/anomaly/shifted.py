"""Pictures with something wrong in them, made of normal ones: a patch of another picture, or a part turned round."""

from __future__ import annotations

import numpy as np

PATCH, TURNED = 1 / 5, 1 / 3  # of the side


def shifted(pictures: np.ndarray, seed: int = 0) -> np.ndarray:
    """The same uint8 pictures (N, H, W, C), every second with a patch of another, the others with a part upside down.

    >>> pictures = np.random.default_rng(0).integers(0, 255, (4, 20, 20, 3), np.uint8)
    >>> [round(float((one != two).any(-1).mean()), 2) for one, two in zip(pictures, shifted(pictures))]
    [0.04, 0.12, 0.04, 0.12]
    """
    rng = np.random.default_rng(seed)
    side, made = pictures.shape[1], pictures.copy()
    for i, picture in enumerate(made):
        width = max(2, round(side * (TURNED if i % 2 else PATCH)))
        (top, left), (row, column) = rng.integers(0, side - width + 1, (2, 2))
        if i % 2:
            part = picture[top : top + width, left : left + width][::-1, ::-1].copy()
        else:
            other = pictures[(i + 1 + rng.integers(0, max(1, len(pictures) - 1))) % len(pictures)]
            part = other[row : row + width, column : column + width]
        picture[top : top + width, left : left + width] = part
    return made
