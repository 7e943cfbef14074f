"""What a source holds before anything is decoded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from latentdial.images.types import Columns, Listed


@dataclass(frozen=True)
class Listing:
    """N picture files: a source's first answer, read from names and dates alone."""

    source: str  # names the source for good, such as its absolute path
    names: list[str]
    stamps: np.ndarray  # int64 (N, 2): size in bytes, and time of the last change in ns
    locate: Callable[[str, int], str | bytes]  # name, index -> path or bytes of a picture's file
    columns: Columns = field(default_factory=Columns)
    skipped: list[Listed] = field(default_factory=list)
    notes: list[Listed] = field(default_factory=list)
    others: list[Listed] = field(default_factory=list)  # files that do not claim to be pictures, with the reason

    def __len__(self) -> int:
        return len(self.names)

    def take(self, index: np.ndarray) -> Listing:
        """The files at `index`, in that order."""
        before, locate = index.tolist(), self.locate
        return replace(
            self,
            source=f"{self.source} limited to {len(index)}",
            names=[self.names[i] for i in before],
            stamps=self.stamps[index],
            locate=lambda name, i: locate(name, before[i]),
            columns=self.columns.take(index),
        )
