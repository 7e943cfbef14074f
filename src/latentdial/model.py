"""A model: network, bottleneck, prior and likelihood put together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from math import prod
from typing import Protocol

import torch
from torch import Tensor, nn

from latentdial.errors import LatentdialError
from latentdial.layers import Network
from latentdial.parts.conditions import LABELS, Condition
from latentdial.parts.corruptions import Corruption
from latentdial.pixels import Range, to_float
from latentdial.posteriors import Bottleneck
from latentdial.types import Batch, Kind, Level, Pass, Posterior, Shape

KEPT = "kept"  # the noise that says how many numbers of a code are kept
LOGARITHMIC = 0.75  # share of the codes that are cut


class Likelihood(Protocol):
    """p(x|z): reads the decoder's output as a picture, and says how likely a real picture is under it."""

    range: Range
    kind: Kind
    draws: Mapping[str, Shape]

    def target(self, x: Tensor, noise: Mapping[str, Tensor]) -> Tensor: ...

    def mean(self, output: Tensor) -> Tensor: ...

    def log_prob(self, output: Tensor, x: Tensor) -> Tensor: ...

    def shown(self, value: Tensor) -> Tensor: ...

    def invert(self, picture: Tensor) -> Tensor: ...

    def start(self, square: float) -> None: ...


