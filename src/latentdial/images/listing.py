"""What a source holds before anything is decoded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from latentdial.images.types import Columns, Listed

Folder = tuple[str, int, int]  # name, how many picture files are in it, time of the last change in ns


@dataclass(frozen=True)
class Seen:
    """What was met on the way to the picture files."""

    skipped: list[Listed] = field(default_factory=list)
    notes: list[Listed] = field(default_factory=list)
    others: list[Listed] = field(default_factory=list)  # files that do not claim to be pictures, with the reason
    folders: list[Folder] = field(default_factory=list)  # in the order of their files


@dataclass(frozen=True)
class Listing:
    """N picture files: a source's first answer, read from names and dates alone."""

    source: str  # names the source for good, such as its absolute path
    names: list[str]
    stamps: np.ndarray  # int64 (N, 2): size in bytes, and time of the last change in ns
    locate: Callable[[str, int], str | bytes]  # name, index -> path or bytes of a picture's file
    columns: Columns = field(default_factory=Columns)
    seen: Seen = field(default_factory=Seen)

    def __len__(self) -> int:
        return len(self.names)

    def difference(self, now: Listing) -> int:
        """How many files are new, gone or changed in a later listing of the same source."""
        if self.names == now.names:
            return int((self.stamps != now.stamps).any(1).sum())
        before, after = (dict(zip(of.names, map(tuple, of.stamps.tolist()), strict=True)) for of in (self, now))
        return len({name for name, _ in before.items() ^ after.items()})
