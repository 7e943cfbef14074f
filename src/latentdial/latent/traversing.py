"""A picture turned along dimensions and directions, as far as it takes to see what they do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from latentdial.errors import LatentdialError
from latentdial.latent.codec import Codec, Picture
from latentdial.latent.direction import Direction
from latentdial.latent.naming import direction_of
from latentdial.latent.safe_range import left
from latentdial.latent.support import MIN_CODES

REACHES = (2.0, 3.0, 4.0, 6.0, 8.0)  # sd, of which the first that can be seen is taken
VISIBLE, PART = 96.0, 0.1  # levels of 255 by which this part of the picture, that changes most, should differ
HARDLY = 32.0  # levels of that part, below which a change is hardly to be seen


@dataclass(frozen=True, eq=False)
class Strip:
    """A picture moved from `-reach` to `+reach` sd along a direction, its own in the middle.

    `levels` is how much the ends differ on average, `most` in the tenth of the picture that changes most; `outside`
    marks those that lie outside the data, None where there are too few codes to judge by.
    """

    direction: Direction
    reach: float
    sds: np.ndarray  # (n,)
    pictures: np.ndarray  # uint8 (n, H, W, C)
    levels: float
    most: float
    outside: np.ndarray | None

    @property
    def seen(self) -> bool:
        """Whether the ends differ so that it can be seen."""
        return self.most >= HARDLY

    def sentence(self) -> str:
        said = f"{self.direction.title}: {self.levels:.1f} levels of 255 between -{self.reach:g} and +{self.reach:g} sd"
        return said if self.seen else f"{said}, hardly to be seen"


@dataclass(frozen=True, eq=False)
class Traversal:
    """The strips of one picture, uint8 (H, W, C)."""

    codec: Codec
    source: np.ndarray
    strips: list[Strip]

    def sentences(self) -> list[str]:
        return [strip.sentence() for strip in self.strips]


def traverse(codec: Codec, picture: Picture, *names: str, n: int = 7, reach: float | None = None) -> Traversal:
    """Turn a picture along each dimension or direction named, in `n` steps.

    Each goes so many sd either way that the change can be seen, at most 8, or `reach`. Unknown names, and a codec
    without training codes, are a LatentdialError.

    >>> traverse(codec, "face.jpg", "c0", "c1", "1").sentences()  # doctest: +SKIP
    """
    if not names:
        raise LatentdialError("there is nothing to turn: name dimensions or directions such as c0, c1 or 17")
    if not 3 <= n <= 99 or (reach is not None and not 0 < reach <= 100):
        raise LatentdialError("a strip has from 3 to 99 pictures, and goes at most 100 sd")
    directions = [direction_of(codec, name, codec.latent) for name in names]
    source = codec.pictures(picture)
    code = codec.encode(source)[0].astype(np.float64)
    return Traversal(codec, source[0], [strip_of(codec, code, one, n, reach) for one in directions])


def strip_of(codec: Codec, code: np.ndarray, direction: Direction, n: int = 7, reach: float | None = None) -> Strip:
    """The pictures of a code (D,) moved along a direction in `n` steps, up to `reach` or as far as can be seen."""
    if reach is None:
        ends = np.array([[-one, one] for one in REACHES]).ravel()
        apart = np.abs(np.diff(codec.levels(_moved(code, direction, ends)).reshape(len(REACHES), 2, -1), axis=1))
        reach = next((one for one, each in zip(REACHES, apart, strict=True) if _most(each) >= VISIBLE), REACHES[-1])
    sds = np.linspace(-reach, reach, n)
    moved = _moved(code, direction, sds)
    levels = codec.levels(moved)
    change = np.abs(levels[-1] - levels[0])
    judged = len(codec.codes) >= MIN_CODES
    start = codec.support.score(codec, code[None]) if judged else 0.0
    outside = left(codec.support.score(codec, moved), start) if judged else None
    pictures = levels.round().astype(np.uint8)
    return Strip(direction, reach, sds, pictures, float(change.mean()), _most(change), outside)


def _moved(code: np.ndarray, direction: Direction, sds: np.ndarray) -> np.ndarray:
    return code + np.asarray(sds)[:, None] * direction.step


def _most(change: np.ndarray) -> float:
    """The mean of the tenth of absolute changes that is largest."""
    flat = change.ravel()
    count = max(1, round(PART * len(flat)))
    return float(np.partition(flat, len(flat) - count)[-count:].mean())
