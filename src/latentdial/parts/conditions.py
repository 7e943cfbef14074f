"""What labels tell a model: the encoder sees them as a plane beside the picture, the decoder beside the code."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from latentdial.types import ImageShape

LABELS = "labels"  # the noise by which labels are left out


class Condition(nn.Module):
    """The label of every picture, one of so many, or none: conditional models (Sohn et al., NIPS 2015, eq. 4).

    In training the labels of a share of the pictures are left `out`, so that a picture whose label is not known can be
    encoded and decoded too (arXiv 2207.12598, section 3.2, which does so for diffusion).
    """

    def __init__(self, labels: int, image: ImageShape, numbers: int, out: float):
        super().__init__()
        _, height, width = image
        self.labels, self.numbers, self.out = labels, numbers, out
        self.plane = nn.Sequential(nn.Embedding(labels + 1, height * width), nn.Unflatten(1, (1, height, width)))
        self.words = nn.Embedding(labels + 1, numbers)

    def rows(self, y: Tensor | None, like: Tensor, noise: Tensor | None = None) -> Tensor:
        """Rows (B,) of the labels (B,) of pictures or codes; row 0 where there is none, or noise leaves it out."""
        if y is None:
            return torch.zeros(like.shape[:1], dtype=torch.long, device=like.device)
        return y + 1 if noise is None else torch.where(torch.special.ndtr(noise) < self.out, 0, y + 1)

    def picture(self, x: Tensor, rows: Tensor) -> Tensor:
        """Pictures (B, C, H, W) with the plane of their label, (B, C + 1, H, W)."""
        return torch.cat([x, self.plane(rows)], 1)

    def code(self, z: Tensor, rows: Tensor) -> Tensor:
        """Codes (B, D) with the numbers of their label, (B, D + numbers)."""
        return torch.cat([z, self.words(rows)], 1)
