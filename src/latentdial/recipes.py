"""Published models, each a short builder over the same parts; a new model is a function here and nothing else."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from latentdial.config import ModelSettings, Options
from latentdial.errors import LatentdialError
from latentdial.model import Autoencoder
from latentdial.parts.bottlenecks import Deterministic, Gaussian
from latentdial.parts.likelihoods import Bernoulli
from latentdial.parts.likelihoods import Gaussian as GaussianLikelihood
from latentdial.parts.networks import conv, mlp
from latentdial.parts.objectives import Term, kl, nll
from latentdial.parts.priors import StandardNormal

MAX_PARAMETERS = 2_000_000_000
MAX_WIDTH = 131_072
MAX_LAYERS = 16

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Recipe:
    """A model and the objective that trains it with `samples` codes an image."""

    model: Autoencoder
    objective: Sequence[Term]
    samples: int = 1


def fcn_ae(image: Shape, latent: int = 128, widths: Sequence[int] = (2048, 512)) -> Recipe:
    """Fully connected autoencoder with a Tanh picture and squared error (Hinton & Salakhutdinov, Science 2006)."""
    code = Deterministic(latent)
    return Recipe(Autoencoder(mlp(image, code.features, latent, widths), code, GaussianLikelihood(1.0)), [nll()])


def fcn_vae(
    image: Shape, latent: int = 128, widths: Sequence[int] = (2048, 512), beta: float = 1.0, free_bits: float = 0.0
) -> Recipe:
    """The same net as a variational autoencoder with a learned sigma (arXiv 1312.6114; sigma: arXiv 2006.13202)."""
    code, prior = Gaussian(latent), StandardNormal(latent)
    net = mlp(image, code.features, latent, widths)
    return Recipe(Autoencoder(net, code, GaussianLikelihood(), prior), [nll(), kl(beta, free_bits)])


def conv_ae(image: Shape, latent: int = 128, channels: Sequence[int] = (32, 64, 128, 256)) -> Recipe:
    """Convolutional autoencoder with a Tanh picture and squared error (Masci et al., ICANN 2011)."""
    code = Deterministic(latent)
    return Recipe(Autoencoder(conv(image, code.features, latent, channels), code, GaussianLikelihood(1.0)), [nll()])


def conv_vae(
    image: Shape,
    latent: int = 128,
    channels: Sequence[int] = (32, 64, 128, 256),
    beta: float = 1.0,
    free_bits: float = 0.0,
) -> Recipe:
    """Convolutional variational autoencoder with a learned sigma (arXiv 1312.6114; sigma: arXiv 2006.13202)."""
    code, prior = Gaussian(latent), StandardNormal(latent)
    net = conv(image, code.features, latent, channels)
    return Recipe(Autoencoder(net, code, GaussianLikelihood(), prior), [nll(), kl(beta, free_bits)])


def binary_vae(
    image: Shape, latent: int = 20, widths: Sequence[int] = (400,), beta: float = 1.0, free_bits: float = 0.0
) -> Recipe:
    """Fully connected VAE for black and white pictures, Bernoulli likelihood (arXiv 1312.6114, section 5)."""
    code, prior = Gaussian(latent), StandardNormal(latent)
    return Recipe(
        Autoencoder(mlp(image, code.features, latent, widths), code, Bernoulli(), prior), [nll(), kl(beta, free_bits)]
    )


RECIPES: dict[str, Callable[..., Recipe]] = {
    builder.__name__.replace("_", "-"): builder for builder in (fcn_ae, fcn_vae, conv_ae, conv_vae, binary_vae)
}


def options_of(name: str) -> dict[str, Any]:
    """The options of a recipe with their defaults; an unknown name is a LatentdialError."""
    if name not in RECIPES:
        raise LatentdialError(f"there is no recipe {name!r}: choose one of {', '.join(RECIPES)}")
    parameters = list(inspect.signature(RECIPES[name]).parameters.values())[1:]
    return {p.name: list(p.default) if isinstance(p.default, tuple) else p.default for p in parameters}


def build(settings: ModelSettings, image: Shape) -> Recipe:
    """Make the recipe for pictures (C, H, W), its options checked before anything is allocated."""
    defaults = options_of(settings.recipe)
    options = {name: _checked(settings.recipe, name, value, defaults) for name, value in settings.options.items()}
    builder = RECIPES[settings.recipe]
    with torch.device("meta"):
        parameters = sum(p.numel() for p in builder(image, **options).model.parameters())
    if parameters > MAX_PARAMETERS:
        raise LatentdialError(
            f"{settings.recipe} would have {parameters:,} parameters, more than {MAX_PARAMETERS:,}: "
            "use fewer or smaller layers, or a smaller --size"
        )
    return builder(image, **options)


def parse_options(assignments: Sequence[str], latent: int | None = None) -> Options:
    """Read `name=value` assignments, with lists as `widths=2048,512`; `latent` stands for latent=N."""
    options: Options = {} if latent is None else {"latent": latent}
    for assignment in assignments:
        name, _, text = assignment.partition("=")
        try:
            numbers = [float(part) if "." in part or "e" in part else int(part) for part in text.split(",")]
        except ValueError:
            raise LatentdialError(f"cannot read --set {assignment}: write name=number or name=number,number") from None
        options[name] = [int(number) for number in numbers] if "," in text else numbers[0]
    return options


def _checked(recipe: str, name: str, value: Any, defaults: dict[str, Any]) -> Any:
    if name not in defaults:
        raise LatentdialError(f"{recipe} has no option {name!r}: it takes {', '.join(defaults)}")
    default = defaults[name]
    if isinstance(default, list):
        value = value if isinstance(value, list) else [value]
        if not 1 <= len(value) <= MAX_LAYERS or not all(_whole(width) for width in value):
            raise LatentdialError(f"{name} must be 1 to {MAX_LAYERS} whole numbers from 1 to {MAX_WIDTH}")
    elif isinstance(default, int) and not _whole(value):
        raise LatentdialError(f"{name} must be a whole number from 1 to {MAX_WIDTH}, and is {value!r}")
    elif isinstance(default, float) and not (isinstance(value, int | float) and 0 <= value < 1e6):
        raise LatentdialError(f"{name} must be a number from 0 to 1e6, and is {value!r}")
    return value


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_WIDTH
