"""Likelihoods p(x|z): how the decoder's output is read as a picture, and how likely a real picture is under it.

Each has a `range` of its pictures, `mean` from the decoder's output to the mean picture, and `log_prob` in nats, summed
over pixels: decoder outputs (K, B, C, H, W) and pictures (B, C, H, W) give (K, B). A linear start sets the first C
channels of an output: `shown` says what each of their values is in the picture, and `invert` undoes it. `kind` says
what it is of: a density of values, a probability of "levels", or of "binary" pixels; where it is of "features",
pictures have none. `target` gives the pictures that it speaks of, from those at rest and the noise that it `draws`;
without noise, what they are in the mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import log, pi
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from latentdial.types import ImageShape, Kind, Shape

Binarise = Literal["none", "threshold", "sampled"]
PIXELS = "pixels"  # the noise by which grey pixels become black or white
LOG_SIGMA_FLOOR = log(1 / 255)
LOG_SIGMA_GAIN = 10.0
MILD = 0.96  # of the way from the middle of the range to its ends, where outputs would be without bound


class Gaussian(nn.Module):
    """N(tanh(output), sigma^2) over pictures in [-1, 1]; one sigma for all pixels, fixed or learned.

    Without `squash` the mean is the output itself, as in a linear autoencoder.
    With a fixed sigma of 1, minimising -log p is minimising half the squared error. A learned sigma balances
    reconstruction against KL by itself (sigma-VAE, arXiv 2006.13202, section 4.1).
    """

    range = (-1.0, 1.0)
    kind: Kind = "density"
    draws: Mapping[str, Shape] = {}

    def __init__(self, sigma: float | None = None, squash: bool = True):
        super().__init__()
        self.squash = squash
        start = 0.0 if sigma is None else log(sigma)
        self.log_sigma_over_gain = nn.Parameter(torch.tensor(start / LOG_SIGMA_GAIN), requires_grad=sigma is None)

    @property
    def log_sigma(self) -> Tensor:
        """Adam moves every parameter by about lr a step; the gain lets sigma reach the data's scale within an epoch."""
        return (LOG_SIGMA_GAIN * self.log_sigma_over_gain).clamp(min=LOG_SIGMA_FLOOR)

    def target(self, x: Tensor, noise: Mapping[str, Tensor]) -> Tensor:
        return x

    def mean(self, output: Tensor) -> Tensor:
        return self.shown(output)

    def shown(self, value: Tensor) -> Tensor:
        return value.tanh() if self.squash else value

    def invert(self, picture: Tensor) -> Tensor:
        return (MILD * picture).atanh() if self.squash else picture

    @torch.no_grad()
    def start(self, square: float) -> None:
        """Set a sigma that is learned to what pictures leave whose mean squared error per value is `square`."""
        if self.log_sigma_over_gain.requires_grad:
            self.log_sigma_over_gain.fill_(max(0.5 * log(max(square, 1e-12)), LOG_SIGMA_FLOOR) / LOG_SIGMA_GAIN)

    def log_prob(self, output: Tensor, x: Tensor) -> Tensor:
        square = F.mse_loss(self.mean(output), x.expand_as(output), reduction="none").sum((2, 3, 4))
        pixels = x[0].numel()
        return -0.5 * square * (-2 * self.log_sigma).exp() - pixels * (self.log_sigma + 0.5 * log(2 * pi))


class Features(Gaussian):
    """N(features, I) of what a critic sees of pictures, which is a term of its own (arXiv 1512.09300, eq. 7).

    Of pixels there is only a gauge: `log_prob` is minus half the squared error, but for a constant.
    """

    kind: Kind = "features"

    def __init__(self) -> None:
        super().__init__(1.0)


class Bernoulli(nn.Module):
    """Bernoulli(sigmoid(output)) over pictures in [0, 1] (arXiv 1312.6114, eq. 11); exact for binary pictures only.

    `binarise` declares how grey pictures become binary: by a threshold at the middle, or "sampled" anew at every pass,
    a pixel being white with its brightness as probability (arXiv 1509.00519, section 5), for which it needs the shape.
    With "none" they are taken as they are, and grey ones have no likelihood.
    """

    range = (0.0, 1.0)
    kind: Kind = "binary"

    def __init__(self, binarise: Binarise = "none", image: ImageShape | None = None):
        super().__init__()
        if binarise == "sampled" and image is None:
            raise ValueError("sampled pixels need the shape of the image")
        self.binarise = binarise
        self.draws: Mapping[str, Shape] = {PIXELS: image} if image and binarise == "sampled" else {}

    def target(self, x: Tensor, noise: Mapping[str, Tensor]) -> Tensor:
        if self.binarise == "threshold":
            return (x >= 0.5).to(x)
        return (torch.special.ndtr(noise[PIXELS][0]) < x).to(x) if PIXELS in noise else x

    def mean(self, output: Tensor) -> Tensor:
        return self.shown(output)

    def shown(self, value: Tensor) -> Tensor:
        return value.sigmoid()

    def invert(self, picture: Tensor) -> Tensor:
        return (0.5 + MILD * (picture - 0.5)).logit()

    def start(self, square: float) -> None:
        """It has no width of its own."""

    def log_prob(self, output: Tensor, x: Tensor) -> Tensor:
        return -F.binary_cross_entropy_with_logits(output, x.expand_as(output), reduction="none").sum((2, 3, 4))


class Laplace(Gaussian):
    """Laplace(tanh(output), b) over pictures in [-1, 1]: absolute errors count, few large ones are borne.

    One b for all pixels, fixed by `sigma` or learned as the Gaussian's sigma is.
    """

    @torch.no_grad()
    def start(self, square: float) -> None:
        """The variance of a Laplace distribution is 2 b^2."""
        super().start(0.5 * square)

    def log_prob(self, output: Tensor, x: Tensor) -> Tensor:
        apart = F.l1_loss(self.mean(output), x.expand_as(output), reduction="none").sum((2, 3, 4))
        return -apart * (-self.log_sigma).exp() - x[0].numel() * (self.log_sigma + log(2))
