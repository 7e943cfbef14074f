"""What changed between two pictures, in numbers and in a sentence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

VISIBLE = 8.0  # levels of 255 from which a pixel counts as changed
SIZES = [(0.5, "nothing visible changes"), (2, "hardly visible"), (6, "a small change"), (16, "a clear change")]
ROWS, COLUMNS = ["top", "middle", "bottom"], ["left", "centre", "right"]


@dataclass(frozen=True)
class Change:
    """Difference of two pictures: `mean` and `largest` in levels of 255, `share` of pixels changed by 8 or more."""

    mean: float
    largest: float
    share: float
    where: str

    def sentence(self) -> str:
        size = next((words for limit, words in SIZES if self.mean < limit), "the picture becomes another one")
        where = f", most in the {self.where}" if self.share > 0 else ""
        return (
            f"{size}: {self.mean:.2f} levels of 255 on average, {self.largest:.0f} at most, "
            f"{self.share:.0%} of the pixels by {VISIBLE:.0f} levels or more{where}"
        )


def change(before: np.ndarray, after: np.ndarray) -> Change:
    """The change between two pictures (H, W, C) in levels of 255.

    >>> change(np.zeros((6, 6, 3)), np.full((6, 6, 3), 16.0)).mean
    16.0
    """
    difference = np.abs(np.asarray(after, np.float64) - np.asarray(before, np.float64))
    pixels = difference.max(-1)
    return Change(
        mean=float(difference.mean()),
        largest=float(difference.max()),
        share=float((pixels >= VISIBLE).mean()),
        where=_where(pixels),
    )


def _where(pixels: np.ndarray) -> str:
    """The ninth of the picture that changes most, in words."""
    thirds = [np.array_split(band, 3, axis=1) for band in np.array_split(pixels, 3, axis=0)]
    row, column = divmod(int(np.argmax([part.mean() if part.size else 0 for band in thirds for part in band])), 3)
    return "centre" if (row, column) == (1, 1) else f"{ROWS[row]} {COLUMNS[column]}"
