"""A sheet of directions: three faces turned along each, where it acts, how strongly, and how far is safe."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from latentdial.latent.codec import Codec
from latentdial.latent.direction import Direction
from latentdial.latent.effect import real_codes
from latentdial.report.figures import Cell, Row, Sheet, heat_map

SDS = np.array([-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0])
FACES = 3


def direction_sheet(codec: Codec, directions: Sequence[Direction], faces: int = FACES, side: int = 72) -> Image.Image:
    """Rows of real codes moved along each direction; pictures outside the safe range carry a mark below them."""
    starts = real_codes(codec, faces + 2)[1:-1].astype(np.float64)
    strongest = max(direction.effect.levels for direction in directions if direction.effect)
    rows = [row for direction in directions if direction.effect for row in _rows(codec, direction, starts, strongest)]
    headings = [*(f"{t:+.0f} sd" if t else "as is" for t in SDS), "where"]
    subtitle = "pictures marked 'out' lie outside the range of real pictures; heat: mean change for 1 sd"
    return Sheet(rows, f"Directions of {codec.name}", subtitle, headings).draw(side)


def _rows(codec: Codec, direction: Direction, starts: np.ndarray, strongest: float) -> list[Row]:
    moved = starts[:, None] + SDS[:, None] * direction.step
    flat = moved.reshape(-1, starts.shape[1])
    pictures = codec.decode(flat).reshape(len(starts), len(SDS), *codec.decode(starts[:1]).shape[1:])
    limits = np.maximum(1.0, codec.support.score(codec, starts))[:, None]
    outside = codec.support.score(codec, flat).reshape(len(starts), len(SDS)) > limits
    rows = []
    for i in range(len(starts)):
        cells = [Cell(picture, ["out" if out else ""]) for picture, out in zip(pictures[i], outside[i], strict=True)]
        if i == 0 and direction.effect:
            heat = direction.effect.heat[..., None]
            cells.append(Cell(heat_map(np.zeros_like(heat), heat), [f"{direction.effect.levels:.1f} levels"]))
            rows.append(Row(cells, _label(direction), direction.effect.levels / strongest))
        else:
            rows.append(Row(cells))
    return rows


def _label(direction: Direction) -> list[str]:
    lines = [direction.title]
    if direction.safe is not None:
        lines.append(f"safe {direction.safe[0]:+.1f} to {direction.safe[1]:+.1f} sd")
    return lines
