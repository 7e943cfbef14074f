"""Autoencoders as scikit-learn estimators: codes as features, and a detector of odd rows.

Rows are pictures laid flat, as `pictures.reshape(len(pictures), -1)` gives them. A fitted estimator lives in a
directory, its trained run in it; pickles hold nothing but the parameters and the path.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from math import ceil, sqrt
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, OutlierMixin, TransformerMixin
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted, validate_data

from latentdial.anomaly.calibrating import threshold_for
from latentdial.anomaly.detecting import parse_share, scored
from latentdial.anomaly.detector import fit_detector
from latentdial.anomaly.stored import read_detector, save_detector
from latentdial.anomaly.views import in_chunks
from latentdial.errors import LatentdialError
from latentdial.latent.codec import Codec
from latentdial.runs.loading import load
from latentdial.runs.pictures import run_pictures
from latentdial.storage import read_json, write_json
from latentdial.training import train

LEAST_ROWS, LEAST_SIDE = 4, 4
RECORD, RUN, PICTURES = "estimator.json", "run", "pictures.npy"


class _Fitted(BaseEstimator):
    """What both estimators share: rows to pictures, training, and the directory of what was fitted."""

    def __init__(
        self,
        recipe: str = "pca",
        latent: int = 8,
        shape: Any = None,
        levels: Any = None,
        options: Any = None,
        settings: Any = None,
        random_state: int | None = 0,
        run: Any = None,
    ) -> None:
        self.recipe = recipe
        self.latent = latent
        self.shape = shape
        self.levels = levels
        self.options = options
        self.settings = settings
        self.random_state = random_state
        self.run = run

    _codec: Codec
    _frame: dict[str, Any]

    def _train(self, X: Any) -> np.ndarray:
        """Train on rows (N, F); they come back as checked."""
        rows = validate_data(self, X, dtype=np.float64, ensure_min_samples=LEAST_ROWS)
        folder = self._folder()
        low, high = (rows.min(), rows.max()) if self.levels is None else self.levels
        self._frame = _frame(rows.shape[1], self.shape, float(low), float(high))
        np.save(folder / PICTURES, self._pictures(rows))
        side, _, channels = self._frame["shape"]
        given = {"holdout": 0.3, "steps": 400, "batch": 64, "checkpoint": 0, "precision": "float32", "priors": False}
        settings = given | (self.settings or {}) | {"size": side, "colour": "rgb" if channels == 3 else "grey"}
        options = {"latent": min(self.latent, rows.shape[1])} | (self.options or {})
        seed = self.random_state or 0
        try:
            where = folder / PICTURES, folder / RUN
            train(self.recipe, *where, options=options, overwrite=True, seed=seed, show=False, **settings)
            self._codec = load(folder / RUN)
        except LatentdialError as error:
            raise ValueError(str(error)) from error
        write_json(folder / RECORD, {"frame": self._frame, "features": rows.shape[1]})
        return rows

    def _folder(self) -> Path:
        """An empty directory of its own, or the one that was asked for."""
        folder = Path(tempfile.mkdtemp(prefix="latentdial-") if self.run is None else self.run)
        if self.run is None:
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        self.run_ = str(folder.resolve())
        return folder

    def _check(self, X: Any) -> np.ndarray:
        check_is_fitted(self, "run_")
        if getattr(self, "_codec", None) is None:
            raise NotFittedError(f"what was fitted was in {self.run_}, which is gone: fit again with run=DIRECTORY")
        return self._pictures(validate_data(self, X, dtype=np.float64, reset=False))

    def _pictures(self, rows: np.ndarray) -> np.ndarray:
        """Rows (N, F) as uint8 pictures (N, H, W, C)."""
        low, high = self._frame["low"], self._frame["high"]
        levels = ((rows - low) / max(high - low, 1e-300) * 255).clip(0, 255).round().astype(np.uint8)
        wide = np.zeros((len(rows), int(np.prod(self._frame["shape"]))), np.uint8)
        wide[:, : rows.shape[1]] = levels
        return wide.reshape(-1, *self._frame["shape"])

    def _rows(self, levels: np.ndarray) -> np.ndarray:
        """Pictures in levels of 255 (N, H, W, C) as rows (N, F)."""
        low, high = self._frame["low"], self._frame["high"]
        flat = levels.reshape(len(levels), -1)[:, : self.n_features_in_].astype(np.float64)
        return low + flat / 255 * (high - low)

    def __getstate__(self) -> dict[str, Any]:
        hidden = {"_codec", "_detector", "_frame"}
        return {name: value for name, value in super().__getstate__().items() if name not in hidden}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "run_" in state and (Path(self.run_) / RECORD).is_file():
            self._load(Path(self.run_))

    def _load(self, folder: Path) -> None:
        self._frame = read_json(folder / RECORD)["frame"]
        self._codec = load(folder / RUN)


class LatentTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, _Fitted):
    """Rows to the codes of an autoencoder that is trained on them, and back.

    `recipe`, `options` and `settings` are those of `latentdial.train`; `latent` is the number of codes. `shape` is
    (H, W, C) of the pictures; by default rows fill the smallest grey square that holds them. `levels` are the values of
    black and white; by default the least and the largest of the rows that it is fitted to. `run` is a directory to keep
    what was fitted in; by default it goes with the estimator.

    >>> rows = np.random.default_rng(0).integers(0, 17, (60, 64))
    >>> LatentTransformer(latent=3).fit_transform(rows).shape
    (60, 3)
    """

    def fit(self, X: Any, y: Any = None) -> Self:
        """Train on rows (N, F)."""
        self._train(X)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """The codes (N, D) of rows (N, F)."""
        pictures = self._check(X)
        parts = [self._codec.encode(chunk)[:n] for chunk, n in in_chunks(pictures)]
        return np.concatenate(parts).astype(np.float64)

    def inverse_transform(self, X: Any) -> np.ndarray:
        """The rows (N, F) that codes (N, D) stand for."""
        check_is_fitted(self, "run_")
        return self._rows(self._codec.levels(np.asarray(X, np.float32)))

    def score_samples(self, X: Any) -> np.ndarray:
        """Minus the mean squared error of the reconstruction of rows, in their own unit, (N,)."""
        rows = self._rows(self._check(X))
        return -np.square(self.inverse_transform(self.transform(X)) - rows).mean(1)

    def score(self, X: Any, y: Any = None) -> float:
        """The mean of `score_samples`."""
        return float(self.score_samples(X).mean())

    @property
    def _n_features_out(self) -> int:
        return self._codec.latent


class LatentDetector(OutlierMixin, _Fitted):
    """Finds rows unlike those it is fitted to, by the scores of `latentdial.anomalies`.

    `false_alarms` is the share of normal rows that may be called odd; the rest as for `LatentTransformer`. As in
    scikit-learn, `decision_function` is higher for normal rows and below 0 for odd ones, which `predict` calls -1.
    `decision_scores_`, `threshold_` and `labels_` are named and signed as in PyOD: of the rows it was fitted to, higher
    for odder ones, 1 for odd ones.

    >>> rows = np.random.default_rng(0).integers(0, 5, (80, 64))
    >>> LatentDetector(latent=3, levels=(0, 16)).fit(rows).predict(np.full((1, 64), 16))
    array([-1])
    """

    def __init__(
        self,
        recipe: str = "pca",
        latent: int = 8,
        false_alarms: float | str = 0.05,
        shape: Any = None,
        levels: Any = None,
        options: Any = None,
        settings: Any = None,
        random_state: int | None = 0,
        run: Any = None,
    ) -> None:
        super().__init__(recipe, latent, shape, levels, options, settings, random_state, run)
        self.false_alarms = false_alarms

    def fit(self, X: Any, y: Any = None) -> Self:
        """Train on rows (N, F), all taken for normal, and calibrate on some that are kept from training."""
        try:
            share = parse_share(self.false_alarms)
            rows = self._train(X)
            training, held_out = run_pictures(self._codec)
            self._detector = fit_detector(
                self._codec, training.pixels, held_out.pixels, false_alarms=share, least=LEAST_ROWS // 2
            )
        except LatentdialError as error:
            raise ValueError(str(error)) from error
        save_detector(Path(self.run_) / RUN, self._codec, self._detector)
        limit = threshold_for(self._detector.normal, share)
        self.threshold_ = float(self._detector.normal.max()) if limit is None else limit
        self.offset_ = -self.threshold_
        self.decision_scores_ = -self.score_samples(rows)
        self.labels_ = (self.decision_scores_ > self.threshold_).astype(int)
        return self

    def score_samples(self, X: Any) -> np.ndarray:
        """Minus the score of rows, (N,): about -1 for normal ones, lower for odder ones."""
        pictures = self._check(X)
        return -scored(self._codec, self._detector, [""] * len(pictures), pictures).score

    def decision_function(self, X: Any) -> np.ndarray:
        """`score_samples` above `offset_`: below 0 for odd rows, (N,)."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> np.ndarray:
        """1 for normal rows, -1 for odd ones, (N,)."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def _load(self, folder: Path) -> None:
        super()._load(folder)
        kept = read_detector(folder / RUN, self._codec)
        if kept is not None:
            self._detector = kept


def _frame(features: int, shape: Any, low: float, high: float) -> dict[str, Any]:
    """How rows of so many features are pictures, and the values of black and white."""
    if shape is None:
        side = max(LEAST_SIDE, ceil(sqrt(features)))
        shape = (side, side, 1)
    shape = tuple(int(size) for size in (*shape, *([1] if len(shape) == 2 else [])))
    if len(shape) != 3 or shape[0] != shape[1] or shape[2] not in (1, 3) or np.prod(shape) < features:
        raise ValueError(f"shape {shape} does not hold rows of {features} features: give (side, side, 1 or 3)")
    return {"shape": list(shape), "low": low, "high": high}
