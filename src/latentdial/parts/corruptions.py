"""What is done to pictures before an encoder that is to undo it sees them, in training only."""

from __future__ import annotations

from statistics import NormalDist

import torch
from torch import Tensor, nn

from latentdial.types import ImageShape


class Corruption(nn.Module):
    """Pictures (B, C, H, W) spoilt by standard normal noise of the same shape."""

    def __init__(self, image: ImageShape):
        super().__init__()
        self.image = image

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        raise NotImplementedError


class Noise(Corruption):
    """Gaussian noise of the sd `sigma` (Vincent et al., JMLR 2010, section 3.3)."""

    def __init__(self, image: ImageShape, sigma: float):
        super().__init__(image)
        self.sigma = sigma

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        return x + self.sigma * noise


class Mask(Corruption):
    """A share of the pixels set to `black`, every channel of them (Vincent et al., JMLR 2010, section 3.3)."""

    def __init__(self, image: ImageShape, share: float, black: float):
        super().__init__(image)
        self.below, self.black = NormalDist().inv_cdf(min(max(share, 1e-9), 1 - 1e-9)), black

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        return torch.where(noise[:, :1] < self.below, self.black, x)
