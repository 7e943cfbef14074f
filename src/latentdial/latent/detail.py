"""Keep the detail of a photograph that a codec blurs away, where an edit left the picture alone."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

UNTOUCHED, TOUCHED = 3.0, 16.0  # levels of 255: a change up to the first keeps all detail, from the second on none
RADIUS = 1 / 48  # of the picture's side, by which the mask is softened


def preserve(source: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The edited picture `after` plus the residual source - before, faded out where the edit changed the picture.

    All (H, W, C) in levels of 255; `before` is the reconstruction of the source.

    >>> source, before = np.full((8, 8, 1), 100.0), np.full((8, 8, 1), 90.0)
    >>> float(preserve(source, before, before).mean())
    100.0
    """
    mask = kept(np.asarray(after, np.float64) - before)
    residual = np.asarray(source, np.float64) - before
    return np.clip(after + mask[..., None] * residual, 0, 255)


def kept(change: np.ndarray) -> np.ndarray:
    """How much of the residual is kept at every pixel (H, W), from 0 to 1, for a change (H, W, C) in levels."""
    size = np.abs(change).max(-1)
    share = np.clip((TOUCHED - size) / (TOUCHED - UNTOUCHED), 0, 1)
    soft = Image.fromarray((255 * share).round().astype(np.uint8)).filter(
        ImageFilter.GaussianBlur(RADIUS * len(change))
    )
    return np.asarray(soft, np.float64) / 255
