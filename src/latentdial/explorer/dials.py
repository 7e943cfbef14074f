"""What a person can turn: unit directions through the code, each with its measured effect."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from latentdial.directions.finding import axis_directions, pca_directions
from latentdial.latent.codec import Codec
from latentdial.latent.direction import NAMED, Direction
from latentdial.latent.effect import effect_of, real_codes
from latentdial.latent.safe_range import safe_ranges
from latentdial.latent.support import MIN_CODES

STRONGEST = 16  # principal directions
CODES = 8  # real codes that an effect is averaged over
RANGE_CODES = 3  # and a safe range
GROUP = 16  # directions measured together
SHARE = 0.99  # of the training codes lie in the range that stands in where they are too few for a safe one

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Dial:
    """A unit direction (D,), the training codes' mean and sd along it, its effect, and its safe range.

    `effect` is the mean absolute change in levels of 255 for +-1 sd; `low` and `high` are how many sd a picture can
    typically move down and up and still lie among the data; `reads` is how attributes change for +1 sd, where known.
    """

    name: str
    kind: str  # "pca", "axis" or "attribute"
    vector: np.ndarray
    mean: float
    sd: float
    effect: float
    low: float
    high: float
    reads: tuple[str, ...] = ()


def find_dials(codec: Codec, progress: Progress = lambda what, done, total: None) -> list[Dial]:
    """The principal directions, every axis, and the named directions that the run keeps; strongest first.

    What the run has measured of them already is taken from there.
    """
    kept = {direction.name: direction for direction in codec.directions}
    found = [*pca_directions(codec, STRONGEST), *axis_directions(codec)]
    found = [kept.get(one.name, one) for one in found] + [one for one in kept.values() if one.kind in NAMED]
    known = [one for one in found if one.effect and one.safe]
    fresh = [one for one in found if not (one.effect and one.safe)]
    dials = [_dial(one, one.effect.levels, one.safe) for one in known if one.effect and one.safe]
    for group in (fresh[i : i + GROUP] for i in range(0, len(fresh), GROUP)):
        dials += _measured(codec, group)
        progress("measuring dimensions", len(dials), len(found))
    order = ("pca", "axis", "attribute")
    return sorted(dials, key=lambda dial: (order.index(dial.kind), -dial.effect))


def _measured(codec: Codec, directions: list[Direction]) -> list[Dial]:
    start = real_codes(codec, CODES)
    before = codec.levels(start)
    steps = np.stack([direction.step for direction in directions])
    if len(codec.codes) >= MIN_CODES:
        few = real_codes(codec, RANGE_CODES).astype(np.float64)
        ranges = np.median(safe_ranges(codec, few, steps), axis=1)
    else:
        ranges = np.array([_range_of_codes(codec, direction) for direction in directions])
    effects = [effect_of(codec, start, before, step.astype(np.float32)) for step in steps]
    return [_dial(*some) for some in zip(directions, effects, ranges.tolist(), strict=True)]


def _range_of_codes(codec: Codec, direction: Direction) -> np.ndarray:
    tail = 50 * (1 - SHARE)
    along = codec.codes.astype(np.float64) @ direction.vector
    return (np.percentile(along, [tail, 100 - tail]) - direction.mean) / (direction.sd or 1.0)


def _dial(direction: Direction, effect: float, safe: Sequence[float]) -> Dial:
    kind = "attribute" if direction.kind in NAMED else direction.kind
    vector = direction.vector.astype(np.float32)
    reads = tuple(direction.reads())
    return Dial(direction.name, kind, vector, direction.mean, direction.sd, effect, safe[0], safe[1], reads)
