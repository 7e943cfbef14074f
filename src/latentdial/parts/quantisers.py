"""Bottlenecks of discrete codes: every place of a grid says one of a number of words, or of levels.

A code holds the words themselves, (C, H, W), so that it can be turned like any other; what the decoder sees of it is
the nearest thing that can be said. `indices` and `code_of` are the same in whole numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from latentdial.errors import LatentdialError
from latentdial.posteriors import Bottleneck, Point
from latentdial.types import Batch, Pass, Processes, Term

DEAD = 0.1  # of an even share of the places, below which a word begins anew
INSIDE = 1e-3  # that outer levels lie within the bound of features


class Quantiser(Bottleneck):
    """A discrete code: `depth` indices below `vocabulary` for every place of the grid."""

    vocabulary: int
    depth = 1

    def indices(self, code: Tensor) -> Tensor:
        """Codes (B, C, H, W) -> whole numbers (B, depth, H, W)."""
        raise NotImplementedError

    def code_of(self, indices: Tensor) -> Tensor:
        """Whole numbers (B, depth, H, W) -> codes (B, C, H, W); `indices` gives them back."""
        raise NotImplementedError

    @property
    def tokens(self) -> int:
        """Whole numbers of a code."""
        return self.depth * prod(self.code[1:])

    def rows(self, code: Tensor) -> Tensor:
        """Codes (B, D) -> their numbers (B, T), place by place, all of a place together."""
        return self.indices(code.unflatten(1, self.code)).movedim(1, -1).flatten(1)

    def code_of_rows(self, numbers: Tensor) -> Tensor:
        """Numbers (B, T) -> codes (B, D); `rows` gives them back."""
        shape = (*self.code[1:], self.depth)
        return self.code_of(numbers.unflatten(1, shape).movedim(-1, 1)).flatten(1)


class Codebook(nn.Module):
    """Words (K, C), each the moving average of the vectors that it was nearest to (arXiv 1711.00937, appendix A.1).

    In training, a word that stands for hardly any vector becomes one of the batch, whose order is random already; so
    the first batch gives the first words. Counts and words are buffers: they are saved, and go on as they were.
    Of several `processes`, all follow the vectors of all.
    """

    processes: Processes | None = None

    def __init__(self, words: int, channels: int, decay: float):
        super().__init__()
        self.decay = decay
        self.register_buffer("words", torch.randn(words, channels))
        self.register_buffer("count", torch.zeros(words))
        self.words: Tensor
        self.count: Tensor

    def nearest(self, vectors: Tensor) -> Tensor:
        """The index (N,) of the word nearest to each of the vectors (N, C)."""
        return (self.words.square().sum(1) - 2 * vectors @ self.words.T).argmin(1)

    @torch.no_grad()
    def revive(self, vectors: Tensor) -> None:
        """Give words without a following vectors (N, C) from all over the batch, and an even share."""
        even = self._sum(vectors.new_tensor(len(vectors))) / len(self.words)
        dead = self.count < DEAD * even
        rows = torch.linspace(0, len(vectors) - 1, len(self.words), device=vectors.device).long()
        self.words.copy_(torch.where(dead[:, None], self._sum(self._in_turn(vectors[rows])), self.words))
        self.count.copy_(torch.where(dead, even, self.count))

    @torch.no_grad()
    def follow(self, vectors: Tensor, indices: Tensor) -> None:
        """Move words towards the mean of the vectors (N, C) that have them."""
        mine = F.one_hot(indices, len(self.words)).to(vectors)  # (N, K)
        count = self.decay * self.count + (1 - self.decay) * self._sum(mine.sum(0))
        total = self.decay * self.count[:, None] * self.words + (1 - self.decay) * self._sum(mine.T @ vectors)
        self.words.copy_(total / count[:, None])
        self.count.copy_(count)

    def _sum(self, value: Tensor) -> Tensor:
        return value if self.processes is None else self.processes.sum(value)

    def _in_turn(self, rows: Tensor) -> Tensor:
        """Every row (K, C) but those that are another process's to give, which are zero."""
        if self.processes is None:
            return rows
        turns = torch.arange(len(rows), device=rows.device) % self.processes.size
        return torch.where((turns == self.processes.rank)[:, None], rows, 0.0)


class Words(Quantiser):
    """Every place says a word of a codebook (arXiv 1711.00937, eq. 1); with a `depth`, one of each of several books.

    Each book says what those before it left (residual quantisation: arXiv 2203.01941, section 3.1), and has channels of
    its own in the code. The encoder's gradient is the decoder's, as if nothing were rounded.
    """

    books: Sequence[Codebook]

    def __init__(self, channels: int, grid: tuple[int, int], words: int, depth: int = 1, decay: float = 0.99):
        super().__init__(channels, (depth * channels, *grid))
        self.books = nn.ModuleList(Codebook(words, channels, decay) for _ in range(depth))  # type: ignore[assignment]
        self.vocabulary, self.depth = words, depth

    @property
    def seen(self) -> int:
        """Those of the sum of what all books say."""
        return super().seen // self.depth

    def forward(self, features: Tensor) -> Point:
        left, said, indices = _places(features.detach()), [], []
        for book in self.books:
            if self.training:
                book.revive(left)
            chosen = book.nearest(left)
            words = book.words[chosen]
            if self.training:
                book.follow(left, chosen)
            left = left - words
            said.append(words)
            indices.append(chosen)
        stages = [_grid(words, features) for words in said]
        short = features - torch.stack(stages).sum(0)
        stages[0] = _heard(features, stages[0])
        chosen = torch.stack([_grid(one[:, None], features)[:, 0] for one in indices], 1)
        return Point(torch.cat(stages, 1), {"indices": chosen, "short": short})

    def read(self, code: Tensor) -> Tensor:
        stages = code.unflatten(1, (self.depth, -1)).unbind(1)
        heard = [
            _grid(book.words[book.nearest(_places(stage))], stage)
            for book, stage in zip(self.books, stages, strict=True)
        ]
        return torch.stack([_heard(stage, word) for stage, word in zip(stages, heard, strict=True)]).sum(0)

    def indices(self, code: Tensor) -> Tensor:
        stages = code.unflatten(1, (self.depth, -1)).unbind(1)
        found = [
            _grid(book.nearest(_places(stage))[:, None], stage) for book, stage in zip(self.books, stages, strict=True)
        ]
        return torch.cat(found, 1)

    def code_of(self, indices: Tensor) -> Tensor:
        stages = [book.words[chosen].movedim(-1, 1) for book, chosen in zip(self.books, indices.unbind(1), strict=True)]
        return torch.cat(stages, 1)


