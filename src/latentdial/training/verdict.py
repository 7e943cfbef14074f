"""What came of a training: reconstructions of unseen pictures against PCA's, the gap to those seen, a collapse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from latentdial.config import TrainSettings
from latentdial.measure.reconstruction import reconstruction
from latentdial.recipes import Recipe
from latentdial.training.starting import has_linear_start

ALIKE = 0.02  # of the pictures' variance, below which all reconstructions count as one picture
YOUNG = 500  # steps, within which a net that has never told pictures apart may still learn to
SATURATED = 0.5  # share of the values that are black or white and should not be
HEART = 1.5  # times the error of training pictures, from which a net is said to know them by heart
ALL_ALIKE = "all reconstructions are alike"
CERTAIN = 20  # unseen pictures, below which a verdict says of how many it is

Codec = Callable[[np.ndarray], np.ndarray]
"""Uint8 pictures (N, H, W, C) -> their reconstructions in levels of 255."""


@dataclass(frozen=True)
class Verdict:
    """A trained codec beside PCA with as many numbers: squared errors with pictures in [0, 1], PSNR in dB."""

    test_mse: float
    test_psnr: float
    train_mse: float
    pca_mse: float
    pca_psnr: float
    numbers: int
    collapsed: str = ""  # in words
    remedy: str = ""  # of that
    as_yet: str = ""  # a collapse that a young net is forgiven
    alike: bool = False  # reconstructions are, and PCA's as well
    tested: int = CERTAIN  # unseen pictures

    @property
    def gap(self) -> float:
        """The error of unseen pictures in units of that of training pictures."""
        return self.test_mse / max(self.train_mse, 1e-12)

    def sentence(self) -> str:
        if self.collapsed:
            return f"collapsed: {self.collapsed}; {self.remedy}"
        ratio = self.test_mse / max(self.pca_mse, 1e-12)
        than = f"{ratio:.2f} times the squared error of PCA with {self.numbers} numbers ({self.pca_psnr:.1f} dB)"
        some = "" if self.tested >= CERTAIN else f"{self.tested} "
        come = "picture comes" if self.tested == 1 else "pictures come"
        said = f"{some}unseen {come} back at {self.test_psnr:.1f} dB PSNR, {than}"
        if self.alike:
            return f"{said}; {ALL_ALIKE}, and PCA's as well: so many numbers tell next to nothing of such pictures"
        if self.gap >= HEART and round(ratio, 2) > 1:
            said += f"; those it was trained on with {1 / self.gap:.2f} times their error: use --flip, fewer --epochs"
            said += " or more pictures"
        return f"{said}; {self.as_yet} as yet: train for longer, or {self.remedy}" if self.as_yet else said

    def as_dict(self) -> dict[str, float | int | str]:
        figures = {name: round(value, 6) for name, value in vars(self).items() if isinstance(value, float)}
        return {**figures, "numbers": self.numbers, "collapsed": self.collapsed, "verdict": self.sentence()}


def remedy(recipe: Recipe, settings: TrainSettings) -> str:
    """What to try where a net of this recipe has collapsed: what it can do and was not told to."""
    could = ["--start pca"] if settings.start == "random" and has_linear_start(recipe.model) else []
    could.append("a lower --lr")
    if settings.kl_schedule == "constant" and any(term.scheduled for term in recipe.objective):
        could.append("--kl-schedule linear")
    return f"use {' or '.join(could)}"


def judge(
    codec: Codec, pca: Codec, train: np.ndarray, test: np.ndarray, numbers: int, young: bool = False, remedy: str = ""
) -> Verdict:
    """Judge a codec of so many numbers by pictures (N, H, W, C) that it was trained on and others, beside PCA's."""
    made, linear = codec(test), pca(test)
    ours, theirs = (reconstruction(test, some) for some in (made, linear))
    seen = reconstruction(train, codec(train))
    alike = both_alike(test, made, linear)
    found = "" if alike else collapse(test, made)
    collapsed = forgiven(found, young)
    return Verdict(
        ours.mse,
        ours.psnr,
        seen.mse,
        theirs.mse,
        theirs.psnr,
        numbers,
        collapsed,
        remedy,
        "" if collapsed else found,
        alike,
        len(test),
    )


def collapse(pictures: np.ndarray, made: np.ndarray) -> str:
    """In words, how reconstructions (N, H, W, C) in levels of 255 tell nothing of their pictures; empty where they do.

    >>> collapse(np.array([0.0, 255.0, 9.0])[:, None, None, None], np.full((3, 1, 1, 1), 80.0))
    'all reconstructions are alike'
    """
    if _extreme(made) - _extreme(pictures) > SATURATED:
        return f"{_extreme(made):.0%} of all values are black or white, {_extreme(pictures):.0%} in the pictures"
    return ALL_ALIKE if _spread(made) < ALIKE * _spread(pictures) else ""


def both_alike(pictures: np.ndarray, *made: np.ndarray) -> bool:
    """Whether every codec makes one picture of all: such as of noise, which no few numbers tell apart."""
    return all(collapse(pictures, one) == ALL_ALIKE for one in made)


def forgiven(found: str, young: bool) -> str:
    """A collapse as it is said: a `young` net makes one picture of all before it learns to tell them apart."""
    return "" if young and found == ALL_ALIKE else found


def _spread(pictures: np.ndarray) -> float:
    return float(np.asarray(pictures, np.float32).var(0).mean())


def _extreme(pictures: np.ndarray) -> float:
    return float(((pictures < 1) | (pictures > 254)).mean())
