"""A small net that reads attributes from codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from latentdial.attributes.fitting import HELD_OUT, fit
from latentdial.progress import Steps, quiet

KINDS = ("classes", "yes", "number")
WIDTH, EPOCHS, RATE = 256, 25, 3e-3
DECAY, DROPOUT, NOISE = 0.05, 0.1, 0.1  # NOISE: of the codes' sd, added in training
NUMBER_WEIGHT = 3.0  # of a squared error in sd against a cross entropy in nats


@dataclass(frozen=True)
class Part:
    """The columns that read one attribute: probabilities of categories, of a yes, or a number in its sd."""

    kind: str  # "classes", "yes" or "number"
    columns: tuple[str, ...]


class Reader(nn.Module):
    """Reads attributes from codes (B, D) as (B, A): probabilities, or numbers in sd from their mean.

    `trust` (A,) is the share of each column's variance that it reads right in pictures held out of its fit.
    """

    mean: Tensor
    sd: Tensor
    trust: Tensor

    def __init__(self, parts: Sequence[Part], mean: np.ndarray, sd: np.ndarray):
        super().__init__()
        self.parts = tuple(parts)
        self.columns = [column for part in parts for column in part.columns]
        self.sizes = [len(part.columns) for part in parts]
        self.groups = _groups(self.parts)
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float32))
        self.register_buffer("sd", torch.as_tensor(np.maximum(sd, 1e-6), dtype=torch.float32))
        self.register_buffer("trust", torch.zeros(len(self.columns)))
        self.net = nn.Sequential(
            nn.Linear(len(mean), WIDTH),
            nn.ReLU(),
            nn.Dropout(DROPOUT),
            nn.Linear(WIDTH, WIDTH),
            nn.ReLU(),
            nn.Linear(WIDTH, len(self.columns)),
        )

    def part(self, column: str) -> Part:
        """The attribute that a column belongs to."""
        return next(part for part in self.parts if column in part.columns)

    def forward(self, codes: Tensor) -> Tensor:
        return torch.cat([_reading(part, raw) for part, raw in self._raw(codes)], dim=1)

    def decided(self, codes: Tensor) -> Tensor:
        """The readings (B, A) of codes (B, D) with one category of each attribute, and yes or no, decided."""
        return torch.cat([_decided(part, raw) for part, raw in self._raw(codes)], dim=1)

    def loss(self, codes: Tensor, truth: Tensor) -> Tensor:
        """How far the readings of codes (B, D) are from the truth (B, A), (B,), in nats."""
        raw = self.net((codes - self.mean) / self.sd)
        losses = [_loss(kind, raw[:, columns], truth[:, columns]) for kind, columns in self.groups]
        return torch.stack(losses).sum(0)

    def _raw(self, codes: Tensor) -> list[tuple[Part, Tensor]]:
        raw = self.net((codes - self.mean) / self.sd)
        return list(zip(self.parts, raw.split(self.sizes, 1), strict=True))


def train_reader(
    parts: Sequence[Part], codes: np.ndarray, again: np.ndarray, truth: np.ndarray, progress: Steps = quiet
) -> Reader:
    """A reader fitted to the codes (N, D) of pictures with attributes (N, A), and to those of their reconstructions."""
    reader = Reader(parts, codes.mean(0), codes.std(0))
    held = np.arange(len(codes)) % HELD_OUT == 0
    inputs = torch.as_tensor(np.concatenate([codes[~held], again[~held]]), dtype=torch.float32)
    wanted = torch.as_tensor(np.concatenate([truth[~held]] * 2), dtype=torch.float32)

    def loss(rows: Tensor) -> Tensor:
        noise = NOISE * reader.sd * torch.randn(len(rows), codes.shape[1])
        return reader.loss(inputs[rows] + noise, wanted[rows]).mean()

    fit(reader, loss, len(inputs), EPOCHS, RATE, DECAY, progress)
    real = torch.as_tensor(truth[held], dtype=torch.float32)
    wrong = (reader(torch.as_tensor(again[held], dtype=torch.float32)) - real).square().mean(0)
    reader.trust.copy_((1 - wrong / real.var(0, correction=0).clamp_min(1e-6)).clamp(0, 1))
    return reader


def part_of(columns: dict[str, np.ndarray]) -> Part:
    """The attribute of columns (N,) by name: of several, of one with 0 and 1, or of numbers."""
    if len(columns) > 1:
        return Part("classes", tuple(columns))
    (values,) = columns.values()
    return Part("yes" if set(np.unique(values)) <= {0.0, 1.0} else "number", tuple(columns))


def truth_of(part: Part, columns: dict[str, np.ndarray]) -> np.ndarray:
    """The columns as a reader should read them, (N, A): numbers in sd from their mean."""
    values = np.stack(list(columns.values()), axis=1)
    return (values - values.mean(0)) / values.std(0) if part.kind == "number" else values


def _reading(part: Part, raw: Tensor) -> Tensor:
    if part.kind == "classes":
        return raw.softmax(1)
    return raw.sigmoid() if part.kind == "yes" else raw


def _decided(part: Part, raw: Tensor) -> Tensor:
    if part.kind == "classes":
        return functional.one_hot(raw.argmax(1), raw.shape[1]).to(raw)
    return (raw > 0).to(raw) if part.kind == "yes" else raw


def _groups(parts: Sequence[Part]) -> list[tuple[str, list[int]]]:
    """Columns whose losses are computed at once: those of each categorical attribute, all yes or no, all numbers."""
    found: list[tuple[str, list[int]]] = []
    together: dict[str, list[int]] = {"yes": [], "number": []}
    start = 0
    for part in parts:
        columns = list(range(start, start + len(part.columns)))
        start += len(columns)
        if part.kind == "classes":
            found.append((part.kind, columns))
        else:
            together[part.kind] += columns
    return found + [(kind, columns) for kind, columns in together.items() if columns]


def _loss(kind: str, raw: Tensor, wanted: Tensor) -> Tensor:
    if kind == "classes":
        return -(wanted * raw.log_softmax(1)).sum(1)
    if kind == "yes":
        return functional.binary_cross_entropy_with_logits(raw, wanted, reduction="none").sum(1)
    return NUMBER_WEIGHT * (raw - wanted).square().sum(1)
