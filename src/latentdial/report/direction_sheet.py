"""Directions at work: three pictures turned along each, where it acts, how strongly, and how far is safe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from latentdial.latent.codec import Codec
from latentdial.latent.direction import Direction, Effect
from latentdial.latent.effect import real_codes
from latentdial.latent.safe_range import left
from latentdial.report.figures import Cell, Row, Sheet, acts_map

SDS = np.array([-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0])
PICTURES = 3


@dataclass(frozen=True, eq=False)
class Turned:
    """A measured direction, F pictures moved by `SDS` sd along it, and which of those pictures lie outside the data."""

    direction: Direction
    effect: Effect
    pictures: np.ndarray  # uint8 (F, T, H, W, C)
    outside: np.ndarray  # bool (F, T)
    share: float  # of the strongest effect
    weak: bool = False  # codes say little of it

    @property
    def where(self) -> np.ndarray:
        """The heat map, uint8 (H, W, 3)."""
        return acts_map(self.effect)

    @property
    def safe(self) -> str:
        """The range within which real codes typically stay among the data, in words."""
        low, high = self.direction.safe or (np.nan, np.nan)
        return f"safe {low:+.1f} to {high:+.1f} sd" if np.isfinite(low) else ""


def turned(codec: Codec, directions: Sequence[Direction], pictures: int = PICTURES) -> list[Turned]:
    """Real codes moved along every direction whose effect is measured."""
    starts = real_codes(codec, pictures + 2)[1:-1].astype(np.float64)
    start = codec.support.score(codec, starts)[:, None]
    measured = [(direction, direction.effect) for direction in directions if direction.effect]
    strongest = max((effect.levels for _, effect in measured), default=1.0)
    rows = []
    for direction, effect in measured:
        moved = (starts[:, None] + SDS[:, None] * direction.step).reshape(-1, starts.shape[1])
        made = codec.decode(moved)
        outside = left(codec.support.score(codec, moved).reshape(len(starts), len(SDS)), start)
        made = made.reshape(*outside.shape, *made.shape[1:])
        weak = codec.attributes is not None and direction.name in codec.attributes.weak
        rows.append(Turned(direction, effect, made, outside, effect.levels / max(strongest, 1e-9), weak))
    return rows


def headings() -> list[str]:
    """What stands above the columns of a sheet."""
    return [*(f"{sds:+.0f} sd" if sds else "as is" for sds in SDS), "where"]


def direction_sheet(
    codec: Codec, directions: Sequence[Direction], pictures: int = PICTURES, side: int = 72
) -> Image.Image:
    """Rows of real codes moved along each direction; pictures within the safe range are underlined."""
    rows = [row for one in turned(codec, directions, pictures) for row in _rows(one)]
    subtitle = "underlined: within the range of real pictures; where: mean change, white at its largest; bar: effect"
    if any(direction.reads() for direction in directions):
        subtitle += "; attributes: their change for +1 sd, in sd"
    return Sheet(rows, f"Directions of {codec.name}", subtitle, headings()).draw(side)


def _rows(one: Turned) -> list[Row]:
    cells = [
        [Cell(picture, underlined=not out) for picture, out in zip(*row, strict=True)]
        for row in zip(one.pictures, one.outside, strict=True)
    ]
    first = [*cells[0], Cell(one.where)]
    label = [one.direction.title, f"{one.effect.levels:.1f} levels for 1 sd", *([one.safe] if one.safe else [])]
    weak = ["read weakly"] if one.weak else []
    return [Row(first, [*label, *weak, *one.direction.reads()], one.share), *(Row(row) for row in cells[1:])]
