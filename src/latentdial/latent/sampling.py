"""Priors of a codec: fitting them to its codes, and whether samples from one look like reconstructions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from latentdial.config import PRIOR_STEPS
from latentdial.errors import LatentdialError
from latentdial.images import open_parts
from latentdial.latent.codec import Codec
from latentdial.latent.effect import VISIBLE, real_codes
from latentdial.priors.fitted import KINDS, FittedPriors, fit_priors
from latentdial.priors.words import WordPrior, fit_words
from latentdial.progress import Progress, quiet
from latentdial.texts import command, counted

PICTURES = 128
MIN_HELD_OUT = 20  # codes, below which some training codes judge instead
FEW = 500  # training codes, below which densities of them were seen to draw blends
NARROW, WIDE = 0.8, 1.25  # of the reconstructions' spread


@dataclass(frozen=True)
class Fit:
    """How far pictures differ from each other, in levels of 255: the root of their mean variance.

    `sampled` over pictures drawn from a prior, `reconstructed` over decoded training codes. `words_of` names the codec
    where its codes are words, of which this prior knows nothing; `fitted` says whether others have been fitted.
    """

    prior: str
    sampled: float
    reconstructed: float
    words_of: str = ""
    fitted: bool = True

    @property
    def silent(self) -> bool:
        """Whether pictures are alike whatever the code, so that none is better than another."""
        return max(self.sampled, self.reconstructed) < VISIBLE

    @property
    def good(self) -> bool:
        """Whether samples vary about as much as reconstructions do, from a prior that is meant for such codes."""
        near = NARROW * self.reconstructed <= self.sampled <= WIDE * self.reconstructed
        return near and not self.silent and not self.words_of

    def sentence(self, run: str = "RUN") -> str:
        """What is wrong with the prior, and what to type for this run; empty where nothing is."""
        fits = command("fit-prior", run)
        if self.words_of:
            unfit = f"the codes of {self.words_of} are words, and the prior {self.prior!r} knows nothing of these"
            return f"{unfit}: {'use the prior words' if self.fitted else f'{fits} fits one that does'}"
        if self.silent:
            return "decoded training codes vary by less than a level of 255, and so does what any prior draws"
        if self.good:
            return ""
        seen = f"samples vary by {self.sampled:.0f} levels of 255, reconstructions by {self.reconstructed:.0f}"
        narrow, wide = "samples stay near the average picture", "samples leave what the decoder has learnt"
        so = narrow if self.sampled < self.reconstructed else wide
        more = "" if self.fitted else f"; {fits} fits others"
        return f"the prior {self.prior!r} does not fit the codes: {seen}, so {so}{more}"


def fit_prior(
    codec: Codec,
    held_out: np.ndarray | None = None,
    kinds: Sequence[str] = KINDS,
    seed: int = 0,
    progress: Progress = quiet,
    steps: int = PRIOR_STEPS,
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
    if codec.quantiser is None:
        return Fit(kind, *spreads, fitted=codec.fitted is not None)
    return Fit(kind, *spreads, "" if kind in ("words", "codes") else codec.name, codec.words is not None)


def better(codec: Codec, prior: str = "auto") -> str:
    """What to take in place of the prior that nobody has chosen, where it draws worse pictures; else empty."""
    kind = codec.prior_named(prior)
    if prior != "auto" or codec.quantiser is not None:
        return ""
    if len(codec.codes) < FEW:
        few = counted(len(codec.codes), "training picture")
        return (
            f"{few} are few, and a density of their codes draws blends of them all: --prior neighbours blends like ones"
        )
    if codec.fitted is None and kind == "gaussian":
        return (
            f"no other prior was fitted to its codes yet: {codec.command('fit-prior')} does, and sample takes the best"
        )
    return ""


@torch.inference_mode()
def _log_prob(own: Callable[[Tensor], Tensor], codec: Codec, codes: np.ndarray) -> np.ndarray:
    """Of codes (N, D) under the model's own prior, (N,) in nats."""
    shape = getattr(codec.model, "code", codes.shape[1:])
    found = own(torch.tensor(codes, dtype=torch.float32, device=codec.device).reshape(1, len(codes), *shape))
    return found.reshape(len(codes), -1).sum(1).cpu().double().numpy()


def _spread(levels: np.ndarray) -> float:
    return float(np.sqrt(levels.var(0, dtype=np.float64).mean()))
