"""An image set, its split, and the order of its batches."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from latentdial.errors import LatentdialError

MIN_PICTURES = 4


@dataclass(frozen=True)
class ImageSet:
    """N pictures at rest, uint8 (N, H, W, C), with what is known of them."""

    pixels: np.ndarray
    names: list[str]
    labels: np.ndarray | None = None  # (N,) index into label_names
    label_names: list[str] = field(default_factory=list)
    factors: dict[str, np.ndarray] = field(default_factory=dict)  # known attributes, each (N,)
    skipped: list[tuple[str, str]] = field(default_factory=list)  # (name, reason)

    def __len__(self) -> int:
        return len(self.pixels)

    def take(self, index: np.ndarray) -> ImageSet:
        """The pictures at `index`, in that order."""
        return ImageSet(
            self.pixels[index],
            [self.names[i] for i in index],
            None if self.labels is None else self.labels[index],
            self.label_names,
            {name: values[index] for name, values in self.factors.items()},
            self.skipped,
        )

    def summary(self) -> dict[str, Any]:
        """Counts for a person or a machine to read."""
        n, height, width, channels = self.pixels.shape
        return {
            "pictures": n,
            "size": [height, width],
            "channels": channels,
            "labels": self.label_names,
            "factors": sorted(self.factors),
            "skipped": len(self.skipped),
        }


@dataclass(frozen=True)
class Split:
    """Indices of the training, validation and test pictures; disjoint, and together all of them."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def split(n: int, holdout: float, seed: int) -> Split:
    """Split n pictures at random by seed; validation and test get half the holdout each, at least one picture.

    >>> [len(part) for part in vars(split(100, 0.2, seed=0)).values()]
    [80, 10, 10]
    """
    if n < MIN_PICTURES:
        raise LatentdialError(f"{n} pictures are too few to train on: give at least {MIN_PICTURES}")
    half = max(1, round(n * holdout / 2))
    order = np.random.default_rng([seed, 1]).permutation(n)
    return Split(np.sort(order[2 * half :]), np.sort(order[:half]), np.sort(order[half : 2 * half]))


def batch_order(n: int, seed: int, epoch: int) -> np.ndarray:
    """The order of n pictures in an epoch: a function of seed and epoch alone."""
    return np.random.default_rng([seed, 2, epoch]).permutation(n)
