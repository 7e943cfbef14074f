"""A codec: pictures to codes and back, for a trained run or for any pair of torch modules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from latentdial.attributes.known import Attributes
from latentdial.config import Geometry, RunConfig
from latentdial.errors import LatentdialError
from latentdial.images import fit_picture, read_picture
from latentdial.images.geometry import fit_arrays
from latentdial.latent.canonical import Canonical, find_canonical
from latentdial.latent.direction import Direction
from latentdial.latent.novelty import Novelty, fit_novelty
from latentdial.latent.support import Support, fit_support
from latentdial.model import Model
from latentdial.parts.quantisers import Quantiser
from latentdial.pixels import Range, to_float, to_levels
from latentdial.priors.fitted import KINDS, MIN_CODES, FittedPriors, gaussian_of
from latentdial.priors.neighbours import between
from latentdial.priors.words import WordPrior
from latentdial.shown import Shown
from latentdial.texts import Brief, command, suggestion

CHUNK = 128
ENOUGH = MIN_CODES * 5 // 4  # codes, of which a fifth is kept apart, for every kind of prior that can be fitted
PRIORS = ("auto", *KINDS, "neighbours", "model", "words", "codes")

Picture = str | Path | Image.Image | np.ndarray | Tensor


@dataclass(frozen=True, repr=False)
class Codec(Brief, Shown):
    """Pictures <-> codes, with the codes of the training pictures where they are known.

    `encoder` maps float pictures (B, C, H, W) in `value_range` to codes (B, D), `decoder` maps them back.
    """

    encoder: Callable[[Tensor], Tensor]
    decoder: Callable[[Tensor], Tensor]
    geometry: Geometry
    value_range: Range = (-1.0, 1.0)
    name: str = "codec"
    address: str | None = None  # of its run, as a command takes it: a directory, or hub:user/name
    device: str = "cpu"
    training_codes: np.ndarray | None = None  # (N, D)
    held_out: np.ndarray | None = None  # (M, D) codes of pictures that were kept from training
    held_out_losses: np.ndarray | None = None  # (M, 2) what is lost of them; see `latent.novelty`
    kl: np.ndarray | None = None  # (D,) mean KL in nats per dimension over the training pictures
    prior: Callable[[int, torch.Generator], Tensor] | None = None
    config: RunConfig | None = None
    model: nn.Module | None = None
    thin: Model | None = None  # that does the same to rounding and quicker, for many pictures
    directions: tuple[Direction, ...] = ()  # stored with the run
    stored_support: Support | None = None
    stored_canonical: Canonical | None = None
    attributes: Attributes | None = None  # learnt from labels, for steering
    labelled_codes: np.ndarray | None = None  # (N, D) of training pictures that were told their labels, and
    labels: np.ndarray | None = None  # (N,) these; see `given`
    label: str | None = None  # of all its pictures, where it was given one
    fitted: FittedPriors | None = None  # to the training codes, stored with the run
    words: WordPrior | None = None  # the same for discrete codes

    def command(self, name: str, *more: object) -> str:
        """What to type for a command of its run."""
        return command(name, self.address or "RUN", *more)

    @property
    def _encoder(self) -> Callable[[Tensor], Tensor]:
        return self.encoder if self.thin is None else self.thin.encode

    @property
    def _decoder(self) -> Callable[[Tensor], Tensor]:
        return self.decoder if self.thin is None else self.thin.decode

    @property
    def quantiser(self) -> Quantiser | None:
        """What makes words of its codes; None of a codec whose codes are continuous."""
        bottleneck = getattr(self.model, "bottleneck", None)
        return bottleneck if isinstance(bottleneck, Quantiser) else None

    @cached_property
    def support(self) -> Support:
        """Where in the code space the data lie: as stored with the run, else fitted to the training codes."""
        return self.stored_support or fit_support(self, self.held_out)

    @cached_property
    def novelty(self) -> Novelty | None:
        """How unlike the training pictures others are; None where no held-out pictures say what is usual."""
        if self.training_codes is None or self.held_out is None or self.held_out_losses is None:
            return None
        mean = self.training_codes.mean(0, dtype=np.float64)
        return fit_novelty(mean, self.covariance, self.held_out, self.held_out_losses)

    @cached_property
    def canonical(self) -> Canonical:
        """The canonical coordinates of the code: as stored with the run, else found from the training codes."""
        if self.stored_canonical is not None:
            return self.stored_canonical
        return find_canonical(lambda z: to_levels(self._decoder(z), self.value_range), self.codes, self.device)

    @cached_property
    def covariance(self) -> np.ndarray:
        """The covariance (D, D) of the training codes, float64, normalised by their number."""
        return np.atleast_2d(np.cov(self.codes.T.astype(np.float64), bias=True))

    @cached_property
    def measured(self) -> dict[str, float]:
        """Effects of dimensions by name that have been measured already; see `latent.effect.effects`."""
        return {}

    @property
    def codes(self) -> np.ndarray:
        """The codes of the training pictures, (N, D)."""
        if self.training_codes is None:
            raise LatentdialError(f"{self.name} has no training codes: give it pictures first, as in codec.fit(images)")
        return self.training_codes

    @property
    def latent(self) -> int:
        """The number of latent dimensions D."""
        own = getattr(self.model, "latent", None)
        if self.training_codes is None and isinstance(own, int):
            return own
        return self.codes.shape[1]

    @property
    def seen(self) -> int:
        """How many numbers a picture is made of: those of the code, or the fewer that its decoder sees."""
        return self.model.seen if isinstance(self.model, Model) else self.latent

    @cached_property
    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of every dimension over the training codes, each (D,); 0 where none varies."""
        still = self.codes.min(0) == self.codes.max(0)  # their mean is rounded, and they would vary by that
        return np.where(still, self.codes[0], self.codes.mean(0)), np.where(still, 0, self.codes.std(0))

    def pictures(self, given: Picture | list[Picture]) -> np.ndarray:
        """Paths, Pillow pictures, arrays or tensors -> uint8 (N, H, W, C), fitted like the training pictures.

        Arrays are uint8 (N, H, W, C) or (H, W, C); tensors (N, C, H, W) or (C, H, W), uint8 or floats from 0 to 1.
        """
        if isinstance(given, list):
            if not given:
                raise LatentdialError("there is no picture: give at least one")
            return np.concatenate([self.pictures(one) for one in given])
        if isinstance(given, Tensor):
            given = _of_tensor(given)
        if isinstance(given, np.ndarray):
            return fit_arrays(_uint8_batch(given), self.geometry)
        if isinstance(given, Image.Image):
            return fit_picture(given, self.geometry)[None]
        return read_picture(given, self.geometry)[None]

    def encode(self, given: Picture | list[Picture]) -> np.ndarray:
        """Pictures -> float32 codes (N, D); deterministic (the posterior mean of a VAE)."""
        pixels = self.pictures(given)
        return self._run(lambda x: self._encoder(to_float(x, self.value_range)), pixels)

    def levels(self, codes: np.ndarray) -> np.ndarray:
        """Codes (N, D) -> pictures in levels of 255, float32 (N, H, W, C), not rounded."""
        batch = np.atleast_2d(np.asarray(codes, np.float32))
        return self._run(lambda z: to_levels(self._decoder(z), self.value_range), batch)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Codes (N, D) or (D,) -> uint8 pictures (N, H, W, C); a LatentdialError where what comes out is no number."""
        levels = self.levels(codes)
        if np.isnan(levels).any():
            raise LatentdialError(
                f"{self.name} makes no picture of such a code, only values that are no numbers: stay nearer to the "
                "training codes, or train it again if its own pictures are so too"
            )
        return levels.round().astype(np.uint8)

    def reconstruct(self, given: Picture | list[Picture]) -> np.ndarray:
        """Pictures -> their reconstructions, uint8 (N, H, W, C)."""
        return self.decode(self.encode(given))

    def sample(self, n: int, seed: int = 0, temperature: float = 1.0, prior: str = "auto") -> np.ndarray:
        """Draw n new pictures, uint8 (n, H, W, C); see `sample_codes`."""
        return self.decode(self.sample_codes(n, seed, temperature, prior))

    def sample_codes(self, n: int, seed: int = 0, temperature: float = 1.0, prior: str = "auto") -> np.ndarray:
        """Draw n codes (n, D), float32, that spread from the mean in proportion to `temperature`.

        `prior`: "model" is the model's own; "gaussian", "mixture" and "diffusion" are fitted to the training codes,
        "words" to discrete ones; "neighbours" draws between training codes of like pictures (see `priors.neighbours`),
        and "codes" takes them as they are; "auto" is what `prior_named` says. Others are a LatentdialError.
        """
        kind = self.prior_named(prior)
        if kind == "words" and self.words is not None and self.quantiser is not None:
            numbers = self.words.net.sample(n, torch.Generator().manual_seed(seed), temperature)
            with torch.inference_mode():
                return self.quantiser.code_of_rows(numbers.to(self.device)).cpu().numpy()
        if kind == "model" and self.prior is not None:
            drawn = self.prior(n, torch.Generator().manual_seed(seed))
            return (temperature * drawn).detach().cpu().numpy()
        if kind == "codes":
            chosen = self.codes[np.random.default_rng(seed).integers(0, len(self.codes), n)]
            return self._spread(chosen, temperature)
        if kind == "neighbours":
            seen = self.canonical.coordinates(self.codes) * self.canonical.levels
            return self._spread(between(self.codes, seen, n, np.random.default_rng(seed)), temperature)
        return self.priors[kind].sample(n, seed, temperature)

    def _spread(self, codes: np.ndarray, temperature: float) -> np.ndarray:
        mean = self.codes.mean(0)
        return (mean + temperature * (codes - mean)).astype(np.float32)

    def prior_named(self, name: str = "auto") -> str:
        """The prior that a name stands for: "auto" is the one under which held-out codes were likeliest.

        Where none was fitted, "auto" is the model's own, or else a Gaussian. A name that the codec has no prior for is
        a LatentdialError.
        """
        if name not in PRIORS:
            raise LatentdialError(f"there is no prior {name!r}: use {', '.join(PRIORS)}")
        if name == "model" and self.prior is None:
            raise LatentdialError(f"{self.name} has no prior of its own to sample from: {self._drawn_from}")
        if name == "words" and self.quantiser is None:
            raise LatentdialError(f"the codes of {self.name} are no words: {self._drawn_from}")
        if name in ("mixture", "diffusion", "neighbours") and self.quantiser is not None:
            raise LatentdialError(f"the codes of {self.name} are words, with nothing between them: {self._drawn_from}")
        if (name == "words" and self.words is None) or (name in KINDS and name not in self.priors.priors):
            if self.fitted is not None and len(self.codes) < ENOUGH:
                raise LatentdialError(f"{self.name} has too few codes for a prior {name!r}: {self._drawn_from}")
            if self.fitted is not None and not self.fitted.nats:  # a Gaussian that was never compared with others
                raise LatentdialError(f"{self.name} has no prior {name!r}: {self._drawn_from}")
            raise LatentdialError(f"{self.name} has no prior {name!r} yet: run {self.command('fit-prior')}")
        if name != "auto":
            return name
        if self.words is not None:
            return "words"
        if self.fitted is None:
            return "gaussian" if self.prior is None else "model"
        return self.fitted.best if self.prior is not None or self.fitted.best != "model" else "gaussian"

    @property
    def _drawn_from(self) -> str:
        """What to draw codes from, as a remedy."""
        if self.quantiser is None:
            fitted = ["gaussian"] if self.fitted is None else self.fitted.priors
            return f"use {', '.join(['auto', *fitted])} or neighbours"
        return "use words" if self.words is not None else f"run {self.command('fit-prior')}, and use words"

    @cached_property
    def priors(self) -> FittedPriors:
        """The priors fitted to the training codes: as stored with the run, else a Gaussian."""
        return self.fitted or gaussian_of(self.codes)

    @property
    def label_names(self) -> list[str]:
        """The labels that its model learnt from; none of most models."""
        return list(self.config.model.labels) if self.config is not None else []

    def given(self, label: str | int) -> Codec:
        """The codec of pictures with this label, for a model that learnt from labels; others are a LatentdialError.

        Its training codes are those of such pictures, or of all where these are too few to tell anything; from a
        Gaussian of them it draws.
        """
        names = self.label_names
        row = names.index(label) if label in names else label
        if not names:
            raise LatentdialError(
                f"{self.name} has not learnt from labels: train conditional-vae on pictures with some"
            )
        if isinstance(row, str) or not 0 <= row < len(names):
            raise LatentdialError(f"{self.name} knows no label {label!r}: {suggestion(str(label), names, 'it takes')}")
        model, name = cast(Any, self.model), f"{self.name} given {names[row]}"

        def labelled(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
            return lambda x: function(x, torch.full(x.shape[:1], row, device=x.device))

        encoder, decoder = labelled(model.encode), labelled(model.decode)
        bare = replace(self, encoder=encoder, decoder=decoder, thin=None, name=name, label=names[row])
        bare = replace(bare, stored_canonical=None, stored_support=None, directions=(), attributes=None)
        if self.labelled_codes is None:
            return bare
        own = self.labelled_codes[self.labels == row]
        codes = own if len(own) >= MIN_CODES else self.labelled_codes
        bare = replace(bare, held_out=None, held_out_losses=None, labelled_codes=None, labels=None)
        return replace(bare, training_codes=codes, fitted=gaussian_of(codes))

    def fit(self, given: Picture | list[Picture]) -> Codec:
        """The same codec with the codes of these pictures as its training codes."""
        plain = replace(self, stored_canonical=None, fitted=None, words=None, held_out=None, held_out_losses=None)
        return replace(plain, training_codes=self.encode(given))

    def _run(self, function: Callable[[Tensor], Tensor], batch: np.ndarray) -> np.ndarray:
        chunks = (torch.tensor(batch[i : i + CHUNK], device=self.device) for i in range(0, len(batch), CHUNK))
        with torch.inference_mode():
            return torch.cat([function(chunk).float().cpu() for chunk in chunks]).numpy()


def wrap(
    encoder: nn.Module,
    decoder: nn.Module,
    size: int = 64,
    value_range: Range = (-1.0, 1.0),
    colour: str = "rgb",
    images: Picture | list[Picture] | None = None,
) -> Codec:
    """A codec of any torch pair that is trained already: your notebook's, a diffusers or a pythae model.

    The encoder may take pictures (B, C, H, W) or flat vectors, and may return a tensor, a tuple that begins with the
    mean, or an object with `latent_dist`, `embedding` or `mean`. `images` give the training codes that effects need.

    >>> codec = wrap(nn.Linear(48, 2), nn.Linear(2, 48), size=4)
    >>> codec.encode(np.zeros((5, 4, 4, 3), np.uint8)).shape
    (5, 2)
    """
    geometry = Geometry(size=size, colour="rgb" if colour == "rgb" else "grey")
    encoder.eval(), decoder.eval()
    parameter = next(iter(encoder.parameters()), None)
    device = "cpu" if parameter is None else str(parameter.device)
    probe = torch.zeros(1, *geometry.shape, device=device)
    flat = _takes_flat(encoder, probe)
    with torch.inference_mode():
        code_shape = _tensor_of(encoder(probe.flatten(1) if flat else probe)).shape[1:]

    def encode(x: Tensor) -> Tensor:
        return _tensor_of(encoder(x.flatten(1) if flat else x)).flatten(1)

    def decode(z: Tensor) -> Tensor:
        return _tensor_of(decoder(z.unflatten(1, code_shape))).reshape(-1, *geometry.shape)

    pair = nn.ModuleList([encoder, decoder])
    codec = Codec(encode, decode, geometry, value_range, name=type(encoder).__name__, device=device, model=pair)
    return codec if images is None else codec.fit(images)


def _takes_flat(encoder: nn.Module, probe: Tensor) -> bool:
    reasons = []
    for flat in (False, True):
        try:
            with torch.inference_mode():
                encoder(probe.flatten(1) if flat else probe)
            return flat
        except (RuntimeError, ValueError) as error:
            reasons.append(str(error).split("\n")[0])
    raise LatentdialError(
        f"the encoder takes neither {tuple(probe.shape)} nor flat pictures ({reasons[0]}): check size="
    )


def _tensor_of(output: Any) -> Tensor:
    """The mean code or the picture in what common encoders and decoders return."""
    if isinstance(output, Tensor):
        return output
    if isinstance(output, tuple | list):
        return _tensor_of(output[0])
    for attribute in ("latent_dist", "embedding", "mean", "reconstruction", "sample"):
        value = getattr(output, attribute, None)
        if value is not None and (not callable(value)):
            return _tensor_of(value)
    raise LatentdialError(f"the module returned {type(output).__name__}: wrap it in one that returns a tensor")


def _of_tensor(pictures: Tensor) -> np.ndarray:
    """A tensor of pictures as torch holds them, (N, C, H, W) or (C, H, W), as uint8 with the channels last."""
    given = pictures.detach().cpu()
    if given.ndim not in (3, 4) or given.shape[-3] not in (1, 3):
        raise LatentdialError(
            f"a tensor of pictures must be (N, C, H, W) with 1 or 3 channels, and is {tuple(given.shape)}: permute it"
        )
    if given.is_floating_point():
        if not bool(((given >= 0) & (given <= 1)).all()):
            raise LatentdialError("a tensor of floats must hold pictures from 0 to 1: scale it")
        given = (given.float() * 255).round().to(torch.uint8)
    return given.movedim(-3, -1).numpy()


def _uint8_batch(array: np.ndarray) -> np.ndarray:
    if array.dtype != np.uint8 or array.ndim not in (3, 4):
        raise LatentdialError(f"pictures must be uint8 (N, H, W, C), not {array.dtype} {array.shape}: scale to 0..255")
    return np.ascontiguousarray(array if array.ndim == 4 else array[None])
