"""Training, validation and test pictures, and the order of batches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from latentdial.errors import LatentdialError
from latentdial.images.types import ImageSet
from latentdial.texts import Brief, counted

MIN_PICTURES = 4
PARTS = {
    "train": {"train", "training"},
    "validation": {"validation", "val", "valid", "dev"},
    "test": {"test", "testing"},
}


@dataclass(frozen=True, repr=False)
class Split(Brief):
    """Indices of the training, validation and test pictures; disjoint, and together all of them.

    `kept_together`: exact duplicates that were put where their copies are.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    kept_together: int = 0


def split(n: int, holdout: float, seed: int, hashes: np.ndarray | None = None) -> Split:
    """Split n pictures at random by seed; validation and test get half the holdout each, at least one picture.

    Pictures of equal hash (n,) stay together.

    >>> parts = split(100, 0.2, seed=0)
    >>> len(parts.train), len(parts.validation), len(parts.test)
    (80, 10, 10)
    """
    groups = _groups(np.arange(n) if hashes is None else hashes)
    different = int(groups.max()) + 1 if n else 0
    if different < MIN_PICTURES:
        have = f"{counted(different, 'different picture')} {'is' if different == 1 else 'are'}"
        raise LatentdialError(f"{have} too few to train on: give at least {MIN_PICTURES}")
    half = max(1, round(different * holdout / 2))
    place = np.empty(different, np.int64)
    place[np.random.default_rng([seed, 1]).permutation(different)] = np.arange(different)
    return _split((place < 2 * half).astype(int) * (1 + (place >= half)), groups)


def split_images(images: ImageSet, holdout: float, seed: int) -> Split:
    """Split as the source says where it does, else at random by seed; exact duplicates stay together.

    Copies on both sides of a split that the source states go to training, or else to validation. A validation or test
    part that the source leaves out is taken from the training pictures.
    """
    if images.columns.parts is None:
        return split(len(images), holdout, seed, images.hashes)
    part, groups = _stated(images.columns.parts), _groups(images.hashes)
    first = np.full(groups.max() + 1, 2)
    np.minimum.at(first, groups, part)
    for wanted in (1, 2):
        if not (first == wanted).any():
            training = np.flatnonzero(first == 0)
            if len(training) < MIN_PICTURES:
                raise LatentdialError("the split leaves too few training pictures: use --split seed")
            order = np.random.default_rng([seed, 1, wanted]).permutation(len(training))
            first[training[order[: max(1, round(len(training) * holdout / 2))]]] = wanted
    if not (first == 0).any():
        raise LatentdialError("the split leaves no training pictures: mark some as train, or use --split seed")
    return _split(first, groups)


def spread(count: int, most: int) -> np.ndarray:
    """Indices of at most `most` of `count` things, from all over them: sets are often in the order of their labels.

    >>> spread(100, 4).tolist()
    [0, 33, 66, 99]
    """
    return np.linspace(0, count - 1, min(most, count)).astype(int)


def batch_order(n: int, seed: int, epoch: int) -> np.ndarray:
    """The order of n pictures in an epoch: a function of seed and epoch alone."""
    return np.random.default_rng([seed, 2, epoch]).permutation(n)


def _groups(hashes: np.ndarray) -> np.ndarray:
    """(N,) numbers from 0 in order of first appearance, equal where hashes are equal."""
    _, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]


def _split(part_of_group: np.ndarray, groups: np.ndarray) -> Split:
    part = part_of_group[groups]
    train, validation, test = (np.flatnonzero(part == i) for i in range(3))
    return Split(train, validation, test, kept_together=len(groups) - len(part_of_group))


def _stated(parts: np.ndarray) -> np.ndarray:
    codes = {word: i for i, words in enumerate(PARTS.values()) for word in words}
    odd = sorted({str(value) for value in np.unique(parts)} - {*codes})
    if odd:
        raise LatentdialError(f"the split says {odd[0]!r}: use train, validation and test, or --split seed")
    return np.array([codes[str(value)] for value in parts])
