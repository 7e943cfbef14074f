"""Directions ranked so that the first few say most of what the code space can do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from latentdial.latent.codec import Codec
from latentdial.latent.direction import Direction
from latentdial.latent.effect import measure_effect, real_codes
from latentdial.latent.safe_range import safe_ranges
from latentdial.latent.support import coarse

CODES = 12  # real codes that effects are measured on
RANGE_CODES = 5
GROUP = 16  # directions whose ranges are looked for together
SHARE_CODES = 200
SIDE_CODES, SPREAD_CODES = 48, 1000
LEAST_SD = 0.05  # that a reading is taken to have over real codes, at least

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Ranking:
    """Directions, each the strongest in what those before it leave; `shares[i]` is what the first i + 1 explain."""

    directions: list[Direction]
    shares: list[float]

    def share(self, count: int) -> float:
        """The share of the decoded variance that the first `count` directions explain."""
        return self.shares[min(count, len(self.shares)) - 1]


def measure(
    codec: Codec, directions: Sequence[Direction], progress: Progress = lambda done, total: None
) -> list[Direction]:
    """The directions with their effect and their safe range over real codes."""
    start = real_codes(codec, CODES).astype(np.float64)
    before = codec.levels(start)
    measured: list[Direction] = []
    for group in (directions[i : i + GROUP] for i in range(0, len(directions), GROUP)):
        steps = np.stack([direction.step for direction in group])
        ranges = np.median(safe_ranges(codec, start[:RANGE_CODES], steps), axis=1)
        for direction, (low, high) in zip(group, ranges.tolist(), strict=True):
            effect = measure_effect(codec, direction, start, before)
            measured.append(replace(direction, effect=effect, safe=(low, high)))
        progress(len(measured), len(directions))
    return measured


def with_side_effects(
    codec: Codec,
    directions: Sequence[Direction],
    attributes: Sequence[Direction],
    progress: Progress = lambda done, total: None,
) -> list[Direction]:
    """The directions with the change of every attribute for +1 sd, in sd of the attribute, read from the picture.

    The moved code is decoded and encoded again, and each attribute is read before and after.
    """
    start = real_codes(codec, SIDE_CODES).astype(np.float64)
    read = attribute_reading(codec, attributes)
    before = read(codec.encode(codec.decode(start))).mean(0)
    sided = []
    for direction in directions:
        change = read(codec.encode(codec.decode(start + direction.step))).mean(0) - before
        names = (other.name for other in attributes)
        sided.append(replace(direction, side=dict(zip(names, change.tolist(), strict=True))))
        progress(len(sided), len(directions))
    return sided


def attribute_reading(codec: Codec, attributes: Sequence[Direction]) -> Callable[[np.ndarray], np.ndarray]:
    """How A attributes read from codes (N, D), in their sd, (N, A): by what is learnt of them where it is trusted.

    The others are read linearly.
    """
    normals = np.reshape([one.normal for one in attributes], (len(attributes), codec.latent)).T
    known = codec.attributes
    trusted = [i for i, one in enumerate(attributes) if known and one.name in known.columns and known.trusted(one.name)]
    if known is None or not trusted:
        return lambda codes: codes @ normals
    columns = [known.columns.index(attributes[i].name) for i in trusted]
    sds = np.maximum(known.read(real_codes(codec, SPREAD_CODES))[:, columns].std(0, dtype=np.float64), LEAST_SD)

    def read(codes: np.ndarray) -> np.ndarray:
        values = codes @ normals
        values[:, trusted] = known.read(codes)[:, columns] / sds
        return values

    return read


def rank(codec: Codec, directions: Sequence[Direction], top: int = 12) -> Ranking:
    """Order the directions greedily by image-space effect with redundancy taken out, and say what they explain.

    Each pick is the direction whose response over real pictures is largest after what the picks before it span is
    projected out (Gram-Schmidt with pivoting); all that is left keeps its order of effect.
    """
    left = _responses(codec, directions)
    order: list[int] = []
    for _ in range(min(top, len(directions))):
        sizes = np.linalg.norm(left, axis=1)
        sizes[order] = -1
        pick = int(np.argmax(sizes))
        order.append(pick)
        if sizes[pick] > 1e-9:
            unit = left[pick] / sizes[pick]
            left = left - np.outer(left @ unit, unit)
    chosen = [directions[i] for i in order]
    rest = [direction for i, direction in enumerate(directions) if i not in set(order)]
    return Ranking(chosen + rest, explained_shares(codec, chosen))


def explained_share(codec: Codec, directions: Sequence[Direction]) -> float:
    """The share that all of the directions explain together: the last of `explained_shares`."""
    return explained_shares(codec, directions)[-1]


def explained_shares(codec: Codec, directions: Sequence[Direction]) -> list[float]:
    """The shares of the decoded variance left when codes are known only along the first 1, 2, ... directions.

    Codes are replaced by their best linear estimate from those coordinates; for PCA that is the projection.
    """
    codes = real_codes(codec, SHARE_CODES).astype(np.float64)
    mean = codec.codes.mean(0, dtype=np.float64)
    covariance = np.atleast_2d(np.cov(codec.codes.T.astype(np.float64)))
    pictures = codec.levels(codes)
    total = max(np.square(pictures - pictures.mean(0), dtype=np.float64).sum(), 1e-12)
    shares = []
    for count in range(1, len(directions) + 1):
        vectors = np.stack([direction.vector for direction in directions[:count]], axis=1)
        gain = covariance @ vectors @ np.linalg.pinv(vectors.T @ covariance @ vectors, hermitian=True)
        estimated = codec.levels(mean + (codes - mean) @ vectors @ gain.T)
        shares.append(float(1 - np.square(pictures - estimated, dtype=np.float64).sum() / total))
    return shares


def _responses(codec: Codec, directions: Sequence[Direction]) -> np.ndarray:
    """Half the change of small pictures from -1 to +1 sd over real codes, one row a direction."""
    start = real_codes(codec, CODES).astype(np.float64)
    rows = []
    for direction in directions:
        both = codec.levels(np.concatenate([start + direction.step, start - direction.step]))
        rows.append(coarse((both[: len(start)] - both[len(start) :]) / 2).ravel())
    return np.stack(rows).astype(np.float64)
