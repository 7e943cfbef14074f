"""What a person can turn: directions through the code, each with its measured effect."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from latentdial.latent.codec import Codec
from latentdial.latent.direction import NAMED, Direction
from latentdial.latent.effect import effects, real_codes
from latentdial.latent.naming import canonical_directions, raw_directions
from latentdial.latent.safe_range import safe_ranges
from latentdial.latent.support import MIN_CODES
from latentdial.progress import Progress, quiet

RANGE_CODES = 3  # real codes that a safe range is averaged over
GROUP = 16  # directions measured together
SHARE = 0.99  # of the training codes lie in the range that stands in where they are too few for a safe one
ORDER = ("canonical", "channel", "axis", "attribute")


@dataclass(frozen=True)
class Dial:
    """A direction (D,), the training codes' mean and sd along it, its effect, and its safe range.

    `effect` is the mean absolute change in levels of 255 for +-1 sd; `low` and `high` are how many sd a picture can
    typically move down and up and still lie among the data; `reads` is how attributes change for +1 sd, where known.
    `reader` (D,) and `origin` say where a code lies along it: at code @ reader - origin.
    """

    name: str
    kind: str  # "canonical", "channel", "axis" or "attribute"
    vector: np.ndarray
    reader: np.ndarray
    origin: float
    mean: float
    sd: float
    effect: float
    low: float
    high: float
    reads: tuple[str, ...] = ()


def find_dials(codec: Codec, progress: Progress = quiet) -> list[Dial]:
    """The canonical coordinates in their order, every raw dimension, and the named directions, these strongest first.

    What the run has measured of them already is taken from there.
    """
    kept = {direction.name: direction for direction in codec.directions}
    found = [*canonical_directions(codec)[: codec.canonical.telling], *raw_directions(codec)]
    found = [kept.get(one.name, one) for one in found] + [one for one in kept.values() if one.kind in NAMED]
    measured = effects(codec, found, lambda done, total: progress("measuring dimensions", done, total))
    ranges = {one.name: one.safe for one in found if one.safe}
    fresh = [one for one in found if one.name not in ranges]
    for group in (fresh[i : i + GROUP] for i in range(0, len(fresh), GROUP)):
        ranges |= {one.name: ends for one, ends in zip(group, _ranges(codec, group), strict=True)}
        progress("looking for safe ranges", len(ranges), len(found))
    dials = [_dial(one, effect, ranges[one.name]) for one, effect in zip(found, measured, strict=True)]
    return sorted(dials, key=lambda dial: (ORDER.index(dial.kind), 0 if dial.kind == "canonical" else -dial.effect))


def _ranges(codec: Codec, directions: list[Direction]) -> list[tuple[float, float]]:
    if len(codec.codes) >= MIN_CODES:
        few = real_codes(codec, RANGE_CODES).astype(np.float64)
        ends = np.median(safe_ranges(codec, few, directions), axis=1)
    else:
        ends = np.array([_range_of_codes(codec, direction) for direction in directions])
    return [(float(low), float(high)) for low, high in ends]


def _range_of_codes(codec: Codec, direction: Direction) -> np.ndarray:
    tail = 50 * (1 - SHARE)
    along = direction.along(codec.codes.astype(np.float64))
    return (np.percentile(along, [tail, 100 - tail]) - direction.mean) / (direction.sd or 1.0)


def _dial(one: Direction, effect: float, safe: tuple[float, float]) -> Dial:
    kind = "attribute" if one.kind in NAMED else one.kind
    vector, reader = (array.astype(np.float32) for array in (one.vector, one.dual))
    return Dial(one.name, kind, vector, reader, one.origin, one.mean, one.sd, effect, *safe, tuple(one.reads()))
