"""How like real pictures generated ones are, as functions of their features (N, F); what features, is for others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NEIGHBOURS = 5
BLOCK = 100
CHUNK = 512
CLOSE = 0.01  # share of held-out pictures that count as near a training picture


@dataclass(frozen=True)
class Kid:
    """Kernel distance (arXiv 1801.01401), and its standard error over blocks of pictures."""

    value: float
    error: float


@dataclass(frozen=True)
class Coverage:
    """Shares: of generated pictures among the real, and of real ones among the generated (arXiv 1904.06991), and

    the same by balls about real pictures only: their density, about 1 for real pictures, and coverage (2002.09797).
    """

    precision: float
    recall: float
    density: float
    coverage: float


@dataclass(frozen=True)
class Memory:
    """Median distance to the nearest training picture, of generated and of held-out pictures, and the share of the

    generated that are nearer than all but 1% of the held-out.
    """

    generated: float
    held_out: float
    copies: float


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """Frechet distance of two sets of features (N, F) and (M, F), taken as Gaussians (arXiv 1706.08500, eq. 6).

    The trace of the root of the covariances' product is the sum of the singular values of A B', A and B being the
    centred sets over the root of their size less one: no root of a matrix is needed, and N may be below F.

    >>> frechet(np.array([[0.0], [2.0]]), np.array([[3.0], [5.0]]))
    9.0
    """
    a, b = _features(a), _features(b)
    roots = [_root(one) for one in (a, b)]
    shared = np.linalg.svd(roots[0] @ roots[1].T, compute_uv=False).sum()
    spread = sum(np.square(root).sum() for root in roots) - 2 * shared
    return float(np.square(a.mean(0) - b.mean(0)).sum() + max(spread, 0.0))


def kid(a: np.ndarray, b: np.ndarray, block: int = BLOCK, blocks: int = 50, seed: int = 0) -> Kid:
    """Kernel distance of features (N, F) and (M, F): the unbiased squared MMD with the kernel (x'y / F + 1)^3.

    The mean over blocks drawn at random (arXiv 1801.01401, section 4); it may be below zero.
    """
    a, b = _features(a), _features(b)
    size = min(block, len(a), len(b))
    rng = np.random.default_rng(seed)
    draws = [[one[rng.choice(len(one), size, replace=False)] for one in (a, b)] for _ in range(blocks)]
    found = np.array([_mmd(*draw) for draw in draws])
    return Kid(float(found.mean()), float(found.std(ddof=1) / np.sqrt(blocks)))


def kernel_distances(a: np.ndarray, b: np.ndarray, blocks: int = 20) -> np.ndarray:
    """The kernel distance of each of so many disjoint blocks of features (N, F) and (M, F), (B,).

    Blocks share no picture, so that their mean has an honest interval; the kernel is that of `kid`.
    """
    a, b = _features(a), _features(b)
    count = min(len(a), len(b))
    blocks = max(1, min(blocks, count // 4))
    parts = np.array_split(np.arange(count), blocks)
    return np.array([_mmd(a[rows], b[rows]) for rows in parts])


def coverage(real: np.ndarray, generated: np.ndarray, neighbours: int = NEIGHBOURS) -> Coverage:
    """Precision, recall, density and coverage of features (N, F) of real and (M, F) of generated pictures.

    The ball about a picture reaches to its `neighbours`-th neighbour of its own kind.
    """
    real, generated = _features(real), _features(generated)
    neighbours = min(neighbours, len(real) - 1, len(generated) - 1)
    of_real, of_generated = _reach(real, neighbours), _reach(generated, neighbours)
    apart = _distances(real, generated)
    in_real, in_generated = apart <= of_real[:, None], apart <= of_generated[None]
    return Coverage(
        precision=float(in_real.any(0).mean()),
        recall=float(in_generated.any(1).mean()),
        density=float(in_real.sum(0).mean() / neighbours),
        coverage=float(in_real.any(1).mean()),
    )


def nearest(these: np.ndarray, those: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each of these features (N, F), the index of the nearest of those (M, F), and its distance: (N,) each."""
    index, distance = [], []
    for start in range(0, len(these), CHUNK):
        apart = _distances(these[start : start + CHUNK], those)
        index.append(apart.argmin(1))
        distance.append(apart.min(1))
    return np.concatenate(index), np.concatenate(distance)


def memory(generated: np.ndarray, training: np.ndarray, held_out: np.ndarray) -> Memory:
    """Whether generated pictures are copies: how near they are to training pictures, beside held-out ones; features."""
    sampled, real = (nearest(one, training)[1] for one in (generated, held_out))
    near = np.quantile(real, CLOSE)
    return Memory(float(np.median(sampled)), float(np.median(real)), float((sampled < near).mean()))


def _features(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, np.float64)
    if values.ndim != 2 or len(values) < 2 or not np.isfinite(values).all():
        raise ValueError(f"features must be finite (N, F) of at least two pictures, not {values.shape}")
    return values


def _root(values: np.ndarray) -> np.ndarray:
    """R (at most F, F) with R' R the covariance of values (N, F)."""
    centred = (values - values.mean(0)) / np.sqrt(len(values) - 1)
    return np.asarray(np.linalg.qr(centred, mode="r")) if len(centred) > centred.shape[1] else centred


def _mmd(a: np.ndarray, b: np.ndarray) -> float:
    n, features = a.shape
    own = [(one @ one.T / features + 1) ** 3 for one in (a, b)]
    across = ((a @ b.T / features + 1) ** 3).mean()
    return float(sum((kernel.sum() - np.trace(kernel)) / (n * (n - 1)) for kernel in own) - 2 * across)


def _reach(values: np.ndarray, neighbours: int) -> np.ndarray:
    """The distance (N,) of each to its k-th neighbour, itself not counted."""
    return np.partition(_distances(values, values), neighbours, axis=1)[:, neighbours]


def _distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Euclidean distances (N, M)."""
    from scipy.spatial.distance import cdist

    return cdist(a, b)