class Levels(Quantiser):
    """Every channel of every place is one of a few levels in [-1, 1] (finite scalars: arXiv 2309.15505, section 3.1).

    >>> bottleneck = Levels([3, 2], (1, 1))
    >>> bottleneck.code_of(torch.arange(6).reshape(6, 1, 1, 1)).flatten(1)[:4]
    tensor([[-1., -1.],
            [ 0., -1.],
            [ 1., -1.],
            [-1.,  0.]])
    """

    def __init__(self, levels: Sequence[int], grid: tuple[int, int]):
        if min(levels) < 2 or prod(levels) > 2**20:
            raise LatentdialError("levels must be 2 or more each, and their product a million at most: try 8,5,5,5")
        super().__init__(len(levels), (len(levels), *grid))
        self.levels, self.vocabulary = tuple(levels), prod(levels)

    def forward(self, features: Tensor) -> Point:
        count = self._each(features)
        half, offset = (count - 1) * (1 + INSIDE) / 2, 0.5 * (count % 2 == 0)
        shift = (offset / half).atanh()
        bounded = (features + shift).tanh() * half - offset
        code = _heard(bounded, bounded.round()) / self._half(features)
        return Point(code, {"indices": self.indices(code)})

    def read(self, code: Tensor) -> Tensor:
        return _heard(code, (self._steps(code) - self._half(code)) / self._half(code))

    def indices(self, code: Tensor) -> Tensor:
        return (self._steps(code) * self._place_values(code)).sum(1, keepdim=True).round().long()

    def code_of(self, indices: Tensor) -> Tensor:
        half = self._half(indices)
        return (indices.div(self._place_values(indices), rounding_mode="floor") % self._each(indices) - half) / half

    def _steps(self, code: Tensor) -> Tensor:
        """The level of every channel, counted from the lowest."""
        half, most = self._half(code), self._each(code) - 1
        return torch.minimum((code * half + half).round().clamp(min=0), most)

    def _each(self, like: Tensor) -> Tensor:
        return torch.tensor(self.levels, dtype=torch.float32, device=like.device)[:, None, None]

    def _half(self, like: Tensor) -> Tensor:
        return torch.tensor([n // 2 for n in self.levels], dtype=torch.float32, device=like.device)[:, None, None]

    def _place_values(self, like: Tensor) -> Tensor:
        values = [prod(self.levels[:i]) for i in range(len(self.levels))]
        return torch.tensor(values, dtype=torch.float32, device=like.device)[:, None, None]


def commitment(weight: float) -> Term:
    """Squared distance of features from what is said of them, summed over a picture (arXiv 1711.00937, eq. 3).

    A mean over pictures, so that it does not depend on the size of the batch.
    """
    return Term("commitment", lambda p, _: _extra(p, "short").square().flatten(1).sum(1).mean(), weight)


def usage(vocabulary: int) -> list[Term]:
    """What a batch uses of the words: their number, and their perplexity, which is all of them where all are as common.

    Only logged; of several books, the mean.
    """

    def each(p: Pass) -> list[Tensor]:
        books = _extra(p, "indices").movedim(1, 0).flatten(1)
        return [torch.bincount(book, minlength=vocabulary) / book.numel() for book in books]

    def used(p: Pass, _: Batch) -> Tensor:
        return torch.stack([(share > 0).sum() for share in each(p)]).float().mean()

    def perplexity(p: Pass, _: Batch) -> Tensor:
        return torch.stack([torch.special.entr(share).sum().exp() for share in each(p)]).mean()

    return [Term("words", used, 0.0), Term("perplexity", perplexity, 0.0)]


def _extra(p: Pass, name: str) -> Tensor:
    return p.levels["z"].posterior.extra[name]


def _heard(meant: Tensor, said: Tensor) -> Tensor:
    """What is said, to the bit, with the gradient of what is meant."""
    return said.detach() + (meant - meant.detach())


def _places(grid: Tensor) -> Tensor:
    """(B, C, H, W) -> a vector for every place, (B H W, C)."""
    return grid.movedim(1, -1).flatten(0, -2)


def _grid(places: Tensor, like: Tensor) -> Tensor:
    """A vector for every place (B H W, C) -> (B, C, H, W)."""
    batch, _, *shape = like.shape
    return places.unflatten(0, (batch, *shape)).movedim(-1, 1)
