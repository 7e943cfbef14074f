"""Directions by name: made from a vector, or the one that a name in an edit means."""

from __future__ import annotations

import re

import numpy as np

from latentdial.errors import LatentdialError
from latentdial.latent.codec import Codec
from latentdial.latent.direction import Direction, check_name
from latentdial.model import Model
from latentdial.texts import counted, suggestion

CANONICAL = re.compile(r"c\d{1,9}", re.ASCII)
CHANNEL = re.compile(r"ch\d{1,9}", re.ASCII)


def make_direction(
    codec: Codec, name: str, kind: str, vector: np.ndarray, reader: np.ndarray | None = None
) -> Direction:
    """A direction along `vector` (D,) of any length but zero, with the statistics of the training codes along it."""
    check_name(name)
    if CANONICAL.fullmatch(name) or CHANNEL.fullmatch(name):
        what = "a canonical coordinate" if CANONICAL.fullmatch(name) else "a channel"
        raise LatentdialError(f"{name} is the name of {what}: choose another")
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
    unit, grid = np.eye(1, latent, axis)[0], _grid_of(codec)
    place = tuple(map(int, np.unravel_index(axis, grid))) if grid else ()
    if codec.training_codes is None:
        return Direction(str(axis), "axis", unit, place=place)
    mean, sd = codec.moments
    return Direction(str(axis), "axis", unit, float(mean[axis]), float(sd[axis]), place=place)


def canonical_direction(codec: Codec, index: int) -> Direction:
    """One canonical coordinate, `c0` the strongest; its unit is one standard deviation, and zero is the mean."""
    found = codec.canonical
    if not index < len(found.steps):
        raise LatentdialError(f"there is no c{index}: this code has {_canonical_names(codec)}")
    step, reader = found.steps[index], found.readers[index]
    return Direction(f"c{index}", "canonical", step, 0.0, 1.0, reader, origin=float(found.centre @ reader))


def canonical_directions(codec: Codec) -> list[Direction]:
    """All canonical coordinates, strongest first."""
    return [canonical_direction(codec, index) for index in range(len(codec.canonical.steps))]


def axis_directions(codec: Codec) -> list[Direction]:
    """Every dimension of the code."""
    return [axis_direction(codec, axis) for axis in range(codec.latent)]


def channel_direction(codec: Codec, index: int) -> Direction:
    """One channel of a code over a grid, `ch0`: its unit is one at every place, and its mean over places is read."""
    shape = _grid_of(codec)
    if not shape or index >= shape[0]:
        has = f"channels ch0 to ch{shape[0] - 1}" if shape else "no channels"
        raise LatentdialError(f"there is no ch{index}: this code has {has}")
    mine = (np.arange(codec.latent) // (shape[1] * shape[2]) == index).astype(np.float64)
    reader = mine / (shape[1] * shape[2])
    along = codec.codes @ reader
    return Direction(f"ch{index}", "channel", mine, float(along.mean()), float(along.std()), reader)


def raw_directions(codec: Codec) -> list[Direction]:
    """What the net itself turns: every dimension of the code, or every channel where it lies over a grid."""
    shape = code_shape(codec)
    if len(shape) == 3:
        return [channel_direction(codec, index) for index in range(shape[0])]
    return axis_directions(codec)


def code_shape(codec: Codec) -> tuple[int, ...]:
    """(D,), or (C, H, W) of a code that lies over a grid."""
    return tuple(codec.model.code) if isinstance(codec.model, Model) else (codec.latent,)


def _grid_of(codec: Codec) -> tuple[int, ...]:
    """(C, H, W) of a code that lies over a grid, and nothing of others."""
    return tuple(codec.model.code) if isinstance(codec.model, Model) and len(codec.model.code) == 3 else ()


def said_of_code(codec: Codec) -> str:
    """What a code is made of, such as "128 dimensions" or "4 channels over 8 x 8 places"."""
    channels, *places = code_shape(codec)
    if not places:
        return counted(channels, "dimension")
    return f"{counted(channels, 'channel')} over {places[0]} x {places[1]} places"


def channels_of(codec: Codec, codes: np.ndarray) -> np.ndarray:
    """Codes (N, D) as what a person turns: as they are, or of those over a grid each channel's mean (N, C)."""
    channels, *places = code_shape(codec)
    return codes.reshape(len(codes), channels, -1).mean(2) if places else codes


def direction_of(codec: Codec, name: str, latent: int | None = None) -> Direction:
    """Resolve a name: a stored direction, a canonical coordinate as `c0`, or a bare number for a raw dimension."""
    for direction in codec.directions:
        if direction.name == name:
            return direction
    if name.isdigit() and len(name) < 10:
        return axis_direction(codec, int(name), latent)
    if CANONICAL.fullmatch(name):
        return canonical_direction(codec, int(name[1:]))
    if CHANNEL.fullmatch(name):
        return channel_direction(codec, int(name[2:]))
    latent = codec.latent if latent is None else latent
    known = [direction.name for direction in codec.directions if direction.kind not in ("axis", "canonical")]
    more = suggestion(name, known, "or write one of") if known else f"{codec.command('directions')} finds more"
    coordinates = "" if codec.training_codes is None else f", {_canonical_names(codec)}"
    grid = _grid_of(codec)
    has = f"channels ch0 to ch{grid[0] - 1}, numbers 0 to {latent - 1}" if grid else f"dimensions 0 to {latent - 1}"
    raise LatentdialError(f"there is no dimension or direction {name!r}: this code has {has}{coordinates}; {more}")


def _canonical_names(codec: Codec) -> str:
    count = len(codec.canonical.steps)
    return f"canonical coordinates c0 to c{count - 1}" if count else "no canonical coordinates: its codes do not vary"
