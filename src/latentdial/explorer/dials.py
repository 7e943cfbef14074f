"""What a person can turn: unit directions through the code, each with its measured effect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from latentdial.latent.codec import Codec
from latentdial.latent.effect import effect_of, real_codes

COMPONENTS = 32  # principal components whose effect is measured
STRONGEST = 16  # of them shown
CODES = 16  # real codes that an effect is averaged over
SAFE_SHARE = 0.99  # of the training codes lie inside a range

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Dial:
    """A unit direction (D,), the training codes' mean and sd along it, its effect, and the range that is safe.

    `effect` is the mean absolute change in levels of 255 for +-1 sd; `low` and `high` are in sd from the mean.
    """

    name: str
    kind: str  # "pca", "axis", "attribute", ...
    vector: np.ndarray
    mean: float
    sd: float
    effect: float
    low: float
    high: float


def find_dials(codec: Codec, progress: Progress = lambda what, done, total: None) -> list[Dial]:
    """The strongest principal directions of the training codes, then every axis; each kind strongest first."""
    components, axes = principal_components(codec.codes, COMPONENTS), np.eye(codec.latent, dtype=np.float32)
    total, done = len(components) + len(axes), 0
    start = real_codes(codec, CODES)
    before = codec.levels(start)
    dials: dict[str, list[Dial]] = {"pca": [], "axis": []}
    for kind, vectors in (("pca", components), ("axis", axes)):
        for i, vector in enumerate(vectors):
            name = f"pca{i + 1}" if kind == "pca" else str(i)
            dials[kind].append(measure_dial(codec, name, kind, vector, start, before))
            done += 1
            progress("measuring dimensions", done, total)
    ranked = {kind: sorted(some, key=lambda dial: -dial.effect) for kind, some in dials.items()}
    return ranked["pca"][:STRONGEST] + ranked["axis"]


def measure_dial(codec: Codec, name: str, kind: str, vector: np.ndarray, start: np.ndarray, before: np.ndarray) -> Dial:
    """A dial of a unit vector (D,): its statistics over the training codes, and its effect from the codes `start`."""
    along = codec.codes.astype(np.float64) @ vector
    mean, sd = float(along.mean()), float(along.std())
    tail = 50 * (1 - SAFE_SHARE)
    low, high = (np.percentile(along, [tail, 100 - tail]) - mean) / (sd or 1.0)
    effect = effect_of(codec, start, before, (sd * vector).astype(np.float32))
    return Dial(name, kind, vector.astype(np.float32), mean, sd, effect, float(low), float(high))


def principal_components(codes: np.ndarray, most: int) -> np.ndarray:
    """Unit principal directions (K, D) of codes (N, D), most variance first; each one's largest entry is positive."""
    centred = codes.astype(np.float64) - codes.mean(0)
    vectors = np.linalg.eigh(centred.T @ centred).eigenvectors
    found = vectors.T[::-1][: min(most, codes.shape[1], max(1, len(codes) - 1))]
    sign = np.sign(np.take_along_axis(found, np.abs(found).argmax(1)[:, None], 1))
    return (found * sign).astype(np.float32)
