"""An image set and what is known of its pictures."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from latentdial.config import Geometry
from latentdial.images.pictures import Pictures
from latentdial.texts import Brief, printable

Listed = tuple[str, str]  # the name of a file or picture, and what is to be said of it


@dataclass(frozen=True, repr=False)
class Columns(Brief):
    """What is known of N pictures besides their pixels."""

    labels: np.ndarray | None = None  # (N,) index into label_names
    label_names: list[str] = field(default_factory=list)
    factors: dict[str, np.ndarray] = field(default_factory=dict)  # known attributes, each (N,)
    categories: dict[str, list[str]] = field(default_factory=dict)  # names of the values of factors that are indices
    parts: np.ndarray | None = None  # (N,) what the source says: train, validation or test

    def take(self, index: np.ndarray) -> Columns:
        """The same of the pictures at `index`."""
        return replace(
            self,
            labels=None if self.labels is None else self.labels[index],
            factors={name: values[index] for name, values in self.factors.items()},
            parts=None if self.parts is None else self.parts[index],
        )


@dataclass(frozen=True, repr=False)
class ImageSet(Brief):
    """N pictures at rest, fitted to `geometry`, with what is known of them and of the files left out."""

    pixels: Pictures  # uint8 (N, H, W, C)
    names: list[str]
    hashes: np.ndarray  # (N,) of the fitted pixels: equal where pictures are equal
    geometry: Geometry
    columns: Columns = field(default_factory=Columns)
    originals: np.ndarray | None = None  # (N,) width, height, mode and format in the file
    skipped: list[Listed] = field(default_factory=list)  # with the reason
    notes: list[Listed] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def labels(self) -> np.ndarray | None:
        """(N,) index into label_names."""
        return self.columns.labels

    @property
    def label_names(self) -> list[str]:
        return self.columns.label_names

    @property
    def factors(self) -> dict[str, np.ndarray]:
        """Known attributes, each (N,)."""
        return self.columns.factors

    def labelled(self, name: str) -> np.ndarray:
        """The indices of the pictures with this label; none where no picture has it."""
        if self.labels is None or name not in self.label_names:
            return np.arange(0)
        return np.flatnonzero(self.labels == self.label_names.index(name))

    def take(self, index: np.ndarray) -> ImageSet:
        """The pictures at `index`, in that order; reads no pixels."""
        return replace(
            self,
            pixels=self.pixels.take(index),
            names=[self.names[i] for i in index],
            hashes=self.hashes[index],
            columns=self.columns.take(index),
            originals=None if self.originals is None else self.originals[index],
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


def readable(name: str) -> str:
    """A file name as text that can be printed anywhere."""
    text = name if name.isascii() else os.fsencode(name).decode("utf-8", "replace")
    return printable(text, lines=False)
