"""One attribute changed at a time on a few pictures, with what else reads otherwise afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from latentdial.attributes.known import Attributes
from latentdial.latent.codec import Codec
from latentdial.latent.direction import Direction
from latentdial.latent.editing import Edited, edit

PICTURES, ATTRIBUTES = 3, 3
AMOUNT = "+=3s"
HAS = 0.5  # a category is added to pictures that read below this


@dataclass(frozen=True, eq=False)
class Changed:
    """An attribute turned up on each picture, all others held."""

    name: str
    columns: list[Edited]


@dataclass(frozen=True, eq=False)
class Attributed:
    """A run that knows attributes: reconstructions (F, H, W, C) of pictures, and what each attribute does to them."""

    run: str
    pictures: np.ndarray
    rows: list[Changed]


def one_at_a_time(codecs: Sequence[Codec], test: np.ndarray) -> list[Attributed]:
    """For every codec that reads attributes well: three test pictures by its three most visible ones."""
    found = [_of(codec, codec.attributes, test) for codec in codecs if codec.attributes is not None]
    return [one for one in found if one.rows]


def _of(codec: Codec, known: Attributes, test: np.ndarray) -> Attributed:
    pictures = test[np.linspace(0, len(test) - 1, min(PICTURES, len(test)) + 2).astype(int)[1:-1]]
    chosen = _visible(codec, known, known.read(codec.encode(pictures)))[:ATTRIBUTES]
    rows = []
    for one in chosen:
        others = [name for name in known.columns if name not in known.beside(one.name)]
        sheets = [edit(codec, picture, f"{one.name}{AMOUNT}", keep=others[:1]) for picture in pictures]
        rows.append(Changed(one.name, [sheet.columns[0] for sheet in sheets]))
    return Attributed(codec.name, codec.reconstruct(pictures), rows)


def _visible(codec: Codec, known: Attributes, readings: np.ndarray) -> list[Direction]:
    """The most visible direction of every attribute that is read well and that no picture has, strongest first."""
    best: dict[tuple[str, ...], Direction] = {}
    for one in codec.directions:
        if one.name not in known.columns or not known.trusted(one.name) or one.effect is None:
            continue
        reads = readings[:, known.columns.index(one.name)]
        if known.reader.part(one.name).kind != "number" and (reads >= HAS).any():
            continue
        part = known.beside(one.name)
        if part not in best or best[part].effect.levels < one.effect.levels:  # type: ignore[union-attr]
            best[part] = one
    return sorted(best.values(), key=lambda one: -one.effect.levels)  # type: ignore[union-attr]
