"""The oddest of the pictures that runs are compared on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from latentdial.anomaly.detecting import Anomalies, fitted_detector, heat_of, scored
from latentdial.anomaly.detector import enlarged
from latentdial.anomaly.stored import RECORD, read_detector
from latentdial.errors import LatentdialError
from latentdial.images import ImageSet
from latentdial.latent.codec import Codec
from latentdial.progress import Show
from latentdial.report.anomalies import coloured

SHOWN = 6
FAINT = 0.45  # of a picture's brightness, below the heat
WORDS = {
    "error": "it is drawn badly",
    "ssim": "its structure is lost",
    "colours": "unusual colours",
    "overall": "its colours are unusual as a whole",
    "outlines": "it is drawn with other outlines",
    "layers": "parts that the net has not met",
    "neighbours": "no training picture has a code like it",
}
GREY = WORDS | {"colours": "unusual brightness", "overall": "its brightness is unusual as a whole"}


@dataclass(frozen=True, eq=False)
class Odd:
    """A picture with its reconstruction and heat map, each (H, W, C), and why it scores high."""

    name: str
    picture: np.ndarray
    again: np.ndarray
    heat: np.ndarray | None
    score: float
    words: str


@dataclass(frozen=True, eq=False)
class Oddest:
    """The oddest of `total` pictures as a run sees them, oddest first; a usual picture scores about one."""

    run: str
    total: int
    cards: list[Odd]
    called: int | None  # how many are beyond the threshold; None where it cannot be said
    false_alarms: float


def odd_sentence(odd: Oddest) -> str:
    """How many are called odd, where that can be said."""
    if odd.called is None:
        return f"These are the oddest of {odd.total:,} unseen pictures; too few to say which are too odd."
    return f"{odd.called:,} of {odd.total:,} unseen pictures are called odd, at {odd.false_alarms:.0%} false alarms."


def has_detector(folder: Path) -> bool:
    """Whether a run keeps a detector."""
    return (folder / RECORD).exists()


def oddest(codec: Codec, folder: Path, test: ImageSet, show: Show | None = None) -> Oddest | None:
    """The oddest of test pictures by the detector of a run, fitted where it has none; None where there are too few."""
    show = show or Show()
    try:
        detector = read_detector(folder, codec) or fitted_detector(codec, None, None, None, show)[0]
    except LatentdialError:
        return None
    found = scored(codec, detector, test.names, test.pixels, show)
    first = found.order[:SHOWN]
    called = None if found.odd is None else int(found.odd.sum())
    return Oddest(codec.name, len(test), _cards(codec, found, test, first), called, detector.false_alarms)


def _cards(codec: Codec, found: Anomalies, test: ImageSet, chosen: np.ndarray) -> list[Odd]:
    pictures, reasons, places = test.pixels[chosen], found.reason, found.where
    words = GREY if codec.geometry.channels == 1 else WORDS
    heat = heat_of(codec, found.detector, pictures)
    large = enlarged(heat, codec.geometry.size) if heat.size else None
    heats = None if large is None else [_glowing(*one) for one in zip(pictures, large, strict=True)]
    return [
        Odd(
            found.names[i],
            picture,
            again,
            None if heats is None else heats[k],
            float(found.score[i]),
            ", ".join(part for part in (words.get(reasons[i], reasons[i]), places[i]) if part),
        )
        for k, (i, picture, again) in enumerate(zip(chosen, pictures, codec.reconstruct(pictures), strict=True))
    ]


def _glowing(picture: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """A picture (H, W, C) in faint grey, over which its heat (H, W) glows from its middle value to its highest."""
    usual = np.median(heat)
    share = np.clip((heat - usual) / max(float(heat.max() - usual), 1e-6), 0, 1)[..., None] ** 2
    grey = FAINT * picture.mean(-1, keepdims=True)
    return (share * coloured(share[..., 0]) + (1 - share) * grey).round().astype(np.uint8)
