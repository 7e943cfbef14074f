"""What labels tell a model: the encoder sees a picture less that of its label, the decoder numbers beside the code."""

from __future__ import annotations

from math import prod

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
        self.labels, self.numbers, self.out = labels, numbers, out
        values = torch.zeros(labels + 1, prod(image))
        self.pictures = nn.Sequential(nn.Embedding.from_pretrained(values, freeze=False), nn.Unflatten(1, image))
        self.words = nn.Embedding(labels + 1, numbers)

    @torch.no_grad()
    def start(self, means: Tensor) -> None:
        """Set the pictures of the labels to these (labels + 1, P), of which the first is that of no label."""
        for weight in self.pictures.parameters():
            weight.copy_(means)

    def rows(self, y: Tensor | None, like: Tensor, noise: Tensor | None = None) -> Tensor:
        """Rows (B,) of the labels (B,) of pictures or codes; row 0 where there is none, or noise leaves it out."""
        if y is None:
            return torch.zeros(like.shape[:1], dtype=torch.long, device=like.device)
        return y + 1 if noise is None else torch.where(torch.special.ndtr(noise) < self.out, 0, y + 1)

    def picture(self, x: Tensor, rows: Tensor) -> Tensor:
        """Pictures (B, C, H, W) less the picture of their label."""
        return x - self.pictures(rows)

    def code(self, z: Tensor, rows: Tensor) -> Tensor:
        """Codes (B, D) with the numbers of their label, (B, D + numbers)."""
        return torch.cat([z, self.words(rows)], 1)
