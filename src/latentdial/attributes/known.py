"""What a run knows of its labelled attributes: which a code has, and which code a picture that has them would have."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from latentdial.attributes.reader import Part, Reader
from latentdial.attributes.writer import Writer

TRUSTED = 0.8  # share of its variance that is read right
TIMES = (0.0, 1.0, 1.5, 2.0, 3.0, 4.0)  # of a whole change, which go on until it shows; none where it does already
ENOUGH = 0.9  # probability from which on a code reads as changed
TOLD, TELLING = 0.25, 0.3  # of a probability or sd, of a reading that changed; and least trust with which it is told
MAX_GAIN = 3.0  # a change is at most this much longer than what is asked of it along a direction


class Attributes(nn.Module):
    """Reads attributes from codes and writes mean codes of attributes; together they change one attribute alone."""

    def __init__(self, reader: Reader, writer: Writer):
        super().__init__()
        self.reader, self.writer = reader, writer

    @property
    def parts(self) -> tuple[Part, ...]:
        """The attributes, with their columns."""
        return self.reader.parts

    @property
    def columns(self) -> list[str]:
        """The names that can be moved."""
        return self.reader.columns

    def trusted(self, name: str) -> bool:
        """Codes say enough of the attribute for its changes to be steered by what is read."""
        return float(self.reader.trust[self.columns.index(name)]) >= TRUSTED

    @property
    def weak(self) -> set[str]:
        """The names of those of which codes say too little for that."""
        return {name for name in self.columns if not self.trusted(name)}

    def moved(self, codes: Tensor, name: str, vector: Tensor, amount: Tensor | float) -> Tensor:
        """Codes (B, D) with one attribute changed and all others as they are, by `amount` along a unit vector (D,).

        The amount may be one for all codes, or (B,).

        Each code moves by a share of the difference of the mean codes of pictures with and without the change, and so
        keeps what sets it apart from its mean. The share is one where `amount` is the code's change along the vector.
        A category takes the place of the one that is there, passes quickly halfway, where no pictures are, and goes no
        further once the code reads as changed; a code that has it stays as it is.
        """
        now = self.reader.decided(codes)
        without, having = self._ends(codes, now, name)
        change = self.writer(having) - self.writer(without)
        share = amount / _length(change, vector)
        if self.reader.part(name).kind == "number":
            return codes + self.writer(now + share[:, None] * (having - without)) - self.writer(now)
        wanted = (torch.as_tensor(amount, device=codes.device) > 0).expand(len(codes))
        change = torch.where(wanted[:, None], change, -change)
        limit = self._limit(codes, change, name, wanted)
        return codes + torch.minimum(_eased(share.abs()), limit)[:, None] * change

    def _limit(self, codes: Tensor, change: Tensor, name: str, wanted: Tensor) -> Tensor:
        """The least of some multiples of the change after which codes (B, D) read as wanted (B,), or come closest."""
        column, times = self.columns.index(name), torch.tensor(TIMES, device=codes.device)
        reads = self.reader((codes + times[:, None, None] * change).flatten(0, 1))[:, column].view(len(times), -1)
        return times[torch.where(wanted, reads, 1 - reads).clamp(max=ENOUGH).argmax(0)]

    def read(self, codes: np.ndarray) -> np.ndarray:
        """The readings (N, A) of codes (N, D): probabilities, and numbers in sd from their mean."""
        return self.reader(torch.as_tensor(codes).to(self.reader.mean)).cpu().numpy()

    def said(self, readings: np.ndarray) -> dict[str, str]:
        """The readings (A,) of one code in words."""
        kinds = [self.reader.part(name).kind for name in self.columns]
        texts = [f"{v:+.1f} sd" if kind == "number" else f"{v:.0%}" for v, kind in zip(readings, kinds, strict=True)]
        return dict(zip(self.columns, texts, strict=True))

    def beside(self, name: str) -> tuple[str, ...]:
        """The columns of the attribute that a name belongs to; none where it is no attribute."""
        return self.reader.part(name).columns if name in self.columns else ()

    def changed(self, before: np.ndarray, after: np.ndarray) -> list[str]:
        """The attributes whose readings, each (A,), differ by a quarter, most first, of those that are read in part."""
        change = np.abs(after - before)
        told = (change >= TOLD) & (self.reader.trust.cpu().numpy() >= TELLING)
        return [self.columns[i] for i in np.argsort(-change) if told[i]]

    def error(self, start: Tensor, moved: Tensor, name: str) -> Callable[[Tensor], Tensor]:
        """How far codes (B, D) are from reading as `moved` in the attribute named and as `start` in all others, (B,).

        Others count as much as the reader is to be trusted with them.
        """
        own = torch.tensor([column in self.reader.part(name).columns for column in self.columns], device=start.device)
        wanted = torch.where(own, self.reader(moved), self.reader(start))
        weights = torch.where(own, 1.0, self.reader.trust)
        return lambda codes: ((self.reader(codes) - wanted).square() * weights).sum(1)

    def _ends(self, codes: Tensor, now: Tensor, name: str) -> tuple[Tensor, Tensor]:
        """The attributes (B, A) without and with that named; of a number, half an sd below and above."""
        part, column = self.reader.part(name), self.columns.index(name)
        without, having = now.clone(), now.clone()
        if part.kind == "number":
            without[:, column] -= 0.5
            having[:, column] += 0.5
            return without, having
        columns = [self.columns.index(one) for one in part.columns]
        without[:, columns] = having[:, columns] = 0.0
        having[:, column] = 1.0
        if part.kind == "classes":
            likely = self.reader(codes)
            likely[:, column] = -1.0
            without[:, columns] = functional.one_hot(likely[:, columns].argmax(1), len(columns)).to(now)
        return without, having


def blank_attributes(parts: Sequence[Part], latent: int) -> Attributes:
    """Attributes of codes of D dimensions before anything is learnt of them."""
    reader = Reader(parts, np.zeros(latent), np.ones(latent))
    return Attributes(reader, Writer(len(reader.columns), latent)).eval().requires_grad_(False)


def _length(change: Tensor, vector: Tensor) -> Tensor:
    """How far changes (B, D) of codes go along a unit vector (D,), (B,)."""
    return (change @ vector).maximum(change.norm(dim=1) / MAX_GAIN).clamp_min(1e-12)


def _eased(share: Tensor) -> Tensor:
    """Shares (B,) of a whole change that dwell at none and at all of it (the smootherstep); larger ones stay."""
    return torch.where(share < 1, share**3 * (share * (6 * share - 15) + 10), share)
