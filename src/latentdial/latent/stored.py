"""Directions and the safe region as JSON records and arrays, the form in which a run keeps them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch

from latentdial.attributes.known import Attributes, blank_attributes
from latentdial.attributes.reader import KINDS as PART_KINDS
from latentdial.attributes.reader import Part
from latentdial.config import Geometry
from latentdial.errors import LatentdialError
from latentdial.latent.direction import KINDS, NAME, SCALED, Direction, Effect, check_name
from latentdial.latent.support import Support, coarse_side
from latentdial.texts import Brief

FORMAT = 4
MAX_DIRECTIONS = 4096
MAX_COMPONENTS = 16
KEYS = ("format", "shares", "limit", "directions", "attributes")
SUPPORT = [field.name for field in fields(Support) if field.name != "limit"]


@dataclass(frozen=True, repr=False)
class Stored(Brief):
    """What a run holds beside its codes: directions in order, shares they explain, the safe region, attributes."""

    directions: tuple[Direction, ...]
    shares: tuple[float, ...] = ()
    support: Support | None = None
    attributes: Attributes | None = None


def pack(stored: Stored) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The JSON object and the float32 arrays of what is stored."""
    directions = stored.directions
    arrays = {"vectors": np.stack([direction.vector for direction in directions])}
    arrays["readers"] = np.stack([direction.normal for direction in directions])
    heats = [direction.effect.heat for direction in directions if direction.effect]
    if heats:
        arrays["heats"] = np.stack(heats)
    if stored.support is not None:
        arrays |= {f"support_{name}": getattr(stored.support, name) for name in SUPPORT}
    known = stored.attributes
    if known is not None:
        arrays |= {f"attributes_{name}": tensor.cpu().numpy() for name, tensor in known.state_dict().items()}
    record = {
        "format": FORMAT,
        "shares": list(stored.shares),
        "limit": None if stored.support is None else stored.support.limit,
        "directions": [_record(direction) for direction in directions],
        "attributes": None if known is None else [[part.kind, *part.columns] for part in known.parts],
    }
    return record, {name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}


def shapes(record: dict[str, Any], latent: int, geometry: Geometry, components: int, axes: int) -> dict[str, list[int]]:
    """The arrays that must stand beside the JSON object, and their shapes."""
    side, channels = geometry.size, geometry.shape[0]
    count = len(record["directions"])
    wanted = {"vectors": [count, latent], "readers": [count, latent]}
    measured = sum(one.get("effect") is not None for one in record["directions"])
    if measured:
        wanted["heats"] = [measured, side, side]
    if record["limit"] is not None:
        coarse = coarse_side(side) ** 2 * channels
        sizes = [[latent], [latent, latent], [components], [components, latent], [components, latent]]
        sizes += [[coarse], [axes, coarse], [2], [2]]
        wanted |= {f"support_{name}": size for name, size in zip(SUPPORT, sizes, strict=True)}
    if record["attributes"] is not None:
        state = blank_attributes(record["attributes"], latent).state_dict()
        wanted |= {f"attributes_{name}": list(tensor.shape) for name, tensor in state.items()}
    return wanted


def check_record(record: Any) -> dict[str, Any]:
    """The JSON object as read, if it has the form that `pack` writes; else a ValueError that says what is odd."""
    if not isinstance(record, dict) or "format" not in record:
        raise ValueError("it has no format")
    if record["format"] != FORMAT:
        raise ValueError(
            f"it has format {record['format']!r} and this version reads {FORMAT}: remove it and find directions again"
        )
    if set(record) != set(KEYS):
        raise ValueError(f"it needs {', '.join(KEYS)}")
    directions = record["directions"]
    if not isinstance(directions, list) or not 1 <= len(directions) <= MAX_DIRECTIONS:
        raise ValueError(f"it must hold 1 to {MAX_DIRECTIONS} directions")
    if record["limit"] is not None and not _number(record["limit"]) > 0:
        raise ValueError("its limit must be above zero")
    if not isinstance(record["shares"], list) or len(record["shares"]) > len(directions):
        raise ValueError("its shares do not fit its directions")
    record["shares"] = [_number(share) for share in record["shares"]]
    record["attributes"] = _parts(record["attributes"])
    return record


