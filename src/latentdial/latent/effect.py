"""What every dimension does to the picture, measured over real codes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np

from latentdial.latent.codec import Codec

ACTIVE_VARIANCE = 0.01  # of the posterior mean over the data (arXiv 1509.00519, section 5.2)
CODES = 48


@dataclass(frozen=True)
class Dimension:
    """One latent dimension: its effect in levels of 255 for +-1 sd, and the statistics of its training codes."""

    dimension: int
    effect: float
    sd: float
    mean: float
    active: bool
    kl: float | None = None  # nats


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
    mean, sd = codec.moments
    start = real_codes(codec, codes)
    before = codec.levels(start)
    rows = []
    for axis in range(codec.latent):
        step = np.zeros(codec.latent, np.float32)
        step[axis] = sd[axis]
        rows.append(
            Dimension(
                axis,
                effect_of(codec, start, before, step),
                float(sd[axis]),
                float(mean[axis]),
                bool(sd[axis] ** 2 > ACTIVE_VARIANCE),
                None if codec.kl is None else float(codec.kl[axis]),
            )
        )
        progress(axis + 1, codec.latent)
    return DimensionTable(sorted(rows, key=lambda row: -row.effect), len(start))


def effect_of(codec: Codec, start: np.ndarray, before: np.ndarray, step: np.ndarray) -> float:
    """Mean absolute change in levels of 255 when `step` (D,) is added to and taken from the codes (N, D)."""
    after = codec.levels(np.concatenate([start + step, start - step]))
    return float(np.abs(after - np.concatenate([before, before])).mean())


def real_codes(codec: Codec, n: int) -> np.ndarray:
    """At most n training codes, spread evenly over all of them."""
    return codec.codes[np.linspace(0, len(codec.codes) - 1, min(n, len(codec.codes))).astype(int)]


def traversal(codec: Codec, code: np.ndarray, axis: int, sds: np.ndarray) -> np.ndarray:
    """Pictures (len(sds), H, W, C) of a code whose dimension `axis` is set to the training mean plus `sds` sd."""
    mean, sd = codec.moments
    path = np.repeat(code[None].astype(np.float32), len(sds), axis=0)
    path[:, axis] = mean[axis] + sds * sd[axis]
    return codec.decode(path)
