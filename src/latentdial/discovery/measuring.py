"""Directions measured: what they do to pictures and attributes, how far they go, and what they explain together."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import numpy as np

from latentdial.latent.codec import Codec
from latentdial.latent.direction import Direction
from latentdial.latent.effect import CODES, measure_effect, real_codes
from latentdial.latent.safe_range import safe_ranges
from latentdial.progress import Steps, quiet

RANGE_CODES = 5
TOP = 12  # canonical coordinates whose shares are told
GROUP = 16  # directions whose ranges are looked for together
SHARE_CODES = 200
SIDE_CODES, SPREAD_CODES = 48, 1000
LEAST_SD = 0.05  # that a reading is taken to have over real codes, at least


def measure(codec: Codec, directions: Sequence[Direction], progress: Steps = quiet) -> list[Direction]:
    """The directions with their effect and their safe range over real codes."""
    start = real_codes(codec, CODES).astype(np.float64)
    before = codec.levels(start)
    measured: list[Direction] = []
    for group in (directions[i : i + GROUP] for i in range(0, len(directions), GROUP)):
        ranges = np.median(safe_ranges(codec, start[:RANGE_CODES], group), axis=1)
        for direction, (low, high) in zip(group, ranges.tolist(), strict=True):
            effect = measure_effect(codec, direction, start, before)
            measured.append(replace(direction, effect=effect, safe=(low, high)))
        progress(len(measured), len(directions))
    return measured


def with_side_effects(
    codec: Codec,
    directions: Sequence[Direction],
    attributes: Sequence[Direction],
    progress: Steps = quiet,
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


def ordered(directions: Sequence[Direction], weak: Collection[str] = ()) -> list[Direction]:
    """Canonical coordinates in their order, then what has a name, strongest first, those read weakly at the end."""
    canonical = sorted((one for one in directions if one.kind == "canonical"), key=lambda one: int(one.name[1:]))
    rest = [one for one in directions if one.kind != "canonical"]
    return [*canonical, *sorted(rest, key=lambda one: (one.name in weak, -one.effect.levels if one.effect else 0.0))]


def explained_shares(codec: Codec, directions: Sequence[Direction]) -> list[float]:
    """The shares of the decoded variance left when codes are known only along the first 1, 2, ... directions.

    Codes are replaced by their best linear estimate from those coordinates.
    """
    codes = real_codes(codec, SHARE_CODES).astype(np.float64)
    mean = codec.codes.mean(0, dtype=np.float64)
    covariance = codec.covariance
    pictures = codec.levels(codes)
    total = max(np.square(pictures - pictures.mean(0), dtype=np.float64).sum(), 1e-12)
    shares = []
    for count in range(1, len(directions) + 1):
        vectors = np.stack([direction.dual for direction in directions[:count]], axis=1)
        gain = covariance @ vectors @ np.linalg.pinv(vectors.T @ covariance @ vectors, hermitian=True)
        estimated = codec.levels(mean + (codes - mean) @ vectors @ gain.T)
        shares.append(float(1 - np.square(pictures - estimated, dtype=np.float64).sum() / total))
    return shares
