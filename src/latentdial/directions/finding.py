"""Where directions come from: the codes alone, the decoder, labels, or two groups of pictures."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.func import jvp, vjp, vmap

from latentdial.errors import LatentdialError
from latentdial.latent.codec import Codec
from latentdial.latent.direction import Direction
from latentdial.latent.effect import real_codes
from latentdial.latent.naming import axis_direction, make_direction

COUNT = 16  # of PCA and Jacobian directions
OVERSAMPLING, ROUNDS = 8, 3  # of the randomised SVD (Halko, Martinsson & Tropp, arXiv 0909.4061, algorithm 4.4)
FLAT = 1e-10  # of the largest variance of the codes: what varies less is rounding
RIDGE = 1e-3
METHODS = ("mean", "ridge", "svm")


def axis_directions(codec: Codec) -> list[Direction]:
    """Every dimension of the code."""
    return [axis_direction(codec, axis) for axis in range(codec.latent)]


def pca_directions(codec: Codec, count: int = COUNT) -> list[Direction]:
    """Principal directions in which the training codes vary, `pca1` first (GANSpace, arXiv 2004.02546)."""
    centred = codec.codes.astype(np.float64) - codec.codes.mean(0, dtype=np.float64)
    values, vectors = np.linalg.eigh(centred.T @ centred)
    kept = [k for k in np.argsort(-values)[:count] if values[k] > FLAT * values.max()]
    return [make_direction(codec, f"pca{i + 1}", "pca", _signed(vectors[:, k])) for i, k in enumerate(kept)]


def jacobian_directions(codec: Codec, count: int = COUNT, codes: int = 16, seed: int = 0) -> list[Direction]:
    """Directions that change the picture most for a step of given length, `jac1` first.

    They are the leading eigenvectors of J'J averaged over real codes, J the decoder Jacobian, found by subspace
    iteration with products J'(J v) alone: neither J nor J'J is ever formed.
    """
    start = torch.from_numpy(real_codes(codec, codes)).to(codec.device)
    width = min(codec.latent, count + OVERSAMPLING)
    generator = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(codec.latent, width, generator=generator).to(start))[0]
    for _ in range(ROUNDS if width < codec.latent else 0):
        basis = torch.linalg.qr(_mean_gram(codec, start, basis))[0]
    small = (basis.T @ _mean_gram(codec, start, basis)).double().cpu()
    vectors = basis.double().cpu() @ torch.linalg.eigh((small + small.T) / 2).eigenvectors.flip(1)
    columns = vectors[:, :count].T.numpy()
    return [make_direction(codec, f"jac{i + 1}", "jacobian", _signed(v)) for i, v in enumerate(columns)]


def _mean_gram(codec: Codec, start: Tensor, basis: Tensor) -> Tensor:
    """J'J basis, averaged over the codes `start`; (D, width)."""
    return torch.stack([_gram(codec.decoder, code, basis) for code in start]).mean(0)


def _gram(decoder: Callable[[Tensor], Tensor], code: Tensor, basis: Tensor) -> Tensor:
    def decode(z: Tensor) -> Tensor:
        return decoder(z[None]).flatten()

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", DeprecationWarning)  # torch's own use
        pushed = vmap(lambda v: jvp(decode, (code,), (v,))[1])(basis.T)
    pull = vjp(decode, code)[1]
    return vmap(lambda u: pull(u)[0])(pushed).T.detach()


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


def _signed(vector: np.ndarray) -> np.ndarray:
    """The vector, turned so that its largest component is positive: eigenvectors have no sign of their own."""
    return vector * np.sign(vector[np.argmax(np.abs(vector))])
