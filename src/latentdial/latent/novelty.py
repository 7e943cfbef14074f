"""How unlike the training pictures a picture is, by three figures that the explorer's page can compute as well.

They are the root of the summed squared error of its reconstruction, the mismatch of their outlines, and the Mahalanobis
distance of its code among the training codes. Each counts from its median over held-out pictures, in units of the way
to their 95% point; the largest is compared with those of the held-out pictures themselves. A hand that a codec of faces
draws as a pale face has a small error and a usual code: its outlines tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np

from latentdial.measure.anomaly import outline_mismatch, root_of_squares

LIMIT = 0.99  # share of held-out pictures within it
SIDE = 0.95  # quantile whose distance from the median is the unit
FLAT = 0.01  # of the mean variance: axes along which codes vary less are not looked at
REASONS = "the codec keeps so little of it", "the codec draws other outlines", "its code lies so far from theirs"


@dataclass(frozen=True)
class Unlike:
    """Where one picture stands among `held_out` pictures that the codec was not trained on."""

    percentile: float  # of held-out pictures that are less strange
    held_out: int
    unlike: bool  # stranger than `LIMIT` of them
    lost: float  # error of the reconstruction, in medians of held-out pictures
    astray: float  # mismatch of its outlines, in the same way
    away: float  # distance of the code, in the same way
    reason: str

    @property
    def place(self) -> str:
        """Its place in words.

        >>> Unlike(62.0, 600, False, 1.1, 1.2, 0.9, "").place
        'stranger than 62% of 600 held-out ones'
        """
        if self.percentile == 100:
            return f"stranger than all {self.held_out} held-out ones"
        return f"stranger than {self.percentile:.3g}% of {self.held_out} held-out ones"

    def sentence(self) -> str:
        """What a person should know of an unlike picture."""
        return (
            f"this picture is unlike the training pictures, {self.place}: {self.reason} "
            f"(its error is {self.lost:.1f}, the mismatch of outlines {self.astray:.1f} and the distance of its code "
            f"{self.away:.1f} times the usual)"
        )


@dataclass(frozen=True, eq=False)
class Novelty:
    """The three figures over n held-out pictures, in a form that few numbers describe."""

    mean: np.ndarray  # (D,) of the training codes
    axes: np.ndarray  # (D, K): (code - mean) @ axes has unit covariance
    middle: np.ndarray  # (3,) medians of the figures
    spread: np.ndarray  # (3,) from the median to the 95% point
    normal: np.ndarray  # (n,) scores of the held-out pictures, ascending

    @property
    def limit(self) -> float:
        """The score above which a picture is unlike: of a rank that holds `LIMIT` of new pictures, if n is enough."""
        n = len(self.normal)
        return float(self.normal[min(ceil((n + 1) * LIMIT), n) - 1])

    def figures(self, losses: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Losses (N, 2) and the distances of codes (N, D), (N, 3)."""
        return _figures(losses, (codes - self.mean) @ self.axes)

    def score(self, figures: np.ndarray) -> np.ndarray:
        """The largest of the figures (N, 3) above its median, (N,)."""
        return _above(figures, self.middle, self.spread).max(1)

    def of(self, pictures: np.ndarray, again: np.ndarray, codes: np.ndarray) -> list[Unlike]:
        """Where uint8 pictures (N, H, W, C) stand, by their reconstructions in levels of 255 and codes (N, D)."""
        return self.told(self.figures(losses(pictures, again), codes))

    def told(self, figures: np.ndarray) -> list[Unlike]:
        """Where pictures with these figures (N, 3) stand."""
        scores, which = self.score(figures), _above(figures, self.middle, self.spread).argmax(1)
        below = np.searchsorted(self.normal, scores, "left") / len(self.normal)
        ratios = figures / np.maximum(self.middle, 1e-9)
        rows = zip(scores.tolist(), below.tolist(), ratios.tolist(), which.tolist(), strict=True)
        return [
            Unlike(100 * share, len(self.normal), score > self.limit, lost, astray, away, REASONS[k])
            for score, share, (lost, astray, away), k in rows
        ]


def losses(pictures: np.ndarray, again: np.ndarray) -> np.ndarray:
    """What reconstructions lose of pictures (N, H, W, C), in levels of 255: error and mismatch of outlines, (N, 2)."""
    return np.stack([root_of_squares(pictures, again), outline_mismatch(pictures, again)], axis=1)


def fit_novelty(mean: np.ndarray, covariance: np.ndarray, held_out: np.ndarray, lost: np.ndarray) -> Novelty:
    """From mean (D,) and covariance (D, D) of training codes, codes (n, D) and losses (n, 2) of held-out pictures."""
    values, vectors = np.linalg.eigh(covariance)
    kept = values > FLAT * values.mean() + 1e-12
    axes = vectors[:, kept] / np.sqrt(values[kept])
    figures = _figures(lost, (held_out - mean) @ axes)
    middle = np.median(figures, axis=0)
    spread = np.maximum(np.quantile(figures, SIDE, axis=0) - middle, 1e-9)
    return Novelty(mean, axes, middle, spread, np.sort(_above(figures, middle, spread).max(1)))


def _figures(losses: np.ndarray, white: np.ndarray) -> np.ndarray:
    """Losses (N, 2) and the lengths of white codes (N, K), (N, 3)."""
    return np.column_stack([losses, np.linalg.norm(white, axis=1)])


def _above(figures: np.ndarray, middle: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """How far figures (N, 3) are above their middle, in units of the spread."""
    return (figures - middle) / spread
