"""Where directions with a name come from: labels, or two groups of pictures."""

from __future__ import annotations

import numpy as np

from latentdial.errors import LatentdialError
from latentdial.latent.codec import Codec
from latentdial.latent.direction import Direction
from latentdial.latent.naming import make_direction

RIDGE = 1e-3
METHODS = ("mean", "ridge", "svm")


def attribute_direction(
    codec: Codec,
    name: str,
    codes: np.ndarray,
    values: np.ndarray,
    others: np.ndarray | None = None,
    method: str = "mean",
    kind: str = "attribute",
) -> Direction:
    """The direction of an attribute with `values` (N,) over pictures with `codes` (N, D).

    "mean" is the mean difference, balanced over the attributes `others` (N, K): the coefficient of the attribute in
    the regression of the codes on all of them, which without others is the difference of the two means. "ridge" and
    "svm" are the normals of a linear reader of the attribute (InterFaceGAN, arXiv 1907.10786).
    """
    values = np.asarray(values, np.float64)
    if len(np.unique(values)) < 2:
        raise LatentdialError(f"attribute {name} has one value only: give pictures with and without it")
    reader = linear_reader(codes, values)
    if method == "mean":
        vector = regression(codes, values, others)
    elif method == "ridge":
        vector = reader
    elif method == "svm":
        vector = _svm_normal(name, codes, values)
    else:
        raise LatentdialError(f"there is no method {method!r}: use {', '.join(METHODS)}")
    return make_direction(codec, name, kind, vector, reader)


def examples_direction(codec: Codec, name: str, these: np.ndarray, those: np.ndarray) -> Direction:
    """From the pictures with codes `those` (M, D) to the pictures with codes `these` (N, D)."""
    if not len(these) or not len(those):
        raise LatentdialError(f"direction {name} needs pictures on both sides: give --these and --those some each")
    codes = np.concatenate([these, those]).astype(np.float64)
    return attribute_direction(codec, name, codes, np.repeat([1.0, 0.0], [len(these), len(those)]), kind="examples")


def without(codec: Codec, direction: Direction, others: list[Direction]) -> Direction:
    """The direction with its share along the others taken out: n1 - (n1.n2) n2 for one other (arXiv 1907.10786)."""
    basis, _ = np.linalg.qr(np.stack([other.vector for other in others], axis=1))
    vector = direction.vector - basis @ (basis.T @ direction.vector)
    if np.linalg.norm(vector) < 1e-6:
        raise LatentdialError(f"nothing of {direction.name} is left without {', '.join(o.name for o in others)}")
    return make_direction(codec, direction.name, direction.kind, vector, direction.reader)


def regression(codes: np.ndarray, values: np.ndarray, others: np.ndarray | None = None) -> np.ndarray:
    """The coefficient (D,) of `values` in the least-squares regression of codes (N, D) on it, the others and one."""
    columns = [values[:, None], np.ones((len(values), 1))] + ([] if others is None else [others])
    return np.linalg.lstsq(np.concatenate(columns, axis=1), codes.astype(np.float64), rcond=None)[0][0]


def linear_reader(codes: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Weights (D,) of a ridge regression that reads the standardised attribute from a code."""
    centred = codes.astype(np.float64) - codes.mean(0, dtype=np.float64)
    target = (values - values.mean()) / values.std()
    covariance = centred.T @ centred / len(codes)
    penalty = RIDGE * np.trace(covariance) / len(covariance) + 1e-12
    return np.linalg.solve(covariance + penalty * np.eye(len(covariance)), centred.T @ target / len(codes))


def _svm_normal(name: str, codes: np.ndarray, values: np.ndarray) -> np.ndarray:
    from sklearn.svm import LinearSVC

    if len(np.unique(values)) > 2:
        raise LatentdialError(f"attribute {name} is not yes or no: use --method mean or ridge")
    return LinearSVC(C=0.1, dual=False).fit(codes, values > values.mean()).coef_[0]
