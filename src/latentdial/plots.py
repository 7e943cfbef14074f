"""Plots through matplotlib, into the axes that are given or the current ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from latentdial.errors import LatentdialError
from latentdial.latent.codec import Codec
from latentdial.latent.direction import Direction
from latentdial.latent.effect import DimensionTable
from latentdial.latent.naming import direction_of
from latentdial.report.figures import row_title
from latentdial.runs.records import read_metrics

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def effects(table: DimensionTable, top: int = 16, ax: Axes | None = None) -> Axes:
    """Bars of what the strongest dimensions do to the picture, in levels of 255 for one standard deviation."""
    ax, rows = _axes(ax), table.rows[:top]
    ax.bar([row_title(row) for row in rows], [row.effect for row in rows])
    ax.set_ylabel("levels of 255 for 1 sd")
    ax.tick_params("x", rotation=90 if len(rows) > 8 else 0)
    return ax


def curve(direction: Direction, ax: Axes | None = None) -> Axes:
    """How far a direction changes the picture, in levels of 255, by how many standard deviations it is turned.

    A direction that was not measured is a LatentdialError.
    """
    if direction.effect is None:
        raise LatentdialError(f"{direction.title} was not measured: take it from codec.directions")
    ax, points = _axes(ax), sorted({0.0: 0.0, **direction.effect.curve}.items())
    ax.plot(*zip(*points, strict=True), marker="o", label=direction.title)
    ax.set(xlabel="sd", ylabel="levels of 255")
    return ax


def codes(
    codec: Codec, x: str = "c0", y: str = "c1", labels: Sequence[str] | None = None, ax: Axes | None = None
) -> Axes:
    """The training codes along two directions; `labels`, one for each code, give colours, else a LatentdialError."""
    if labels is not None and len(labels) != len(codec.codes):
        raise LatentdialError(f"there are {len(labels)} labels for {len(codec.codes)} codes: give one for each")
    ax, directions = _axes(ax), [direction_of(codec, name) for name in (x, y)]
    places = np.stack([direction.along(codec.codes) for direction in directions])
    groups = np.full(len(codec.codes), "") if labels is None else np.asarray(labels)
    for group in np.unique(groups):
        across, up = places[:, groups == group]
        ax.scatter(across, up, s=8, label=str(group))
    if labels is not None:
        ax.legend()
    ax.set(xlabel=directions[0].title, ylabel=directions[1].title)
    return ax


def history(run: str | Path, term: str = "loss", ax: Axes | None = None) -> Axes:
    """A term of a run over its steps, in nats a picture, of training and validation pictures.

    A term that was not logged is a LatentdialError.
    """
    ax, records = _axes(ax), read_metrics(Path(run))
    known = sorted({name for record in records for name in record} - {"step", "split"})
    if term not in known:
        raise LatentdialError(f"{run} has no term {term!r}: it has {', '.join(known) or 'no records'}")
    for split in ("train", "validation"):
        points = [(one["step"], one[term]) for one in records if one.get("split") == split and term in one]
        if points:
            ax.plot(*zip(*points, strict=True), label=split)
    ax.set(xlabel="step", ylabel=f"{term}, nats")
    ax.legend()
    return ax


def pictures(shown: np.ndarray, columns: int = 8, ax: Axes | None = None) -> Axes:
    """Pictures, uint8 (N, H, W, C), in rows of `columns`.

    >>> pictures(np.zeros((3, 16, 16, 3), np.uint8), columns=2).get_images()[0].get_array().shape
    (32, 32, 3)
    """
    ax, (n, height, width, channels) = _axes(ax), shown.shape
    wide = min(columns, n)
    grid = np.full((-(-n // wide) * wide, height, width, channels), 255, np.uint8)
    grid[:n] = shown
    tiles = grid.reshape(-1, wide, height, width, channels).swapaxes(1, 2).reshape(-1, wide * width, channels)
    ax.imshow(tiles.squeeze(), cmap="gray" if channels == 1 else None, vmin=0, vmax=255)
    ax.set_axis_off()
    return ax


def _axes(ax: Axes | None) -> Axes:
    """The axes that are given, else the current ones."""
    from matplotlib import pyplot

    return pyplot.gca() if ax is None else ax
