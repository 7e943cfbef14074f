"""The mean code of the pictures that have given attributes."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from latentdial.attributes.fitting import HELD_OUT, fit
from latentdial.progress import Steps, quiet

WIDTH, EPOCHS, RATE = 512, 40, 3e-3
DECAY, DROPOUT = 0.05, 0.1


class Writer(nn.Module):
    """Writes mean codes (B, D) of pictures with attributes (B, A): a linear map, and a net for what it leaves."""

    share: Tensor

    def __init__(self, attributes: int, latent: int):
        super().__init__()
        self.linear = nn.Linear(attributes, latent)
        self.net = nn.Sequential(
            nn.Linear(attributes, WIDTH),
            nn.ReLU(),
            nn.Dropout(DROPOUT),
            nn.Linear(WIDTH, WIDTH),
            nn.ReLU(),
            nn.Dropout(DROPOUT),
            nn.Linear(WIDTH, latent),
        )
        self.register_buffer("share", torch.zeros(1))

    def forward(self, attributes: Tensor) -> Tensor:
        return self.linear(attributes) + self.share * self.net(attributes)


def train_writer(attributes: np.ndarray, codes: np.ndarray, progress: Steps = quiet) -> Writer:
    """A writer fitted to the codes (N, D) of pictures with attributes (N, A).

    The linear map is that of least squares. The net counts as much as it is right about pictures held out of the fit,
    so that it does nothing where the map says all or the pictures are few.
    """
    writer = Writer(attributes.shape[1], codes.shape[1])
    _fit_map(writer.linear, attributes, codes)
    with torch.no_grad():
        for parameter in writer.net[-1].parameters():
            parameter.zero_()
        inputs, outputs = (torch.as_tensor(array, dtype=torch.float32) for array in (attributes, codes))
        rest = outputs - writer.linear(inputs)
    scale = outputs.std(0).mean().clamp_min(1e-12)
    held = torch.arange(len(inputs)) % HELD_OUT == 0
    seen, aims = inputs[~held], rest[~held] / scale

    def loss(rows: Tensor) -> Tensor:
        return (writer.net(seen[rows]) - aims[rows]).square().mean()

    fit(writer, loss, len(seen), EPOCHS, RATE, DECAY, progress)
    guess = writer.net(inputs[held])
    right = (guess * rest[held]).sum() / (scale * guess.square().sum()).clamp_min(1e-12)
    writer.share.fill_(float(scale * right.clamp(0, 1)))
    return writer


def _fit_map(linear: nn.Linear, attributes: np.ndarray, codes: np.ndarray) -> None:
    """Least squares, of the least length where attributes say the same thing twice."""
    middle, mean = attributes.mean(0, dtype=np.float64), codes.mean(0, dtype=np.float64)
    weight = np.linalg.lstsq(attributes - middle, codes - mean, rcond=1e-8)[0]
    with torch.no_grad():
        linear.weight.copy_(torch.as_tensor(weight.T))
        linear.bias.copy_(torch.as_tensor(mean - middle @ weight))
    linear.requires_grad_(False)
