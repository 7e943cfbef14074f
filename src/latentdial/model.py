"""A model: network, bottleneck, prior and likelihood put together."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from latentdial.parts.bottlenecks import Deterministic, Gaussian, Posterior
from latentdial.parts.likelihoods import Bernoulli
from latentdial.parts.likelihoods import Gaussian as GaussianLikelihood
from latentdial.parts.networks import Network
from latentdial.parts.priors import StandardNormal
from latentdial.pixels import to_float
from latentdial.types import Pass


class Autoencoder(nn.Module):
    """An image autoencoder, variational where it has a prior.

    Nets may run in bfloat16 under autocast; the bottleneck, the densities and everything returned are float32.
    """

    def __init__(
        self,
        network: Network,
        bottleneck: Deterministic | Gaussian,
        likelihood: GaussianLikelihood | Bernoulli,
        prior: StandardNormal | None = None,
    ):
        super().__init__()
        self.encoder, self.decoder = network.encoder, network.decoder
        self.bottleneck, self.likelihood, self.prior = bottleneck, likelihood, prior

    @property
    def latent(self) -> int:
        """The number of latent dimensions D."""
        return self.bottleneck.latent

    def scale(self, pixels: Tensor) -> Tensor:
        """uint8 pixels (B, H, W, C) -> float pictures (B, C, H, W) in the range of the likelihood."""
        return to_float(pixels, self.likelihood.range)

    def posterior(self, x: Tensor) -> Posterior:
        """q(z|x) for pictures (B, C, H, W)."""
        return self.bottleneck(self.encoder(x).float())

    def encode(self, x: Tensor) -> Tensor:
        """The mean code (B, D) of pictures (B, C, H, W): deterministic, whatever the model."""
        return self.posterior(x).mean

    def decode(self, z: Tensor) -> Tensor:
        """The mean picture (B, C, H, W) of codes (B, D), in the range of the likelihood."""
        return self.likelihood.mean(self.decoder(z).float())

    def forward(
        self,
        x: Tensor,
        samples: int = 1,
        generator: torch.Generator | None = None,
        noise: Tensor | None = None,
    ) -> Pass:
        """Encode pictures (B, C, H, W), draw `samples` codes each, decode, and give every density and KL in nats.

        Standard normal `noise` (K, B, D) may be given in place of a generator.
        """
        posterior = self.posterior(x)
        z = posterior.sample(samples, generator, noise)
        output = self.decoder(z.flatten(0, 1)).float().unflatten(0, z.shape[:2])
        log_px = self.likelihood.log_prob(output, x)
        if self.prior is None or posterior.log_variance is None:
            return Pass(x, z, log_px, posterior=posterior)
        kl = {"z": self.prior.kl(posterior.mean, posterior.log_variance)}
        return Pass(x, z, log_px, kl, posterior, self.prior)
