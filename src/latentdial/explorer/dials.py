"""What a person can turn: unit directions through the code, each with its measured effect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from latentdial.latent.codec import Codec
from latentdial.latent.direction import Direction
from latentdial.latent.effect import effect_of, real_codes
from latentdial.latent.finding import axis_directions, pca_directions

COMPONENTS = 32  # principal components whose effect is measured
STRONGEST = 16  # of them shown
CODES = 16  # real codes that an effect is averaged over
NAMED = ("attribute", "examples")  # kinds of stored directions that a person has named
SAFE_SHARE = 0.99  # of the training codes lie inside a range

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Dial:
    """A unit direction (D,), the training codes' mean and sd along it, its effect, and the range that is safe.

    `effect` is the mean absolute change in levels of 255 for +-1 sd; `low` and `high` are in sd from the mean.
    """

    name: str
    kind: str  # "pca", "axis" or "attribute"
    vector: np.ndarray
    mean: float
    sd: float
    effect: float
    low: float
    high: float


def find_dials(codec: Codec, progress: Progress = lambda what, done, total: None) -> list[Dial]:
    """The strongest principal directions, every axis, and the named directions that the run keeps; strongest first."""
    named = [direction for direction in codec.directions if direction.kind in NAMED]
    directions = [*pca_directions(codec, COMPONENTS), *axis_directions(codec), *named]
    start = real_codes(codec, CODES)
    before = codec.levels(start)
    dials: dict[str, list[Dial]] = {"pca": [], "axis": [], "attribute": []}
    for done, direction in enumerate(directions):
        dial = measure_dial(codec, direction, start, before)
        dials[dial.kind].append(dial)
        progress("measuring dimensions", done + 1, len(directions))
    ranked = {kind: sorted(some, key=lambda dial: -dial.effect) for kind, some in dials.items()}
    return ranked["pca"][:STRONGEST] + ranked["axis"] + ranked["attribute"]


def measure_dial(codec: Codec, direction: Direction, start: np.ndarray, before: np.ndarray) -> Dial:
    """A dial of a direction: the range of the training codes along it, and its effect from the codes `start`."""
    along = codec.codes.astype(np.float64) @ direction.vector
    tail = 50 * (1 - SAFE_SHARE)
    low, high = (np.percentile(along, [tail, 100 - tail]) - direction.mean) / (direction.sd or 1.0)
    effect = effect_of(codec, start, before, direction.step.astype(np.float32))
    kind = "attribute" if direction.kind in NAMED else direction.kind
    vector = direction.vector.astype(np.float32)
    return Dial(direction.name, kind, vector, direction.mean, direction.sd, effect, float(low), float(high))
