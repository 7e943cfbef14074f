"""Priors fitted to codes after training, judged on held-out codes (ex-post density estimation: arXiv 1903.12436)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import log, pi
from typing import Protocol

import numpy as np

from latentdial.config import PRIOR_STEPS
from latentdial.errors import LatentdialError
from latentdial.priors.diffusion import fit_diffusion
from latentdial.priors.mixture import choose_mixture
from latentdial.priors.whitening import Whitening, fit_whitening
from latentdial.progress import Progress, quiet
from latentdial.texts import Brief

KINDS = ("gaussian", "mixture", "diffusion")
MIN_CODES = 20  # that a mixture or a diffusion is fitted to
MAX_LATENT = 2048  # a full covariance of more numbers takes minutes and gigabytes


class Density(Protocol):
    """A density of white codes."""

    def log_prob(self, white: np.ndarray) -> np.ndarray:
        """Log density (N,) of white codes (N, D), in nats."""

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draw white codes (n, D)."""


class Standard:
    """N(0, I)."""

    def __init__(self, latent: int):
        self.latent = latent

    def log_prob(self, white: np.ndarray) -> np.ndarray:
        return -0.5 * (np.square(white) + log(2 * pi)).sum(1)

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        return rng.standard_normal((n, self.latent))


@dataclass(frozen=True, eq=False, repr=False)
class FittedPrior(Brief):
    """A density of codes: of white codes, and how these are coloured."""

    kind: str
    whitening: Whitening
    density: Density

    def log_prob(self, codes: np.ndarray) -> np.ndarray:
        """Log density (N,) of codes (N, D), in nats."""
        return self.density.log_prob(self.whitening.white(codes)) - self.whitening.log_volume

    def sample(self, n: int, seed: int = 0, temperature: float = 1.0) -> np.ndarray:
        """Draw codes (n, D), float32; they spread from the mean in proportion to `temperature`."""
        white = self.density.sample(n, np.random.default_rng(seed))
        return self.whitening.colour(temperature * white).astype(np.float32)


@dataclass(frozen=True, eq=False, repr=False)
class FittedPriors(Brief):
    """Priors of one set of codes by kind, and the mean log likelihood in nats that each gives to held-out codes.

    `nats` may also hold that of the model's own prior, as "model"; it is empty where there was no code to judge by.
    """

    priors: Mapping[str, FittedPrior]
    nats: Mapping[str, float]
    held_out: int = 0

    @property
    def best(self) -> str:
        """The kind of highest held-out likelihood; the plainest where nothing was judged."""
        return max(self.nats, key=lambda kind: self.nats[kind]) if self.nats else next(iter(self.priors))

    def __getitem__(self, kind: str) -> FittedPrior:
        return self.priors[kind]


def fit_priors(
    codes: np.ndarray,
    held_out: np.ndarray | None = None,
    kinds: Sequence[str] = KINDS,
    seed: int = 0,
    model: Callable[[np.ndarray], np.ndarray] | None = None,
    progress: Progress = quiet,
    seen: np.ndarray | None = None,
    precision: str = "float32",
    steps: int = PRIOR_STEPS,
) -> FittedPriors:
    """Fit densities to training codes (N, D) and judge them by the likelihood of held-out codes (M, D).

    Without held-out codes every fifth code is kept apart for that. The Gaussian is always among them; a mixture and a
    diffusion need 20 codes. `model` gives the log densities of the model's own prior, to be judged beside them. `seen`
    (D, D), the squared change of a picture for a change x of its code as x @ seen @ x, `precision` and the most `steps`
    are the diffusion's.
    """
    codes = _checked(codes)
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise LatentdialError(f"there is no prior {unknown[0]!r} to fit: choose {', '.join(KINDS)}")
    if held_out is None:
        apart = np.arange(len(codes)) % 5 == 4
        codes, held_out = codes[~apart], codes[apart]
    held_out = _checked(held_out) if len(held_out) else held_out
    whitening = fit_whitening(codes)
    wanted = [kind for kind in KINDS if kind == "gaussian" or (kind in kinds and len(codes) >= MIN_CODES)]
    white = whitening.white(codes)
    shown = None if seen is None else whitening.root.T.astype(np.float64) @ seen @ whitening.root
    fits: dict[str, Callable[[], Density]] = {
        "gaussian": lambda: Standard(white.shape[1]),
        "mixture": lambda: choose_mixture(white, seed),
        "diffusion": lambda: fit_diffusion(white, seed, shown, precision, steps=steps, progress=progress),
    }
    priors = {}
    for done, kind in enumerate(wanted):
        progress("fitting priors", done, len(wanted))
        priors[kind] = FittedPrior(kind, whitening, fits[kind]())
    progress("fitting priors", len(wanted), len(wanted))
    judges = {kind: prior.log_prob for kind, prior in priors.items()} | ({} if model is None else {"model": model})
    nats = {kind: float(judge(held_out).mean()) for kind, judge in judges.items()} if len(held_out) else {}
    return FittedPriors(priors, nats, len(held_out))


def gaussian_of(codes: np.ndarray) -> FittedPriors:
    """The Gaussian of all of these codes (N, D), judged by none."""
    codes = _checked(codes)
    return FittedPriors({"gaussian": FittedPrior("gaussian", fit_whitening(codes), Standard(codes.shape[1]))}, {})


def _checked(codes: np.ndarray) -> np.ndarray:
    codes = np.asarray(codes, np.float64)
    if codes.ndim != 2 or not len(codes) or not np.isfinite(codes).all():
        raise LatentdialError(f"codes must be finite numbers (N, D), not {codes.shape}: train the run again")
    if codes.shape[1] > MAX_LATENT:
        raise LatentdialError(
            f"{codes.shape[1]} dimensions are too many for a prior: train with --latent {MAX_LATENT} at most"
        )
    return codes
