"""Canonical coordinates: a code in the basis that is uncorrelated over the data and ordered by effect on pictures."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.func import jvp, vmap

from latentdial.texts import Brief

Decode = Callable[[Tensor], Tensor]

CODES, LEAST_CODES = 24, 8  # real codes that the metric is averaged over
WORK = 40_000_000  # values of derivatives, above which fewer codes are taken
MOST = 1024  # coordinates
MOST_TOLD, NEARLY_ALL = 32, 0.999
FLAT = 1e-10  # of the largest variance of standardised codes: what varies less is rounding
CHUNK = 128  # directions pushed through the decoder together
HALF = 0.5  # sd, of the differences where a decoder has no derivatives
DECIDED = 0.1  # of a change's root mean square: a mean that is smaller does not say whether it is brighter


@dataclass(frozen=True, eq=False, repr=False)
class Canonical(Brief):
    """K <= D coordinates c of codes z: z = centre + c @ steps on the data, c = (z - centre) @ readers.T.

    Over the training codes they have mean 0 and covariance I; `levels` is the root mean square change of the picture
    for one unit of each, in levels of 255, largest first; these changes are orthogonal on average over real codes.
    """

    centre: np.ndarray  # (D,)
    steps: np.ndarray  # (K, D)
    readers: np.ndarray  # (K, D): readers @ steps.T is the identity
    levels: np.ndarray  # (K,)

    @property
    def shares(self) -> np.ndarray:
        """The share of the linearised variance of the pictures that the first 1, 2, ... coordinates make up, (K,)."""
        total = np.cumsum(np.square(self.levels))
        return total / total[-1] if len(total) and total[-1] > 0 else np.ones(len(total))

    @property
    def change(self) -> float:
        """The root mean square change of the picture in levels of 255 where all coordinates move by one unit."""
        return float(np.sqrt(np.square(self.levels).sum()))

    def needed(self, share: float) -> int:
        """How many coordinates make up a share of that variance."""
        return min(len(self.levels), 1 + int((self.shares < share).sum()))

    @property
    def metric(self) -> np.ndarray:
        """The squared change of the picture in levels for a change x of the code is x @ metric @ x: (D, D)."""
        scaled = self.levels[:, None] * self.readers
        return scaled.T @ scaled

    @property
    def telling(self) -> int:
        """How many coordinates make up nearly all of that variance, at most 32."""
        return min(MOST_TOLD, self.needed(NEARLY_ALL))

    def coordinates(self, codes: np.ndarray) -> np.ndarray:
        """Codes (N, D) -> coordinates (N, K)."""
        return (codes - self.centre) @ self.readers.T

    def codes(self, coordinates: np.ndarray) -> np.ndarray:
        """Coordinates (N, K) -> codes (N, D)."""
        return self.centre + coordinates @ self.steps


def find_canonical(decode: Decode, codes: np.ndarray, device: str = "cpu") -> Canonical:
    """The canonical coordinates of a decoder (B, D) -> levels of 255 (B, ...) over its training codes (N, D).

    With the codes' covariance S = L L', M the mean of (J L)'(J L) = Q m Q' over real codes and J the decoder's
    Jacobian, the steps are the columns of L Q. They are unique up to sign, where no two have equal effect, under any
    invertible affine change of the code; their sign makes the picture brighter, or else its change skewed upwards.

    >>> codes = np.random.default_rng(0).normal(size=(500, 2)) * [1.0, 3.0]
    >>> found = find_canonical(lambda z: z @ torch.tensor([[9.0, 0.0], [0.0, 1.0]]), codes.astype(np.float32))
    >>> (found.levels * 2**0.5).round()  # root mean square over the two pixels
    array([9., 3.])
    """
    centre = codes.mean(0, dtype=np.float64)
    steps, readers = whitening(codes.astype(np.float64) - centre)
    pushed = _metric(decode, codes, steps, device)
    values, vectors = np.linalg.eigh(pushed.metric)
    order = np.argsort(-values, kind="stable")
    turn = vectors[:, order].T
    turn *= np.array([_sign(change) for change in turn @ pushed.mean])[:, None]
    return Canonical(centre, turn @ steps, turn @ readers, np.sqrt(values[order].clip(0) / pushed.mean.shape[1]))


def whitening(centred: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Steps and readers (K, D) of uncorrelated coordinates of unit variance for centred codes (N, D) of rank K."""
    sds = centred.std(0)
    live = sds > 0
    scaled = centred[:, live] / sds[live] / np.sqrt(len(centred))
    if len(centred) < scaled.shape[1]:
        _, roots, axes = np.linalg.svd(scaled, full_matrices=False)
    else:
        values, vectors = np.linalg.eigh(scaled.T @ scaled)
        roots, axes = np.sqrt(values[::-1].clip(0)), vectors[:, ::-1].T
    kept = min(MOST, int((roots > FLAT**0.5 * roots.max(initial=0)).sum()))
    steps, readers = np.zeros((2, kept, len(sds)))
    steps[:, live] = roots[:kept, None] * axes[:kept] * sds[live]
    readers[:, live] = axes[:kept] / roots[:kept, None] / sds[live]
    return steps, readers


