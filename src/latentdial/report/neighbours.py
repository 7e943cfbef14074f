"""The pictures of a set that are nearest to one: by code, and beside that by pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from latentdial.errors import LatentdialError
from latentdial.images import ImageSet, spread
from latentdial.latent.codec import CHUNK, Codec, Picture
from latentdial.progress import Show
from latentdial.report.figures import Cell, Row, Sheet
from latentdial.runs.given import open_set
from latentdial.runs.pictures import run_pictures
from latentdial.texts import counted

SCALE = 500  # training codes, whose mean distance is the unit


@dataclass(frozen=True, eq=False)
class Neighbour:
    """A picture, uint8 (H, W, C), and how far it is: by code in units of two training pictures' mean distance, by
    pixels as the root of the mean squared difference in levels of 255."""

    name: str
    label: str
    picture: np.ndarray
    code: float
    pixels: float

    def as_dict(self) -> dict[str, Any]:
        return {"name": self.name, "label": self.label, "code": self.code, "pixels": self.pixels}


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The nearest pictures of `total` by code and by pixels, nearest first; exact copies are only counted."""

    codec: Codec
    picture: np.ndarray
    by_code: list[Neighbour]
    by_pixels: list[Neighbour]
    total: int
    copies: int

    @property
    def shared(self) -> int:
        """How many are among the nearest both ways."""
        return len({one.name for one in self.by_code} & {one.name for one in self.by_pixels})

    def sheet(self, side: int = 104) -> Image.Image:
        """The picture and its reconstruction, then the nearest by code and by pixels."""
        own = [self.picture, self.codec.reconstruct(self.picture[None])[0]]
        rows = [
            Row([Cell(own[i]), *(Cell(one.picture, _caption(one, i)) for one in found)], [title])
            for i, (title, found) in enumerate((("by code", self.by_code), ("by pixels", self.by_pixels)))
        ]
        headings = ["given, decoded", *(str(i + 1) for i in range(len(self.by_code)))]
        return Sheet(rows, f"Nearest of {counted(self.total, 'picture')}, {self.codec.name}", headings=headings).draw(
            side
        )


def nearest(
    codec: Codec, picture: Picture, data: str | None = None, *, n: int = 8, show: Show | None = None
) -> Neighbours:
    """The `n` pictures of a set, or of the run's training pictures, that are nearest to one.

    Distances of codes are Euclidean; pictures are read some at a time. A set that is none is a LatentdialError.

    >>> nearest(codec, "face.jpg", "faces/").by_code[0].name  # doctest: +SKIP
    """
    if not 1 <= n <= 100:
        raise LatentdialError(f"{n} nearest pictures cannot be shown: use a number from 1 to 100")
    show = show or Show()
    wanted = codec.pictures(picture)[0]
    images = run_pictures(codec, progress=show.advance)[0] if data is None else open_set(codec, data, show)
    code = codec.encode(wanted[None])[0]
    by_code, by_pixels = (np.empty(len(images)) for _ in range(2))
    for start in range(0, len(images), CHUNK):
        pixels = images.pixels[start : start + CHUNK]
        here = slice(start, start + len(pixels))
        by_code[here] = np.linalg.norm(codec.encode(pixels) - code, axis=1)
        by_pixels[here] = np.sqrt(np.square(pixels.astype(np.float32) - wanted).mean((1, 2, 3)))
        show.advance("comparing", here.stop, len(images))
    others = np.flatnonzero(by_pixels > 0)
    by_code /= _unit(codec)
    nearest_by_code, nearest_by_pixels = (
        [_neighbour(images, i, by_code, by_pixels) for i in others[np.argsort(key[others], kind="stable")[:n]]]
        for key in (by_code, by_pixels)
    )
    copies = len(images) - len(others)
    return Neighbours(codec, wanted, nearest_by_code, nearest_by_pixels, len(images), copies)


def _unit(codec: Codec) -> float:
    """The mean distance of two training codes; one where none are known."""
    if codec.training_codes is None or len(codec.codes) < 2:
        return 1.0
    some = codec.codes[spread(len(codec.codes), SCALE)].astype(np.float64)
    square = np.square(some).sum(1)
    apart = np.sqrt(np.maximum(square[:, None] + square - 2 * some @ some.T, 0))
    return float(apart.sum() / (len(some) * (len(some) - 1))) or 1.0


def _neighbour(images: ImageSet, i: int, by_code: np.ndarray, by_pixels: np.ndarray) -> Neighbour:
    label = "" if images.labels is None else images.label_names[images.labels[i]]
    return Neighbour(images.names[i], label, images.pixels[[i]][0], float(by_code[i]), float(by_pixels[i]))


def _caption(one: Neighbour, by_pixels: int) -> list[str]:
    far = f"{one.pixels:.0f} levels" if by_pixels else f"{one.code:.2f}"
    return [far, *([one.label] if one.label else [])]
