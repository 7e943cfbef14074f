"""A direction in a JSON file of its own: what "Make a direction" of the explorer downloads."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from latentdial.errors import LatentdialError
from latentdial.latent.codec import Codec
from latentdial.latent.direction import Direction
from latentdial.latent.naming import make_direction
from latentdial.storage import parse_object, read_bytes

FORMAT, VERSION = "latentdial-direction", 1
MAX_BYTES = 4_000_000
MAX_VALUE = 1e30


def fingerprint(codec: Codec) -> str:
    """Eight hex digits that tell models apart: a hash of the training codes."""
    return hashlib.sha256(np.ascontiguousarray(codec.codes, "<f4").tobytes()).hexdigest()[:8]


def read_direction(path: str | Path, codec: Codec) -> Direction:
    """A direction that the explorer saved; a file that is odd or belongs to another model is a LatentdialError.

    Mean and sd along it are taken from the codec's own training codes.
    """
    try:
        name, vector = _checked(parse_object(read_bytes(Path(path).resolve(), MAX_BYTES)), codec)
    except (OSError, ValueError, LatentdialError) as error:
        raise LatentdialError(
            f"{path} is no direction of {codec.name} ({error}): save one with Make a direction in its explorer"
        ) from None
    return make_direction(codec, name, "examples", vector)


def _checked(found: dict[str, Any], codec: Codec) -> tuple[str, np.ndarray]:
    if (found.get("format"), found.get("version")) != (FORMAT, VERSION):
        raise ValueError(f"it is not {FORMAT} version {VERSION}")
    name, vector = found.get("name"), found.get("vector")
    if not isinstance(name, str) or name.isdigit():
        raise ValueError("its name is no word")
    if not isinstance(vector, list) or len(vector) != codec.latent:
        raise ValueError(f"its vector has not {codec.latent} numbers")
    if not all(type(value) in (int, float) and abs(value) <= MAX_VALUE for value in vector):
        raise ValueError("its vector has values that are no finite numbers")
    if found.get("model") != fingerprint(codec):
        raise ValueError("it was made with another model")
    return name, np.array(vector, np.float64)