@dataclass(frozen=True, eq=False)
class _Pushed:
    """What a step along each of K directions does to the picture: the mean over codes, and that of its Gram matrix."""

    metric: np.ndarray  # (K, K)
    mean: np.ndarray  # (K, P)


def _metric(decode: Decode, codes: np.ndarray, steps: np.ndarray, device: str) -> _Pushed:
    """By exact derivatives; by central differences where the decoder has none, as one that snaps codes to a grid."""
    real, along = (torch.as_tensor(array, dtype=torch.float32, device=device) for array in (codes, steps))
    with torch.no_grad():
        pixels = decode(real[:1]).numel()
    start = _spread(real, WORK // (pixels * max(len(steps), 1)))
    try:
        found = _averaged(start, along, lambda code, some: _derivatives(decode, code, some))
        if found.metric.any() or not len(steps):
            return found
    except (RuntimeError, NotImplementedError):
        pass
    return _averaged(start, along, lambda code, some: _differences(decode, code, some))


def _averaged(start: Tensor, along: Tensor, push: Callable[[Tensor, Tensor], Tensor]) -> _Pushed:
    metric, mean, used = np.zeros((len(along), len(along))), np.zeros((len(along), 1)), 0
    for code in start:
        parts = [push(code, some).flatten(1).cpu().double() for some in along.split(CHUNK)]
        change = torch.cat(parts).numpy() if parts else mean
        if np.isfinite(change).all():
            metric, mean, used = metric + change @ change.T, mean + change, used + 1
    return _Pushed(metric / max(used, 1), mean / max(used, 1))


@torch.no_grad()
def _derivatives(decode: Decode, code: Tensor, along: Tensor) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", DeprecationWarning)  # torch's own use
        return vmap(lambda step: jvp(lambda z: decode(z[None])[0], (code,), (step,))[1])(along)


@torch.no_grad()
def _differences(decode: Decode, code: Tensor, along: Tensor) -> Tensor:
    return (decode(code + HALF * along) - decode(code - HALF * along)) / (2 * HALF)


def _spread(codes: Tensor, count: int) -> Tensor:
    """About `count` real codes, spread evenly over all."""
    wanted = max(LEAST_CODES, min(CODES, count))
    return codes[np.linspace(0, len(codes) - 1, min(wanted, len(codes))).astype(int)]


def _sign(change: np.ndarray) -> float:
    """What makes a mean change (P,) of the picture brighter; of one that does neither, what makes it skewed upwards."""
    size = np.sqrt(np.square(change).mean())
    bright = change.mean() / size if size > 0 else 0.0
    skew = np.power(change, 3).mean()
    return -1.0 if (bright if abs(bright) > DECIDED else skew) < 0 else 1.0
