"""What dimensions and directions do to the picture, measured over real codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from latentdial.latent.codec import Codec
from latentdial.latent.direction import Direction, Effect
from latentdial.latent.naming import canonical_directions, code_shape, raw_directions
from latentdial.measure.codes import ACTIVE_VARIANCE
from latentdial.measure.codes import active_units as count_active
from latentdial.progress import Steps, quiet
from latentdial.shown import Shown, frame
from latentdial.texts import Brief

if TYPE_CHECKING:
    from pandas import DataFrame

VISIBLE = 1.0  # levels of 255, root mean square, below which pictures count as alike
CODES = 24  # real codes that every effect is averaged over, wherever it is shown
CURVE = (-3.0, -2.0, -1.0, 1.0, 2.0, 3.0)  # sd
NORMAL_95 = 1.96


@dataclass(frozen=True)
class Dimension:
    """One coordinate of the code, `c0`, a raw dimension or a channel `ch0`, with its statistics.

    `effect` is in levels of 255 for +-1 sd. `share` is what a canonical coordinate and those above it make up of the
    variance of decoded pictures; `active` and `kl` are known of raw dimensions. `reads` is how attributes change for
    +1 sd, where the run has measured it.
    """

    name: str
    effect: float
    sd: float
    mean: float
    share: float | None = None
    active: bool | None = None
    kl: float | None = None  # nats
    reads: tuple[str, ...] = ()


@dataclass(frozen=True, repr=False)
class DimensionTable(Brief, Shown):
    """Coordinates, strongest first, and how many real codes the effects are averaged over."""

    rows: list[Dimension]
    codes: int
    codec: Codec | None = field(default=None, repr=False, compare=False)  # whose they are, to show them at work

    def as_dicts(self) -> list[dict[str, Any]]:
        return [asdict(row) for row in self.rows]

    def to_frame(self) -> DataFrame:
        """A row for each coordinate, by its name."""
        return frame(self.as_dicts(), "name")


def dimensions(codec: Codec, raw: bool = False, progress: Steps = quiet) -> DimensionTable:
    """The canonical coordinates of a codec, or its raw dimensions, with what they do to the decoded picture.

    Effects are mean absolute changes for +-1 sd over real codes; raw dimensions are ranked by them. Of a code over a
    grid these are its channels, each moved at every place; their KL is summed, their variance averaged over places;
    and of its canonical coordinates, one for every channel of every place, those are measured that tell most.
    """
    directions = raw_directions(codec) if raw else canonical_directions(codec)
    if not raw and len(code_shape(codec)) == 3:
        directions = directions[: codec.canonical.telling]
    reads = {direction.name: tuple(direction.reads()) for direction in codec.directions}
    found = zip(directions, effects(codec, directions, progress), strict=True)
    rows = [
        Dimension(one.name, effect, one.sd, one.mean, reads=reads.get(one.name, ()), **_known(codec, raw, i))
        for i, (one, effect) in enumerate(found)
    ]
    rows = sorted(rows, key=lambda row: -row.effect) if raw else rows
    return DimensionTable(rows, len(real_codes(codec, CODES)), codec)


def _known(codec: Codec, raw: bool, index: int) -> dict[str, Any]:
    if not raw:
        return {"share": float(codec.canonical.shares[index])}
    channels = code_shape(codec)[0]  # every dimension is one where the code lies over no grid
    kl = None if codec.kl is None else float(codec.kl.reshape(channels, -1)[index].sum())
    variance = np.square(codec.moments[1]).reshape(channels, -1)[index].mean()
    return {"active": bool(variance > ACTIVE_VARIANCE), "kl": kl}


def active_units(codec: Codec) -> int:
    """How many raw dimensions vary over the data (arXiv 1509.00519, section 5.2)."""
    return count_active(codec.codes)


def alike(codec: Codec) -> str:
    """In words, that no code of the data changes the picture by a level of 255; empty where some do."""
    change = codec.canonical.change
    if change >= VISIBLE:
        return ""
    so = f"its pictures are all alike, by {change:.1f} levels of 255, and codes say nothing yet"
    return f"{so}: train for longer, or on pictures that differ"


def effects(codec: Codec, directions: Sequence[Direction], progress: Steps = quiet) -> list[float]:
    """The mean absolute change in levels of 255 for +-1 sd along each direction, over the same real codes everywhere.

    What the run has measured, or the codec before, is not measured again.
    """
    kept = {one.name: one.effect.levels for one in codec.directions if one.effect} | codec.measured
    start = real_codes(codec, CODES).astype(np.float64)
    before = None
    found = []
    for one in directions:
        if one.name not in kept:
            before = codec.levels(start) if before is None else before
            kept[one.name] = effect_of(codec, start, before, one.step)
            if one.kind in ("axis", "channel", "canonical"):
                codec.measured[one.name] = kept[one.name]
        found.append(kept[one.name])
        progress(len(found), len(directions))
    return found


def effect_of(codec: Codec, start: np.ndarray, before: np.ndarray, step: np.ndarray) -> float:
    """Mean absolute change in levels of 255 when `step` (D,) is added to and taken from the codes (N, D)."""
    after = codec.levels(np.concatenate([start + step, start - step]))
    return float(np.abs(after - np.concatenate([before, before])).mean())


def measure_effect(codec: Codec, direction: Direction, start: np.ndarray, before: np.ndarray) -> Effect:
    """The effect of a direction on codes `start` (N, D), whose pictures are `before` (N, H, W, C) in levels."""
    path = start[None] + np.array(CURVE)[:, None, None] * direction.step
    after = codec.levels(path.reshape(-1, start.shape[1])).reshape(len(CURVE), *before.shape)
    change = after - before
    curve = {t: float(np.abs(change[i]).mean()) for i, t in enumerate(CURVE)}
    near = np.abs(change[[CURVE.index(-1.0), CURVE.index(1.0)]]).mean(0)
    each = near.mean((1, 2, 3))
    margin = NORMAL_95 * each.std(ddof=1) / np.sqrt(len(each)) if len(each) > 1 else 0.0
    levels = float(each.mean())
    return Effect(levels, levels - margin, levels + margin, _linearity(change), curve, near.mean((0, 3)))


def _linearity(change: np.ndarray) -> float:
    """Share of the change (T, ...) explained by the best change proportional to the step."""
    steps = np.array(CURVE, np.float32)
    slope = np.tensordot(steps, change, 1) / np.square(steps).sum()
    total = float(np.square(change, dtype=np.float64).sum())
    explained = float(np.square(slope, dtype=np.float64).sum() * np.square(steps).sum())
    return explained / total if total > 0 else 1.0


def real_codes(codec: Codec, n: int) -> np.ndarray:
    """At most n training codes, spread evenly over all of them."""
    return codec.codes[np.linspace(0, len(codec.codes) - 1, min(n, len(codec.codes))).astype(int)]
