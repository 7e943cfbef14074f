"""From one code to another: straight, along the sphere, or along the density of real codes; averages and analogies."""

from __future__ import annotations

import numpy as np
import torch

from latentdial.errors import LatentdialError
from latentdial.latent.codec import Codec

STEPS, RATE = 200, 0.05  # of Adam, in whitened units
PULL = 0.02  # weight of minus the log density in nats against squared step lengths
PATHS = ("linear", "spherical", "density")


def interpolate(codec: Codec, first: np.ndarray, last: np.ndarray, count: int = 9, path: str = "linear") -> np.ndarray:
    """`count` codes (count, D) from the code `first` (D,) to `last`, both included.

    "linear" is the straight line, "spherical" the great circle about the mean code with the length interpolated
    (White, arXiv 1609.04468), "density" a short path that prefers codes where the training codes are dense.
    """
    if path not in PATHS:
        raise LatentdialError(f"there is no path {path!r}: use {', '.join(PATHS)}")
    if not 2 <= count <= 1000:
        raise LatentdialError("a path has from 2 to 1000 pictures")
    first, last = np.asarray(first, np.float64), np.asarray(last, np.float64)
    shares = np.linspace(0, 1, count)[:, None]
    if path == "spherical":
        mean = codec.codes.mean(0, dtype=np.float64)
        return mean + slerp(first - mean, last - mean, shares)
    line = (1 - shares) * first + shares * last
    return line if path == "linear" or count == 2 else along_density(codec, line)


def slerp(first: np.ndarray, last: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Vectors (N, D) between two vectors (D,), the angle and the length both in proportion to the shares (N, 1).

    >>> slerp(np.array([1.0, 0.0]), np.array([0.0, 4.0]), np.array([[0.5]])).round(3)
    array([[1.768, 1.768]])
    """
    lengths = np.linalg.norm(first), np.linalg.norm(last)
    if min(lengths) == 0:
        return (1 - shares) * first + shares * last
    cosine = np.clip(first @ last / (lengths[0] * lengths[1]), -1, 1)
    angle = np.arccos(cosine)
    if np.sin(angle) < 1e-6:
        return (1 - shares) * first + shares * last
    units = np.sin((1 - shares) * angle) * first / lengths[0] + np.sin(shares * angle) * last / lengths[1]
    return units / np.sin(angle) * ((1 - shares) * lengths[0] + shares * lengths[1])


def along_density(codec: Codec, line: np.ndarray) -> np.ndarray:
    """The path (N, D) with its ends fixed, moved to be short and through where real codes are dense.

    Minimises the squared step lengths, times the number of steps, minus `PULL` times the summed log density of the
    mixture that the safe range uses, all in whitened units.
    """
    support = codec.support
    white = torch.as_tensor((line - support.centre) @ support.whiten)
    means, variances = torch.as_tensor(support.means), torch.as_tensor(support.variances)
    offsets = torch.as_tensor(np.log(support.weights)) - 0.5 * variances.log().sum(1)
    inner = white[1:-1].clone().requires_grad_(True)
    optimiser = torch.optim.Adam([inner], lr=RATE)
    for _ in range(STEPS):
        path = torch.cat([white[:1], inner, white[-1:]])
        length = path.diff(dim=0).square().sum() * (len(path) - 1) / len(path)
        distance = ((inner[:, None] - means).square() / variances).sum(-1)
        density = torch.logsumexp(offsets - 0.5 * distance, dim=1).sum()
        (inner.grad,) = torch.autograd.grad(length - PULL * density, [inner])
        optimiser.step()
    moved = np.concatenate([white[:1], inner.detach().numpy(), white[-1:]])
    path = support.centre + moved @ np.linalg.pinv(support.whiten)
    path[0], path[-1] = line[0], line[-1]
    return path


def average(codec: Codec, pictures: np.ndarray) -> np.ndarray:
    """The mean code (D,) of a group of pictures, uint8 (N, H, W, C)."""
    return codec.encode(pictures).mean(0, dtype=np.float64)


def analogy(first: np.ndarray, second: np.ndarray, third: np.ndarray) -> np.ndarray:
    """The code that stands to the third as the second to the first: c + b - a (A : B :: C : D)."""
    return np.asarray(third, np.float64) + second - first
