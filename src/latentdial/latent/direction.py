"""A direction in the code space, and how the names in edits resolve to one."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np

from latentdial.errors import LatentdialError
from latentdial.latent.codec import Codec

KINDS = ("axis", "pca", "jacobian", "attribute", "examples")
NAME = re.compile(r"[A-Za-z_][\w.-]{0,59}", re.ASCII)


@dataclass(frozen=True, eq=False)
class Effect:
    """What +-1 sd along a direction does to decoded pictures, in levels of 255, averaged over real codes."""

    levels: float  # mean absolute change
    low: float  # 95% confidence interval of `levels` over the codes
    high: float
    linearity: float  # share of the change within +-3 sd that is proportional to the step; 1 for a linear decoder
    curve: dict[float, float]  # sd moved -> mean absolute change
    heat: np.ndarray  # (H, W) mean absolute change of each pixel


@dataclass(frozen=True, eq=False)
class Direction:
    """A named unit vector (D,) in the code space, and the training codes' mean and sd along it.

    `reader` (D,) reads an attribute from a code; a direction without one is read along its own vector.
    `safe` is how many sd a real code can typically move down and up and still lie among the data.
    """

    name: str
    kind: str
    vector: np.ndarray
    mean: float = 0.0
    sd: float = 0.0
    reader: np.ndarray | None = None
    effect: Effect | None = None
    safe: tuple[float, float] | None = None
    side: dict[str, float] = field(default_factory=dict)  # attribute -> change in its sd for +1 sd along this

    @property
    def title(self) -> str:
        return f"dimension {self.name}" if self.kind == "axis" else self.name

    @property
    def step(self) -> np.ndarray:
        """One standard deviation along the direction, (D,)."""
        return self.sd * self.vector

    @property
    def normal(self) -> np.ndarray:
        return self.vector if self.reader is None else self.reader


def make_direction(codec: Codec, name: str, kind: str, vector: np.ndarray, reader: np.ndarray | None = None):
    """A direction along `vector` (D,) of any length but zero, with the statistics of the training codes along it."""
    check_name(name)
    vector = np.asarray(vector, np.float64)
    length = np.linalg.norm(vector)
    if not np.isfinite(length) or length == 0:
        raise LatentdialError(f"direction {name} has no length: the groups or labels it comes from do not differ")
    unit = vector / length
    along = codec.codes @ unit
    return Direction(name, kind, unit, float(along.mean()), float(along.std()), reader)


def axis_direction(codec: Codec, axis: int, latent: int | None = None) -> Direction:
    """One bare dimension of the code; a codec without training codes has no sd, which only edits in sd need."""
    latent = codec.latent if latent is None else latent
    if not 0 <= axis < latent:
        raise LatentdialError(f"there is no dimension {axis}: this code has dimensions 0 to {latent - 1}")
    unit = np.eye(1, latent, axis)[0]
    if codec.training_codes is None:
        return Direction(str(axis), "axis", unit)
    mean, sd = codec.moments
    return Direction(str(axis), "axis", unit, float(mean[axis]), float(sd[axis]))


def direction_of(codec: Codec, name: str, latent: int | None = None) -> Direction:
    """Resolve a name: a stored direction, else a bare number is a dimension; anything else is a LatentdialError."""
    for direction in codec.directions:
        if direction.name == name:
            return direction
    if name.isdigit() and len(name) < 10:
        return axis_direction(codec, int(name), latent)
    latent = codec.latent if latent is None else latent
    known = [direction.name for direction in codec.directions if direction.kind != "axis"]
    also = f", and directions {', '.join(known[:12])}" if known else "; latentdial directions RUN finds more"
    raise LatentdialError(f"there is no dimension {name!r}: this code has dimensions 0 to {latent - 1}{also}")


def check_name(name: str) -> None:
    if not name.isdigit() and not NAME.fullmatch(name):
        raise LatentdialError(f"{name!r} cannot name a direction: start with a letter, then letters, digits, _ . or -")
