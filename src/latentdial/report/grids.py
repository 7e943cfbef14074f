"""Rows of pictures between pairs that are chosen by their labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from latentdial.errors import LatentdialError
from latentdial.images import ImageSet
from latentdial.latent.codec import Codec
from latentdial.latent.paths import interpolate
from latentdial.progress import Show
from latentdial.report.figures import Cell, Row, Sheet
from latentdial.runs.given import open_set
from latentdial.texts import counted, suggestion


@dataclass(frozen=True, eq=False)
class Between:
    """Decoded pictures (n, H, W, C) from one picture to another, with their labels and names."""

    first: str
    last: str
    names: tuple[str, str]
    pictures: np.ndarray


@dataclass(frozen=True, eq=False)
class Grid:
    """Pairs by label, a row each; `by` is what the labels are of."""

    codec: Codec
    by: str
    rows: list[Between]

    def sheet(self, side: int = 80) -> Image.Image:
        """All rows, both labels before them."""
        rows = [
            Row(
                [Cell(picture) for picture in row.pictures],
                [row.first, *([] if row.first == row.last else [f"to {row.last}"])],
            )
            for row in self.rows
        ]
        return Sheet(rows, f"Between pairs by {self.by}, {self.codec.name}").draw(side)


def interpolation_grid(
    codec: Codec,
    data: str,
    same: bool = True,
    *,
    by: str | None = None,
    rows: int = 10,
    n: int = 9,
    path: str = "linear",
    seed: int = 0,
    show: Show | None = None,
) -> Grid:
    """Interpolate between pairs of pictures of the same label, the labels taking turns, or of different labels.

    `by` names an attribute of the pictures; default: their labels, or the first attribute of few values. Pictures
    without labels are a LatentdialError.

    >>> interpolation_grid(codec, "avatars", by="glasses").sheet().save("grid.png")  # doctest: +SKIP
    """
    if not 1 <= rows <= 100:
        raise LatentdialError(f"a grid of {counted(rows, 'row')} cannot be drawn: use from 1 to 100")
    images = open_set(codec, data, show)
    title, labels, words = _labels(images, by)
    pairs = pairs_by_label(labels, same, rows, seed)
    found = []
    for pair in pairs:
        codes = codec.encode(images.pixels[pair])
        pictures = codec.decode(interpolate(codec, codes[0], codes[1], n, path))
        first, last = (words[labels[i]] for i in pair)
        found.append(Between(first, last, (images.names[pair[0]], images.names[pair[1]]), pictures))
    return Grid(codec, title, found)


def pairs_by_label(labels: np.ndarray, same: bool, count: int, seed: int) -> np.ndarray:
    """`count` pairs (count, 2) of indices whose labels (N,) are the same, each label in turn, or differ.

    Pairs that cannot be had, as when every label has one picture, are a LatentdialError.
    """
    rng = np.random.default_rng([seed, 3])
    members = [np.flatnonzero(labels == one) for one in np.unique(labels)]
    if same:
        members = [group for group in members if len(group) > 1]
        if not members:
            raise LatentdialError("no two pictures have the same label: use --grid different")
        return np.array([rng.choice(members[i % len(members)], 2, replace=False) for i in range(count)])
    if len(members) < 2:
        raise LatentdialError("all pictures have the same label: use --grid same")
    chosen = [rng.choice(len(members), 2, replace=False) for _ in range(count)]
    return np.array([[rng.choice(members[a]), rng.choice(members[b])] for a, b in chosen])


def _labels(images: ImageSet, by: str | None) -> tuple[str, np.ndarray, list[str]]:
    """What the labels are of, the label (N,) of every picture as an index, and the words for them."""
    named = {name: (images.factors[name], words) for name, words in images.columns.categories.items()}
    if images.labels is not None:
        named = {"label": (images.labels, images.label_names), **named}
    if not named:
        raise LatentdialError("these pictures have no labels: put them into a folder for each label, or give a table")
    name = by or next(iter(named))
    if name not in named:
        raise LatentdialError(f"there is no attribute {name!r}: {suggestion(name, named)}")
    values, words = named[name]
    return name, values, list(words)
