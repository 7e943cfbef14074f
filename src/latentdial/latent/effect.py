"""What dimensions and directions do to the picture, measured over real codes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np

from latentdial.latent.codec import Codec
from latentdial.latent.direction import Direction, Effect
from latentdial.latent.naming import axis_direction

ACTIVE_VARIANCE = 0.01  # of the posterior mean over the data (arXiv 1509.00519, section 5.2)
CODES = 48
CURVE = (-3.0, -2.0, -1.0, 1.0, 2.0, 3.0)  # sd
NORMAL_95 = 1.96


@dataclass(frozen=True)
class Dimension:
    """One latent dimension: its effect in levels of 255 for +-1 sd, and the statistics of its training codes.

    `reads` is how attributes change for +1 sd, where the run has measured it.
    """

    dimension: int
    effect: float
    sd: float
    mean: float
    active: bool
    kl: float | None = None  # nats
    reads: tuple[str, ...] = ()


@dataclass(frozen=True)
class DimensionTable:
    """All dimensions, strongest first, and how many real codes the effects are averaged over."""

    rows: list[Dimension]
    codes: int

    @property
    def active(self) -> int:
        return sum(row.active for row in self.rows)

    def as_dicts(self) -> list[dict]:
        return [asdict(row) for row in self.rows]


def dimensions(
    codec: Codec, codes: int = CODES, progress: Callable[[int, int], None] = lambda done, total: None
) -> DimensionTable:
    """Rank the dimensions of a codec by the mean absolute change of the decoded picture for +-1 sd over real codes."""
    start = real_codes(codec, codes)
    before = codec.levels(start)
    rows = []
    reads = {direction.name: tuple(direction.reads()) for direction in codec.directions}
    for axis in range(codec.latent):
        direction = axis_direction(codec, axis)
        rows.append(
            Dimension(
                axis,
                effect_of(codec, start, before, direction.step),
                direction.sd,
                direction.mean,
                bool(direction.sd**2 > ACTIVE_VARIANCE),
                None if codec.kl is None else float(codec.kl[axis]),
                reads.get(str(axis), ()),
            )
        )
        progress(axis + 1, codec.latent)
    return DimensionTable(sorted(rows, key=lambda row: -row.effect), len(start))


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


def traversal(codec: Codec, code: np.ndarray, direction: Direction | int, sds: np.ndarray) -> np.ndarray:
    """Pictures (len(sds), H, W, C) of a code set to the training mean plus `sds` sd along a direction or dimension."""
    if isinstance(direction, int | np.integer):
        direction = axis_direction(codec, int(direction))
    coordinates = direction.mean + np.asarray(sds) * direction.sd
    offsets = coordinates - float(code @ direction.vector)
    return codec.decode(code + offsets[:, None] * direction.vector)
