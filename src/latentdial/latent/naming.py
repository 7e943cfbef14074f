"""Directions by name: made from a vector, or the one that a name in an edit means."""

from __future__ import annotations

import numpy as np

from latentdial.errors import LatentdialError
from latentdial.latent.codec import Codec
from latentdial.latent.direction import Direction, check_name


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
