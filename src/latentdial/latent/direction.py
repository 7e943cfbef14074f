"""A direction in the code space."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from latentdial.errors import LatentdialError
from latentdial.shown import Shown, frame
from latentdial.texts import Brief

if TYPE_CHECKING:
    from pandas import DataFrame

KINDS = ("canonical", "axis", "channel", "attribute", "examples")
SCALED = ("canonical", "channel")  # whose vectors have lengths of their own, and are read by their readers
NAMED = ("attribute", "examples")  # that a person has named
LEAST_READ = 0.1  # sd of an attribute, below which a side effect is not told
NAME = re.compile(r"[A-Za-z_][\w.-]{0,59}", re.ASCII)


@dataclass(frozen=True, eq=False, repr=False)
class Effect(Brief):
    """What +-1 sd along a direction does to decoded pictures, in levels of 255, averaged over real codes."""

    levels: float  # mean absolute change
    low: float  # 95% confidence interval of `levels` over the codes
    high: float
    linearity: float  # share of the change within +-3 sd that is proportional to the step; 1 for a linear decoder
    curve: dict[float, float]  # sd moved -> mean absolute change
    heat: np.ndarray  # (H, W) mean absolute change of each pixel


@dataclass(frozen=True, eq=False, repr=False)
class Direction(Brief):
    """A named direction in the code space, and the training codes' mean and sd along it.

    `vector` (D,) is what one unit adds to a code, of length one but for canonical directions, whose unit is one sd,
    and for channels, which move by one at every place. `reader` (D,) reads an attribute, a canonical coordinate or the
    mean of a channel from a code; others are read along their own vector.
    `origin` is what the reader reads where a canonical coordinate is zero.
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
    origin: float = 0.0
    place: tuple[int, ...] = ()  # channel, row and column of a bare number of a code over a grid

    @property
    def title(self) -> str:
        if self.place:
            return "channel {}, row {}, column {}".format(*self.place)
        if self.kind == "channel":
            return f"channel {self.name[2:]}"
        return f"dimension {self.name}" if self.kind == "axis" else self.name

    @property
    def step(self) -> np.ndarray:
        """One standard deviation along the direction, (D,)."""
        return self.sd * self.vector

    @property
    def dual(self) -> np.ndarray:
        """What the coordinate is read with, (D,): a canonical one by its reader, so that it is blind to all others."""
        return self.vector if self.reader is None or self.kind not in SCALED else self.reader

    def along(self, codes: np.ndarray) -> np.ndarray:
        """The coordinate (...) of codes (..., D)."""
        return codes @ self.dual - self.origin

    def reads(self, most: int = 3) -> list[str]:
        """How +1 sd reads, in sd of each attribute: "age +0.8". Its own attribute, then those it changes most."""
        others = sorted((name for name in self.side if name != self.name), key=lambda name: -abs(self.side[name]))
        told = [name for name in others if abs(self.side[name]) >= LEAST_READ]
        own = [self.name] if self.name in self.side else []
        rounded = {name: round(self.side[name], 1) + 0.0 for name in [*own, *told][:most]}  # no -0.0
        return [f"{name} {change:+.1f}" for name, change in rounded.items()]

    @property
    def normal(self) -> np.ndarray:
        return self.vector if self.reader is None else self.reader


class Directions(Shown, tuple[Direction, ...]):
    """Directions in order, as a run holds them."""

    def to_frame(self) -> DataFrame:
        """Kind, effect in levels with its 95% interval, safe range in sd, and side effects; a row for each."""
        return frame([_as_row(direction) for direction in self], "name")


def _as_row(direction: Direction) -> dict[str, Any]:
    effect, (low, high) = direction.effect, direction.safe or (None, None)
    levels = {} if effect is None else {"levels": effect.levels, "low": effect.low, "high": effect.high}
    side = {f"side.{name}": change for name, change in direction.side.items()}
    return {"name": direction.name, "kind": direction.kind, **levels, "safe_low": low, "safe_high": high, **side}


def foremost(directions: Sequence[Direction], count: int) -> list[Direction]:
    """Of directions in order the first `count`, and of the others the first `count` that a person has named."""
    named = [direction for direction in directions[count:] if direction.kind in NAMED]
    return [*directions[:count], *named[:count]]


def check_name(name: str) -> None:
    if not name.isdigit() and not NAME.fullmatch(name):
        raise LatentdialError(f"{name!r} cannot name a direction: start with a letter, then letters, digits, _ . or -")
