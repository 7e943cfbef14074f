"""A small net that reads attributes from codes; steering holds its readings of the picture, encoded again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from latentdial.latent.codec import Codec

KINDS = ("classes", "yes", "number")
WIDTH, EPOCHS, BATCH, RATE = 256, 25, 128, 2e-3
DECAY, DROPOUT, NOISE = 0.05, 0.1, 0.1  # NOISE: of the codes' sd, added in training
SURE = 0.995  # the highest probability that is aimed at
NUMBER_WEIGHT = 3.0  # of a squared error in sd against a cross entropy in nats


@dataclass(frozen=True)
class Part:
    """The columns that read one attribute: probabilities of categories, of a yes, or a number in its sd."""

    kind: str  # "classes", "yes" or "number"
    columns: tuple[str, ...]


class Reader(nn.Module):
    """Reads attributes from codes (B, D) as (B, A): probabilities, or numbers in sd from their mean."""

    mean: Tensor
    sd: Tensor

    def __init__(self, parts: Sequence[Part], mean: np.ndarray, sd: np.ndarray):
        super().__init__()
        self.parts = tuple(parts)
        self.columns = [column for part in parts for column in part.columns]
        self.sizes = [len(part.columns) for part in parts]
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float32))
        self.register_buffer("sd", torch.as_tensor(np.maximum(sd, 1e-6), dtype=torch.float32))
        self.net = nn.Sequential(
            nn.Linear(len(mean), WIDTH),
            nn.ReLU(),
            nn.Dropout(DROPOUT),
            nn.Linear(WIDTH, WIDTH),
            nn.ReLU(),
            nn.Linear(WIDTH, len(self.columns)),
        )

    def forward(self, codes: Tensor) -> Tensor:
        return torch.cat([_reading(part, raw) for part, raw in self._raw(codes)], dim=1)

    def loss(self, codes: Tensor, wanted: Tensor, named: Sequence[str] | None = None) -> Tensor:
        """How far the readings of codes (B, D) are from those wanted (B, A), (B,), in nats.

        Only the attributes that the columns `named` belong to count, or all.
        """
        aims = wanted.split(self.sizes, 1)
        counted = [
            _loss(part, raw, aim)
            for (part, raw), aim in zip(self._raw(codes), aims, strict=True)
            if named is None or set(named) & set(part.columns)
        ]
        return torch.stack(counted).sum(0)

    def aim(self, before: Tensor, target: str, rise: Tensor | float) -> Tensor:
        """Readings (B, A) with the target's raised, (B,) or by one amount; its other categories share what is left."""
        column = self.columns.index(target)
        part, first = self._place(column)
        wanted = before.clone()
        wanted[:, column] = before[:, column] + rise
        if part.kind != "number":
            wanted[:, column] = wanted[:, column].clamp(0, SURE)
        if part.kind == "classes":
            rest = [i for i in range(first, first + len(part.columns)) if i != column]
            left = (1 - wanted[:, [column]]) / before[:, rest].sum(1, keepdim=True).clamp_min(1e-6)
            wanted[:, rest] = before[:, rest] * left
        return wanted

    def _place(self, column: int) -> tuple[Part, int]:
        """The part that a column belongs to, and that part's first column."""
        firsts = np.cumsum([0, *self.sizes])
        index = int(np.searchsorted(firsts, column, side="right")) - 1
        return self.parts[index], int(firsts[index])

    def _raw(self, codes: Tensor) -> list[tuple[Part, Tensor]]:
        raw = self.net((codes - self.mean) / self.sd)
        return list(zip(self.parts, raw.split(self.sizes, 1), strict=True))


def train_reader(codec: Codec, codes: np.ndarray, columns: Sequence[dict[str, np.ndarray]], seed: int = 0) -> Reader:
    """A reader of attributes, each given as its columns (N,) by name, trained on the codes (N, D) of N pictures.

    It also sees the codes of their reconstructions, as it will read decoded pictures that are encoded again.
    """
    torch.manual_seed(seed)
    again = codec.encode(codec.decode(codes))
    parts = [_part(one) for one in columns]
    truth = np.concatenate([_truth(part, one) for part, one in zip(parts, columns, strict=True)], axis=1)
    reader = Reader(parts, codes.mean(0), codes.std(0))
    inputs = torch.as_tensor(np.concatenate([codes, again]), dtype=torch.float32)
    wanted = torch.as_tensor(np.concatenate([truth, truth]), dtype=torch.float32)
    optimiser = torch.optim.AdamW(reader.parameters(), RATE, weight_decay=DECAY)
    batches = -(-len(inputs) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1.5 * RATE, EPOCHS * batches)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(EPOCHS):
        for index in torch.randperm(len(inputs), generator=generator).split(BATCH):
            noise = torch.randn(len(index), codes.shape[1], generator=generator)
            loss = reader.loss(inputs[index] + NOISE * reader.sd * noise, wanted[index]).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return reader.eval().requires_grad_(False)


def _part(columns: dict[str, np.ndarray]) -> Part:
    if len(columns) > 1:
        return Part("classes", tuple(columns))
    (values,) = columns.values()
    return Part("yes" if set(np.unique(values)) <= {0.0, 1.0} else "number", tuple(columns))


def _truth(part: Part, columns: dict[str, np.ndarray]) -> np.ndarray:
    values = np.stack(list(columns.values()), axis=1)
    return (values - values.mean(0)) / values.std(0) if part.kind == "number" else values


def _reading(part: Part, raw: Tensor) -> Tensor:
    if part.kind == "classes":
        return raw.softmax(1)
    return raw.sigmoid() if part.kind == "yes" else raw


def _loss(part: Part, raw: Tensor, wanted: Tensor) -> Tensor:
    if part.kind == "classes":
        return -(wanted * raw.log_softmax(1)).sum(1)
    if part.kind == "yes":
        return functional.binary_cross_entropy_with_logits(raw, wanted, reduction="none").sum(1)
    return NUMBER_WEIGHT * (raw - wanted).square().sum(1)