class Model(nn.Module, ABC):
    """What the loop trains and a codec turns: pictures to codes and back, with every density in nats."""

    code: Shape  # of what a person turns; `encode` and `decode` speak of it flat, (B, D)
    draws: Mapping[str, Shape]  # the standard normal noise that a pass needs, for every sample and image
    labels = 0  # that it learns from
    likelihood: Likelihood
    prior: nn.Module | None

    @property
    def latent(self) -> int:
        """The number of latent dimensions D."""
        return prod(self.code)

    @property
    def seen(self) -> int:
        """How many numbers a picture is made of: those of the code, or the fewer that its decoder sees."""
        return self.latent

    def scale(self, pixels: Tensor) -> Tensor:
        """uint8 pixels (B, H, W, C) -> float pictures (B, C, H, W) in the range of the likelihood."""
        return to_float(pixels, self.likelihood.range)

    def batch(self, x: Tensor, samples: int = 1, generator: torch.Generator | None = None) -> Batch:
        """Pictures (B, C, H, W) as a batch with the noise that a pass with so many samples needs."""
        return Batch(x, draw(self.draws, samples, len(x), x.device, generator))

    @abstractmethod
    def forward(self, batch: Batch, samples: int = 1) -> Pass:
        """Encode the pictures, draw `samples` codes each, decode, and give every density in nats."""

    def passes(self, x: Tensor, generator: torch.Generator | None = None) -> Callable[[int], Pass]:
        """What draws so many codes of the same pictures (B, C, H, W) at every call, and decodes them.

        A model whose pictures can be encoded once does so; pixels that are drawn are drawn once.
        """
        noise = draw(self.likelihood.draws, 1, len(x), x.device, generator)
        return lambda samples: self(Batch(x, draw(self.draws, samples, len(x), x.device, generator) | noise), samples)

    @abstractmethod
    def encode(self, x: Tensor) -> Tensor:
        """The mean code (B, D) of pictures (B, C, H, W): deterministic, whatever the model."""

    @abstractmethod
    def decode(self, z: Tensor) -> Tensor:
        """The mean picture (B, C, H, W) of codes (B, D), in the range of the likelihood."""

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw n codes (n, D) from the prior, which must be there."""
        return self.prior.sample(n, generator).flatten(1)  # type: ignore[union-attr, operator]

    def order(self) -> None:
        """Train with nested dropout, so that the code's first k numbers say as much as k numbers can, for every k.

        A model whose code is no row of numbers that a decoder reads is a LatentdialError.
        """
        raise LatentdialError(f"the code of {type(self).__name__} is no row of numbers: train it without ordered=true")

    def codes_and_kl(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """The mean codes (B, D) and the KL of every dimension (B, D) in nats, None where it has no closed form."""
        return self.encode(x), None


class Autoencoder(Model):
    """An image autoencoder with one code, variational where it has a prior and its bottleneck is random.

    Nets may run in bfloat16 under autocast; the bottleneck, the densities and everything returned are float32.
    """

    def __init__(
        self,
        network: Network,
        bottleneck: Bottleneck,
        likelihood: Likelihood,
        prior: nn.Module | None = None,
        corruption: Corruption | None = None,
        condition: Condition | None = None,
    ):
        super().__init__()
        self.encoder, self.decoder = network.encoder, network.decoder
        self.bottleneck, self.likelihood, self.prior = bottleneck, likelihood, prior
        self.code: Shape = bottleneck.code
        self.corruption, self.condition = corruption, condition
        self.draws: Mapping[str, Shape] = {"z": bottleneck.code} if bottleneck.random else {}
        self.draws = {**self.draws, **likelihood.draws}
        if corruption is not None:
            self.draws = {**self.draws, "x": corruption.image}
        if condition is not None:
            self.labels, self.draws = condition.labels, {**self.draws, LABELS: ()}

    @property
    def seen(self) -> int:
        return self.bottleneck.seen

    def order(self) -> None:
        if len(self.code) != 1:
            super().order()
        self.draws = {**self.draws, KEPT: ()}

    def posterior(self, x: Tensor, rows: Tensor | None = None) -> Posterior:
        """q(z|x) for pictures (B, C, H, W), given the rows (B,) of the condition; without them, of no label."""
        if self.condition is not None:
            x = self.condition.picture(x, self.condition.rows(None, x) if rows is None else rows)
        return self.bottleneck(self.encoder(x).float())

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.posterior(self.likelihood.target(x, {}), self._rows(x, y)).mean.flatten(1)

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return self.likelihood.mean(self.output(z.unflatten(1, self.code), self._rows(z, y)))

    def output(self, z: Tensor, rows: Tensor | None = None) -> Tensor:
        """Of the decoder for codes (B, ...), given the rows (B,) of the condition; without them, of no label."""
        return self.decoder(self.read(z, rows)).float()

    def read(self, z: Tensor, rows: Tensor | None = None) -> Tensor:
        """What the decoder sees (B, F) of codes (B, ...) and of rows (B,) of the condition."""
        seen = self.bottleneck.read(z)
        if self.condition is None:
            return seen
        return self.condition.code(seen, self.condition.rows(None, z) if rows is None else rows)

    def rows(self, batch: Batch) -> Tensor | None:
        """Rows (B,) of the condition for the labels of a batch, in training some left out; None where it has none."""
        left_out = batch.noise[LABELS][0] if self.training and LABELS in batch.noise else None
        return self._rows(batch.x, batch.y, left_out)

    def _rows(self, like: Tensor, y: Tensor | None, noise: Tensor | None = None) -> Tensor | None:
        return None if self.condition is None else self.condition.rows(y, like, noise)

    def forward(self, batch: Batch, samples: int = 1) -> Pass:
        x = self.likelihood.target(batch.x, batch.noise)
        spoilt = self.corruption is not None and self.training
        rows = self.rows(batch)
        posterior = self.posterior(self.corruption(x, batch.noise["x"][0]) if spoilt else x, rows)  # type: ignore[misc]
        return self._decoded(x, posterior, batch.noise, samples, rows)

    def passes(self, x: Tensor, generator: torch.Generator | None = None) -> Callable[[int], Pass]:
        x = self.likelihood.target(x, draw(self.likelihood.draws, 1, len(x), x.device, generator))
        posterior, drawn = self.posterior(x), {name: self.draws[name] for name in self.draws if name == "z"}
        return lambda samples: self._decoded(x, posterior, draw(drawn, samples, len(x), x.device, generator), samples)

    def _decoded(
        self, x: Tensor, posterior: Posterior, noise: Mapping[str, Tensor], samples: int, rows: Tensor | None = None
    ) -> Pass:
        """The pass that draws its codes from a posterior of the pictures (B, C, H, W)."""
        z = posterior.sample(noise.get("z"), samples)
        kept = noise.get(KEPT) if self.training else None
        seen = z if kept is None else z * prefix(kept, self.latent)
        output = self.output(seen.flatten(0, 1), None if rows is None else rows.repeat(samples)).unflatten(
            0, z.shape[:2]
        )
        log_px = self.likelihood.log_prob(output, x)
        return Pass(x, output, log_px, {"z": Level(z, posterior, self.prior)})  # type: ignore[arg-type]

    def codes_and_kl(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        posterior = self.posterior(self.likelihood.target(x, {}))
        kl = None if self.prior is None else posterior.kl(self.prior)  # type: ignore[arg-type]
        return posterior.mean.flatten(1), None if kl is None else kl.flatten(1)


def prefix(noise: Tensor, latent: int) -> Tensor:
    """Masks (..., D) that keep the first k numbers of a code, k by standard normal noise (...): nested dropout.

    k is all of D for a quarter, and else even in its logarithm from 1 to D, so that few numbers are trained as well as
    many (Rippel, Gelbart & Adams, arXiv 1402.0915, section 3, who draw it from a geometric distribution).

    >>> prefix(torch.tensor([-9.0, -0.3, 9.0]), 4).sum(-1)
    tensor([1., 2., 4.])
    """
    share = torch.special.ndtr(noise) / LOGARITHMIC
    count = torch.pow(float(latent), share).floor().clamp(1, latent)
    return (torch.arange(latent, device=noise.device) < count[..., None]).to(noise)


def draw(
    draws: Mapping[str, Shape],
    samples: int,
    images: int,
    device: torch.device | str,
    generator: torch.Generator | None = None,
) -> dict[str, Tensor]:
    """Standard normal noise (K, B, ...) of every name and shape, in their order."""
    sizes = {name: (samples, images, *shape) for name, shape in draws.items()}
    return {name: torch.randn(size, generator=generator, device=device) for name, size in sizes.items()}
