"""Frozen values that cross rooms.

Legend of shapes: K samples of the code, B images, D latent dimensions, C channels, H rows, W columns. A code has the
shape (D,), or (C, H, W) where it is spatial; `...` below stands for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from torch import Tensor, nn

Shape = tuple[int, ...]
ImageShape = tuple[int, int, int]  # (C, H, W)
Kind = Literal["density", "levels", "binary", "features"]  # what a likelihood is of


class Prior(Protocol):
    """p(z): a log density of codes (K, B, ...) in nats, by factors: (K, B, factors), whose sum is log p(z)."""

    def log_prob(self, z: Tensor) -> Tensor: ...

    def kl(self, mean: Tensor, log_variance: Tensor) -> Tensor | None:
        """KL(N(mean, exp(log_variance)) || p) in nats, (B, ...); None where it has no closed form."""


class Posterior(Protocol):
    """q(z|x) of B images."""

    @property
    def mean(self) -> Tensor:
        """(B, ...)"""

    @property
    def extra(self) -> Mapping[str, Tensor]:
        """What else a bottleneck says of its codes."""

    def sample(self, noise: Tensor | None, samples: int = ...) -> Tensor:
        """Codes (K, B, ...) made of standard normal noise (K, B, ...)."""

    def log_prob(self, z: Tensor) -> Tensor | None:
        """log q(z|x) in nats by dimensions, (K, B, ...); None for a point."""

    def kl(self, prior: Prior) -> Tensor | None:
        """KL(q(z|x) || p(z)) in nats, (B, ...); None where it has no closed form."""


class Processes(Protocol):
    """Those that train one model together, of which this is number `rank`."""

    @property
    def rank(self) -> int: ...

    @property
    def size(self) -> int: ...

    def sum(self, value: Tensor) -> Tensor:
        """The sum of every process's value, the same in all of them."""


@dataclass(frozen=True, eq=False)
class Principal:
    """The leading principal components of N pictures of P values; D of them vary, the rest of those asked for are zero.

    `total` is the variance of all P values together, so what the components leave is `total - variances.sum()`.
    """

    mean: Tensor  # (P,)
    components: Tensor  # (D, P) orthonormal, the largest variance first, each with its largest value positive
    variances: Tensor  # (D,) of the pictures along them
    total: float

    def first(self, count: int) -> Principal:
        """The first so many of them."""
        return replace(self, components=self.components[:count], variances=self.variances[:count])

    @property
    def rest(self) -> float:
        """The mean variance along the directions left out: sigma^2 of probabilistic PCA, eq. 8 of Tipping & Bishop."""
        left = len(self.mean) - len(self.variances)
        return max(self.total - float(self.variances.sum()), 0.0) / left if left else 0.0

    def project(self, pictures: Tensor) -> Tensor:
        """Coordinates (B, D) of float pictures (B, ...) along the components."""
        return (pictures.flatten(1) - self.mean) @ self.components.T

    def restore(self, coordinates: Tensor) -> Tensor:
        """Pictures (B, P) at these coordinates (B, D)."""
        return coordinates @ self.components + self.mean


@dataclass(frozen=True)
class Batch:
    """What one step sees: the images, their labels, and all that is random about it."""

    x: Tensor  # (B, C, H, W)  the images, in the range of the likelihood
    noise: Mapping[str, Tensor] = field(default_factory=dict)  # standard normal, (K, B, ...), as `draws` ask for
    y: Tensor | None = None  # (B,)  the labels
    pictures: int = 1  # in the training set
    done: float = 1.0  # share of the run


@dataclass(frozen=True)
class Level:
    """The codes of one level of a model. Densities are computed when they are asked for: an objective with an
    analytic KL never needs them, and for a small net they cost as much as a layer.
    """

    z: Tensor  # (K, B, ...)  samples of the code
    posterior: Posterior
    prior: Prior | None = None

    @property
    def log_pz(self) -> Tensor | None:
        """log p(z) in nats, (K, B); None where there is no prior (AE)."""
        return None if self.prior is None else self.prior.log_prob(self.z).flatten(2).sum(-1)

    @property
    def log_qz(self) -> Tensor | None:
        """log q(z|x) in nats, (K, B); None where the posterior is a point (AE)."""
        each = self.posterior.log_prob(self.z)
        return None if each is None else each.flatten(2).sum(-1)

    @property
    def kl(self) -> Tensor | None:
        """KL(q(z|x) || p(z)) in nats, (B, D); where it has no closed form its mean over the samples, (B, 1)."""
        if self.prior is None:
            return None
        analytic = self.posterior.kl(self.prior)
        if analytic is not None:
            return analytic.flatten(1)
        log_qz, log_pz = self.log_qz, self.log_pz
        return None if log_qz is None or log_pz is None else (log_qz - log_pz).mean(0)[:, None]


@dataclass(frozen=True, eq=False)
class Affine:
    """The map x -> weight x + bias."""

    weight: Tensor  # (F, P)
    bias: Tensor  # (F,)


@dataclass(frozen=True)
class Pass:
    """One forward pass of a model over B images with K samples each; nothing is reduced."""

    x: Tensor  # (B, C, H, W)  the images, in the range of the likelihood
    output: Tensor  # (K, B, C, H, W)  of the decoder, before the likelihood reads it
    log_px: Tensor  # (K, B)  log p(x|z) in nats, summed over pixels
    levels: Mapping[str, Level]  # from the one nearest to the data to the highest

    @property
    def z(self) -> Tensor:
        """Samples of the code of the level nearest to the data, (K, B, ...)."""
        return next(iter(self.levels.values())).z

    @property
    def log_weight(self) -> Tensor:
        """log p(x, z) / q(z|x) in nats, (K, B): its mean over samples is the ELBO (arXiv 1509.00519, eq. 8)."""
        return self.log_px + sum(level.log_pz - level.log_qz for level in self.levels.values())  # type: ignore[operator, misc]


@dataclass(frozen=True)
class Term:
    """A named loss term: `value` maps a pass and its batch to a mean over samples and images, in nats per image, ().

    `counted`, where given, is what the loss takes in its place, times `weight`; a term of weight 0 is only logged. The
    schedule of the KL scales the weights of those that are `scheduled`. `draws` names the noise that it needs. A term
    that differentiates twice, or changes gradients on their way, does not compile.
    """

    name: str
    value: Callable[[Pass, Batch], Tensor]
    weight: float = 1.0
    counted: Callable[[Pass, Batch], Tensor] | None = None
    scheduled: bool = False
    draws: Mapping[str, Shape] = field(default_factory=dict)
    compiles: bool = True


@dataclass(frozen=True, eq=False)
class Rival:
    """An opponent of the model with its own optimizer: a net that is trained beside it and never published.

    `value` maps a pass and its batch to what the rival minimises, (); it must detach what it takes from the pass.
    """

    name: str
    net: nn.Module
    value: Callable[[Pass, Batch], Tensor]
    draws: Mapping[str, Shape] = field(default_factory=dict)
