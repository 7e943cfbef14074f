"""What came of a training: reconstructions of unseen pictures against PCA's, the gap to those seen, a collapse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from latentdial.config import AugmentSettings, TrainSettings
from latentdial.measure.reconstruction import Reconstruction, reconstruction
from latentdial.recipes import Recipe
from latentdial.texts import counted
from latentdial.training.starting import has_linear_start

ALIKE = 0.02  # of the pictures' variance, below which all reconstructions count as one picture
YOUNG = 500  # steps, within which a net that has never told pictures apart may still learn to
SATURATED = 0.5  # share of the values that are black or white and should not be
HEART = 1.5  # times the error of training pictures, from which a net is said to know them by heart
ALL_ALIKE = "all reconstructions are alike"
WORSE = 1.2  # times the error of PCA, from which the recipe pca is the better choice
MANY = 100  # times, above which nobody asks how many
CERTAIN = 20  # unseen pictures, below which a verdict says of how many it is

Codec = Callable[[np.ndarray], np.ndarray]
"""Uint8 pictures (N, H, W, C) -> their reconstructions in levels of 255."""


@dataclass(frozen=True)
class Remedies:
    """What to try where a net has collapsed, and where it knows its pictures by heart."""

    collapse: str = ""
    by_heart: str = ""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Reconstructions by a trained codec, of unseen pictures and of training ones, beside PCA with as many numbers."""

    test: Reconstruction
    train: Reconstruction
    pca: Reconstruction  # of the unseen pictures
    numbers: int
    tested: int = CERTAIN  # unseen pictures
    alike: bool = False  # reconstructions are, and PCA's as well
    collapsed: str = ""  # in words
    as_yet: str = ""  # a collapse that a young net is forgiven
    remedies: Remedies = field(default_factory=Remedies)

    @property
    def gap(self) -> float:
        """The error of unseen pictures in units of that of training pictures."""
        return self.test.mse / max(self.train.mse, 1e-12)

    def sentence(self) -> str:
        if self.collapsed:
            return f"collapsed: {self.collapsed}; {self.remedies.collapse}"
        ratio = self.test.mse / max(self.pca.mse, 1e-12)
        pca = f"PCA with {counted(self.numbers, 'number')} ({self.pca.psnr:.1f} dB)"
        times = f"{ratio:.2f}" if ratio < MANY else f"over {MANY}"
        than = f"{times} times the squared error of {pca}"
        some = "" if self.tested >= CERTAIN else f"{self.tested} "
        come = "picture comes" if self.tested == 1 else "pictures come"
        said = f"{some}unseen {come} back at {self.test.psnr:.1f} dB PSNR, {than}"
        if self.alike:
            return f"{said}; {ALL_ALIKE}, and PCA's as well: so many numbers tell next to nothing of such pictures"
        if ratio >= WORSE:
            said += ", so that the recipe pca is the better one here"
        if self.gap >= HEART and round(ratio, 2) > 1:
            said += f"; those it was trained on with {1 / self.gap:.2f} times their error: {self.remedies.by_heart}"
        return f"{said}; {self.as_yet} as yet: train for longer, or {self.remedies.collapse}" if self.as_yet else said

    def as_dict(self) -> dict[str, float | int | str]:
        figures = {
            "test_mse": self.test.mse,
            "test_psnr": self.test.psnr,
            "train_mse": self.train.mse,
            "pca_mse": self.pca.mse,
            "pca_psnr": self.pca.psnr,
        }
        rounded = {name: round(value, 6) for name, value in figures.items()}
        return {**rounded, "numbers": self.numbers, "collapsed": self.collapsed, "verdict": self.sentence()}


def remedies(recipe: Recipe, settings: TrainSettings, variation: AugmentSettings) -> Remedies:
    """What a net of this recipe can do and was not told to."""
    could = ["--start pca"] if settings.start == "random" and has_linear_start(recipe.model) else []
    could.append("a lower --lr")
    if settings.kl_schedule == "constant" and any(term.scheduled for term in recipe.objective):
        could.append("--kl-schedule linear")
    vary = [] if variation.flip else ["--flip"]
    vary += ["no --crop 0"] if variation.crop == 0 else []
    *more, last = [*vary, *(["fewer --epochs"] if recipe.steps else []), "more pictures"]
    return Remedies(f"use {' or '.join(could)}", f"use {', '.join(more)} or {last}" if more else f"use {last}")


def judge(
    codec: Codec,
    pca: Codec,
    train: np.ndarray,
    test: np.ndarray,
    numbers: int,
    young: bool = False,
    remedies: Remedies | None = None,
) -> Verdict:
    """Judge a codec of so many numbers by pictures (N, H, W, C) that it was trained on and others, beside PCA's."""
    made, linear = codec(test), pca(test)
    alike = both_alike(test, made, linear)
    found = "" if alike else collapse(test, made)
    collapsed = forgiven(found, young)
    return Verdict(
        test=reconstruction(test, made),
        train=reconstruction(train, codec(train)),
        pca=reconstruction(test, linear),
        numbers=numbers,
        tested=len(test),
        alike=alike,
        collapsed=collapsed,
        as_yet="" if collapsed else found,
        remedies=remedies or Remedies(),
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
