"""The likelihood of levels of 255 as a mixture of logistic distributions, each integrated over every level."""

from __future__ import annotations

from collections.abc import Mapping
from math import log, pi

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from latentdial.types import Kind, Shape

HALF = 1 / 255  # half a level, of pictures in [-1, 1]
LEAST_LOG_SCALE = -7.0
FIRST_LOG_SCALE = -2.0  # where an output is zero, before anything is known of errors
APART = 1.0  # from the middle one, the log scales of the narrowest and the widest component at first


class LogisticMixture(nn.Module):
    """p(level | z), a probability and no density, for pictures in [-1, 1] (arXiv 1701.05517, sections 2.1 and 2.2).

    Of a pixel with C channels and M components the decoder gives `outputs` numbers: C for the picture itself, M logits,
    and of each component C means (less the picture), C log scales (less those it has `at_first`) and C (C - 1) / 2
    coefficients, by which green follows red, and blue both.
    """

    range = (-1.0, 1.0)
    kind: Kind = "levels"
    draws: Mapping[str, Shape] = {}

    def __init__(self, channels: int, components: int):
        super().__init__()
        self.channels, self.components = channels, components
        apart = torch.linspace(-APART, APART, components) if components > 1 else torch.zeros(1)
        self.register_buffer("at_first", FIRST_LOG_SCALE + apart)  # (M,), of which none is another
        self.at_first: Tensor

    @property
    def outputs(self) -> int:
        """Numbers of the decoder for every pixel."""
        pairs = self.channels * (self.channels - 1) // 2
        return self.channels + self.components * (1 + 2 * self.channels + pairs)

    def target(self, x: Tensor, noise: Mapping[str, Tensor]) -> Tensor:
        """The pictures at whole levels."""
        return (x.clamp(-1, 1) / HALF).add(255).div(2).round().mul(2).sub(255) * HALF

    def log_prob(self, output: Tensor, x: Tensor) -> Tensor:
        logits, means, log_scales, coefficients = self._parts(output)
        seen = x[None, :, None]  # (1, B, 1, C, H, W)
        apart = seen - self._following(means, coefficients, seen)
        upper, lower = (-log_scales).exp() * (apart + HALF), (-log_scales).exp() * (apart - HALF)
        inside = F.logsigmoid(upper) + F.logsigmoid(-lower) + torch.log(-torch.expm1(lower - upper))
        each = torch.where(
            seen < HALF - 1, F.logsigmoid(upper), torch.where(seen > 1 - HALF, F.logsigmoid(-lower), inside)
        )
        return (each.sum(3) + logits.log_softmax(2)).logsumexp(2).sum((2, 3))

    def mean(self, output: Tensor) -> Tensor:
        """Of the logistic distributions, cut to the range: (B, C, H, W) of outputs (B, P, H, W)."""
        return self._mean(output[None])[0] if output.ndim == 4 else self._mean(output)

    def shown(self, value: Tensor) -> Tensor:
        return value.clamp(-1, 1)

    def invert(self, picture: Tensor) -> Tensor:
        return picture

    @torch.no_grad()
    def start(self, square: float) -> None:
        """The variance of a logistic distribution is (pi s)^2 / 3; components are narrower and wider than this."""
        scale = max((3 * square) ** 0.5 / pi, HALF)
        self.at_first += log(scale) - self.at_first.mean()

    def _mean(self, output: Tensor) -> Tensor:
        logits, means, _, coefficients = self._parts(output)
        return (logits.softmax(2)[:, :, :, None] * self._following(means, coefficients)).sum(2).clamp(-1, 1)

    def _following(self, means: Tensor, coefficients: Tensor, seen: Tensor | None = None) -> Tensor:
        """Means (K, B, M, C, H, W) of every channel given those before it: as `seen`, or else as their own means."""
        found: list[Tensor] = []
        for channel in range(self.channels):
            mean, first = means[:, :, :, channel], channel * (channel - 1) // 2
            for other in range(channel):
                given = found[other] if seen is None else seen[:, :, :, other]
                mean = mean + coefficients[:, :, :, first + other] * given
            found.append(mean)
        return torch.stack(found, 3)

    def _parts(self, output: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Logits (K, B, M, H, W); means, log scales and coefficients (K, B, M, ..., H, W)."""
        count, pairs = self.components * self.channels, self.channels * (self.channels - 1) // 2
        picture, logits, means, log_scales, coefficients = output.split(
            [self.channels, self.components, count, count, self.components * pairs], 2
        )
        means, log_scales = (part.unflatten(2, (self.components, self.channels)) for part in (means, log_scales))
        log_scales = (log_scales + self.at_first.view(-1, 1, 1, 1)).clamp(min=LEAST_LOG_SCALE)
        coefficients = coefficients.unflatten(2, (self.components, pairs)).tanh()
        return logits, picture[:, :, None] + means, log_scales, coefficients
