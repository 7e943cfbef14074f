"""Priors of a codec: fitting them to its codes, and whether samples from one look like reconstructions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from latentdial.errors import LatentdialError
from latentdial.images import open_parts
from latentdial.latent.codec import Codec
from latentdial.latent.effect import real_codes
from latentdial.priors.diffusion import STEPS
from latentdial.priors.fitted import KINDS, FittedPriors, fit_priors
from latentdial.priors.words import WordPrior, fit_words
from latentdial.progress import Progress, quiet

PICTURES = 128
MIN_HELD_OUT = 20  # codes, below which some training codes judge instead
NARROW, WIDE = 0.8, 1.25  # of the reconstructions' spread


@dataclass(frozen=True)
class Fit:
    """How far pictures differ from each other, in levels of 255: the root of their mean variance.

    `sampled` over pictures drawn from a prior, `reconstructed` over decoded training codes. `instead` says which prior
    is the right one for codes of that kind, where this is not; `more` whether other priors are yet to be fitted.
    """

    prior: str
    sampled: float
    reconstructed: float
    instead: str = ""
    more: bool = False

    @property
    def good(self) -> bool:
        """Whether samples vary about as much as reconstructions do, from a prior that is meant for such codes."""
        return not self.instead and NARROW * self.reconstructed <= self.sampled <= WIDE * self.reconstructed

    def sentence(self) -> str:
        """What is wrong with the prior; empty where nothing is."""
        if self.good or self.instead:
            return self.instead
        seen = f"samples vary by {self.sampled:.0f} levels of 255, reconstructions by {self.reconstructed:.0f}"
        narrow, wide = "samples stay near the average picture", "samples leave what the decoder has learnt"
        so = narrow if self.sampled < self.reconstructed else wide
        more = "; latentdial fit-prior RUN fits others" if self.more else ""
        return f"the prior {self.prior!r} does not fit the codes: {seen}, so {so}{more}"


def fit_prior(
    codec: Codec,
    held_out: np.ndarray | None = None,
    kinds: Sequence[str] = KINDS,
    seed: int = 0,
    progress: Progress = quiet,
    steps: int = STEPS,
) -> FittedPriors:
    """Fit priors to the training codes of a codec, judged on codes (M, D) of pictures that it was not trained on.

    Without held-out codes every fifth training code is kept apart for that. The model's own prior is judged beside
    them, unless its densities are on a surface and do not compare. `dataclasses.replace(codec, fitted=...)` gives the
    codec that samples from the best.
    """
    prior = getattr(codec.model, "prior", None)
    own = None if getattr(prior, "surface", False) else getattr(prior, "log_prob", None)
    judge = None if own is None else partial(_log_prob, own, codec)
    precision = "float32" if codec.config is None else codec.config.train.precision
    seen = codec.canonical.metric if "diffusion" in kinds else None
    return fit_priors(codec.codes, held_out, kinds, seed, judge, progress, seen, precision, steps)


def fit_word_prior(codec: Codec, seed: int = 0, progress: Progress = quiet) -> WordPrior:
    """Fit a prior to the discrete training codes of a codec; `replace(codec, words=...)` samples from it."""
    quantiser = codec.quantiser
    if quantiser is None:
        raise LatentdialError(f"{codec.name} has no discrete codes: fit a mixture or a diffusion")
    with torch.inference_mode():
        numbers = quantiser.rows(torch.tensor(codec.codes, device=codec.device)).cpu().numpy()
    return fit_words(numbers, quantiser.vocabulary, seed, progress=progress)


def validation_codes(codec: Codec, progress: Progress = quiet) -> np.ndarray | None:
    """Codes (M, D) of the validation pictures of a run; None where they are gone or fewer than 20.

    Test pictures are left for figures of the samples.
    """
    if codec.config is None:
        return None
    try:
        held_out = open_parts(codec.config, progress).validation
    except LatentdialError:
        return None
    return codec.encode(held_out.pixels[:]) if len(held_out) >= MIN_HELD_OUT else None


def sample(codec: Codec, n: int = 16, seed: int = 0, temperature: float = 1.0, prior: str = "auto") -> np.ndarray:
    """Draw n new pictures, uint8 (n, H, W, C); see `Codec.sample_codes` for priors, of which "auto" is the best."""
    return codec.sample(n, seed, temperature, prior)


def fit_of(codec: Codec, prior: str = "auto", seed: int = 0) -> Fit:
    """How far samples of a prior spread, against decoded training codes."""
    kind = codec.prior_named(prior)
    sampled = codec.levels(codec.sample_codes(PICTURES, seed, prior=kind))
    spreads = _spread(sampled), _spread(codec.levels(real_codes(codec, PICTURES)))
    return Fit(kind, *spreads, _instead(codec, kind), codec.fitted is None)


def _instead(codec: Codec, kind: str) -> str:
    if codec.quantiser is None or kind in ("words", "codes"):
        return ""
    better = "latentdial fit-prior RUN fits one" if codec.words is None else "use the prior 'words'"
    return f"the codes of {codec.name} are words, and the prior {kind!r} knows nothing of these: {better}"


@torch.inference_mode()
def _log_prob(own: Callable[[Tensor], Tensor], codec: Codec, codes: np.ndarray) -> np.ndarray:
    """Of codes (N, D) under the model's own prior, (N,) in nats."""
    shape = getattr(codec.model, "code", codes.shape[1:])
    found = own(torch.tensor(codes, dtype=torch.float32, device=codec.device).reshape(1, len(codes), *shape))
    return found.reshape(len(codes), -1).sum(1).cpu().double().numpy()


def _spread(levels: np.ndarray) -> float:
    return float(np.sqrt(levels.var(0, dtype=np.float64).mean()))
