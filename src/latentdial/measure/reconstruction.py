"""How close reconstructions are to their pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LEAST = 1e-10  # squared error, below which a picture counts as perfect: 100 dB


@dataclass(frozen=True)
class Reconstruction:
    """Means over pictures: squared error per pixel and channel with pictures in [0, 1]; PSNR in dB."""

    mse: float
    psnr: float


def reconstruction(pictures: np.ndarray, reconstructed: np.ndarray) -> Reconstruction:
    """Compare pictures (N, H, W, C) with their reconstructions, both in levels of 255.

    PSNR is 10 log10(1 / MSE) of each picture, averaged; a perfect picture counts as 100 dB.

    >>> reconstruction(np.zeros((2, 4, 4, 1)), np.full((2, 4, 4, 1), 25.5)).psnr
    20.0
    """
    each = squared_errors(pictures, reconstructed)
    return Reconstruction(float(each.mean()), float(decibels(each).mean()))


def squared_errors(pictures: np.ndarray, reconstructed: np.ndarray) -> np.ndarray:
    """The mean squared error (N,) of each picture (N, H, W, C), per value, with pictures in [0, 1]."""
    error = (np.asarray(pictures, np.float64) - np.asarray(reconstructed, np.float64)) / 255
    return np.square(error).reshape(len(error), -1).mean(-1)


def decibels(squared: np.ndarray) -> np.ndarray:
    """PSNR (N,) of squared errors (N,)."""
    return -10 * np.log10(np.maximum(squared, LEAST))
