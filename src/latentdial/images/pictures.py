"""Pictures at rest: rows of an array in memory or of a mapped file, read when asked for."""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from latentdial.texts import Brief

CHUNK = 256


@dataclass(frozen=True, eq=False, repr=False)
class Pictures(Brief):
    """N uint8 pictures (N, H, W, C): `pictures[index]` copies those asked for, `take` and `len` read nothing.

    Pages of a mapped file are handed back after every read, so that resident memory stays flat.

    >>> Pictures.of(np.zeros((5, 4, 4, 3), np.uint8))[[0, 2]].shape
    (2, 4, 4, 3)
    """

    base: np.ndarray  # uint8 (M, H, W, C)
    rows: np.ndarray  # (N,) rows of base
    mapping: mmap.mmap | None = None

    @staticmethod
    def of(array: np.ndarray) -> Pictures:
        """All pictures of an array in memory."""
        return Pictures(array, np.arange(len(array)))

    @staticmethod
    def mapped(path: Path, shape: tuple[int, ...], offset: int = 0) -> Pictures:
        """All pictures of a file that holds them one after another from `offset` on."""
        with path.open("rb") as file:
            mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        base = np.frombuffer(mapping, np.uint8, int(np.prod(shape)), offset).reshape(shape)
        return Pictures(base, np.arange(len(base)), mapping)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.rows), *self.base.shape[1:])

    @property
    def nbytes(self) -> int:
        """Bytes of all N pictures."""
        return int(np.prod(self.shape))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> np.ndarray:
        found = np.array(self.base[self.rows[index]])
        if self.mapping is not None:
            self.mapping.madvise(mmap.MADV_DONTNEED)
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:].astype(dtype or np.uint8, copy=False)

    def take(self, index: np.ndarray) -> Pictures:
        """The pictures at `index`, in that order, not read yet."""
        return replace(self, rows=self.rows[index])

    def chunks(self, size: int = CHUNK) -> Iterator[np.ndarray]:
        """All pictures in order, some at a time."""
        for start in range(0, len(self), size):
            yield self[start : start + size]

    def expect_random_reads(self) -> None:
        """Tell the system not to read ahead."""
        if self.mapping is not None:
            self.mapping.madvise(mmap.MADV_RANDOM)


def hashes_of(pictures: np.ndarray) -> np.ndarray:
    """A 64-bit hash of every picture of a uint8 batch, (N,)."""
    digests = (hashlib.blake2b(picture.tobytes(), digest_size=8).digest() for picture in pictures)
    return np.array([int.from_bytes(digest) for digest in digests], np.uint64)