def unpack(record: dict[str, Any], arrays: dict[str, np.ndarray]) -> Stored:
    """What `pack` wrote; the arrays have the shapes of `shapes`. A record that is odd is a ValueError."""
    heats = iter(arrays.get("heats", ()))
    rows = zip(record["directions"], arrays["vectors"], arrays["readers"], strict=True)
    directions = tuple(_direction(one, vector, reader, heats) for one, vector, reader in rows)
    if len({direction.name for direction in directions}) < len(directions):
        raise ValueError("two directions have one name")
    support = None
    if record["limit"] is not None:
        parts = {name: arrays[f"support_{name}"].astype(np.float64) for name in SUPPORT}
        if min(parts["weights"].min(), parts["variances"].min(), parts["spread"].min()) <= 0:
            raise ValueError("weights, variances and spreads must be above zero")
        support = Support(**parts, limit=float(record["limit"]))
    attributes = None
    if record["attributes"] is not None:
        attributes = blank_attributes(record["attributes"], arrays["vectors"].shape[1])
        state = {name: torch.from_numpy(arrays[f"attributes_{name}"]) for name in attributes.state_dict()}
        attributes.load_state_dict(state)
    return Stored(directions, tuple(record["shares"]), support, attributes)


def merged(old: Sequence[Direction], new: Sequence[Direction]) -> list[Direction]:
    """The old directions with those of the new that have the same name in their place, then the rest of the new."""
    fresh = {direction.name: direction for direction in new}
    kept = [fresh.pop(direction.name, direction) for direction in old]
    return [*kept, *fresh.values()]


def _record(direction: Direction) -> dict[str, Any]:
    effect = direction.effect
    return {
        "name": direction.name,
        "kind": direction.kind,
        "mean": direction.mean,
        "sd": direction.sd,
        "origin": direction.origin,
        "reads": direction.reader is not None,
        "safe": None if direction.safe is None else list(direction.safe),
        "side": direction.side,
        "effect": None
        if effect is None
        else {
            "levels": effect.levels,
            "low": effect.low,
            "high": effect.high,
            "linearity": effect.linearity,
            "curve": [[sds, levels] for sds, levels in effect.curve.items()],
        },
    }


def _direction(one: Any, vector: np.ndarray, reader: np.ndarray, heats: Any) -> Direction:
    try:
        check_name(one["name"])
        if one["kind"] not in KINDS:
            raise ValueError(f"there is no kind {one['kind']!r}")
        if one["kind"] not in SCALED and abs(np.linalg.norm(vector.astype(np.float64)) - 1) > 1e-3:
            raise ValueError(f"the vector of {one['name']} has not length one")
        return Direction(
            one["name"],
            one["kind"],
            vector.astype(np.float64),
            _number(one["mean"]),
            _number(one["sd"]),
            reader.astype(np.float64) if one["reads"] is True else None,
            _effect(one["effect"], heats),
            None if one["safe"] is None else (_number(one["safe"][0]), _number(one["safe"][1])),
            {str(name)[:60]: _number(value) for name, value in one["side"].items()},
            _number(one["origin"]),
        )
    except (KeyError, TypeError, AttributeError, IndexError, LatentdialError) as error:
        raise ValueError(f"a direction is not as it should be ({error})") from None


def _parts(given: Any) -> list[Part] | None:
    if given is None:
        return None
    if not isinstance(given, list) or not all(isinstance(one, list) and len(one) > 1 for one in given):
        raise ValueError("its attributes are no list of names")
    parts = [Part(kind, tuple(columns)) for kind, *columns in given]
    names = [name for part in parts for name in part.columns]
    if not all(isinstance(name, str) and NAME.fullmatch(name) for name in names) or len(set(names)) < len(names):
        raise ValueError("it has attributes without a proper name")
    if not 1 <= len(names) <= MAX_DIRECTIONS or not all(part.kind in PART_KINDS for part in parts):
        raise ValueError("it has attributes of no known kind")
    return parts


def _effect(one: Any, heats: Any) -> Effect | None:
    if one is None:
        return None
    curve = {_number(sds): _number(levels) for sds, levels in one["curve"]}
    levels, low, high, linearity = (_number(one[name]) for name in ("levels", "low", "high", "linearity"))
    return Effect(levels, low, high, linearity, curve, next(heats))


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{str(value)[:30]!r} is no finite number")
    return float(value)
