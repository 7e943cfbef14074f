"""A prior of discrete codes: a small causal transformer over their numbers, fitted after training.

Section 3.3 of arXiv 1711.00937. A code of T numbers below V is read place by place, row after row; every number is
predicted from those before it, so the log probability of a code is exact, and a draw takes one pass for each number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import log
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from latentdial.errors import LatentdialError
from latentdial.priors.kept import best_state
from latentdial.progress import Progress, quiet
from latentdial.storage import Missing, need, read_json, read_tensors, remove, save_tensors, write_json
from latentdial.texts import command

WIDTH, LAYERS, HEADS = 128, 3, 4
NUMBERS, LEAST, STEPS, RATE, DECAY = 4096, 8, 1500, 2e-3, 5e-2  # numbers of a batch, which has so many codes at least
EVERY, PATIENCE = 50, 6  # steps between looks at the codes kept apart, and looks without gain before the end
MOST_TOKENS, MOST_WORDS = 4096, 2**20
FILES = "words.json", "words.safetensors"
FORMAT = 1

Cache = list[tuple[Tensor, Tensor]]  # keys and values (B, HEADS, T, WIDTH / HEADS) of every layer


class Block(nn.Module):
    """Attention to what came before, then a layer for each number by itself (arXiv 1706.03762, normalised first)."""

    def __init__(self, width: int):
        super().__init__()
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attend, self.back = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.think = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor, before: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Of (B, T, WIDTH); with the keys and values of all before a single new one where there are some."""
        query, key, value = self.attend(self.first(x)).unflatten(-1, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        if before is not None:
            key, value = torch.cat([before[0], key], 2), torch.cat([before[1], value], 2)
        seen = F.scaled_dot_product_attention(query, key, value, is_causal=before is None)
        x = x + self.back(seen.transpose(1, 2).flatten(2))
        return x + self.think(self.second(x)), (key, value)


class WordNet(nn.Module):
    """Logits of every number of a code given those before it."""

    def __init__(self, tokens: int, vocabulary: int, width: int = WIDTH, layers: int = LAYERS):
        super().__init__()
        self.tokens, self.vocabulary, self.width = tokens, vocabulary, width
        self.words = nn.Embedding(vocabulary + 1, width)  # the last one begins
        self.places = nn.Parameter(0.02 * torch.randn(tokens, width))
        self.blocks: Sequence[Block] = nn.ModuleList(Block(width) for _ in range(layers))  # type: ignore[assignment]
        self.norm, self.say = nn.LayerNorm(width), nn.Linear(width, vocabulary)

    def forward(self, numbers: Tensor) -> Tensor:
        """(B, T, V) for codes (B, T)."""
        begin = torch.full_like(numbers[:, :1], self.vocabulary)
        x = self.words(torch.cat([begin, numbers[:, :-1]], 1)) + self.places
        for block in self.blocks:
            x, _ = block(x)
        return self.say(self.norm(x))

    def log_prob(self, numbers: Tensor) -> Tensor:
        """log p of codes (B, T) in nats, (B,)."""
        return -F.cross_entropy(self(numbers).transpose(1, 2), numbers, reduction="none").sum(1)

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator | None = None, temperature: float = 1.0) -> Tensor:
        """Draw n codes (n, T); a temperature of 0 takes the likeliest number every time."""
        drawn = torch.full((n, 1), self.vocabulary)
        cache: list[tuple[Tensor, Tensor] | None] = [None] * len(self.blocks)
        for place in range(self.tokens):
            x = self.words(drawn[:, -1:]) + self.places[place]
            for i, block in enumerate(self.blocks):
                x, cache[i] = block(x, cache[i])
            logits = self.say(self.norm(x))[:, 0]
            likely = logits.argmax(1, keepdim=True)
            if temperature:
                likely = torch.multinomial((logits / temperature).softmax(1), 1, generator=generator)
            drawn = torch.cat([drawn, likely], 1)
        return drawn[:, 1:]


@dataclass(frozen=True, eq=False)
class WordPrior:
    """A fitted prior of discrete codes, and what it gives to held-out ones.

    `nats` is their mean log probability, `uniform` that of numbers which are all as likely.
    """

    net: WordNet
    nats: float
    held_out: int

    @property
    def uniform(self) -> float:
        return -self.net.tokens * log(self.net.vocabulary)


def fit_words(
    numbers: np.ndarray, vocabulary: int, seed: int = 0, steps: int = STEPS, progress: Progress = quiet
) -> WordPrior:
    """The net of codes (N, T) below `vocabulary`, as it was when every fifth code, kept apart, was likeliest."""
    codes = torch.from_numpy(np.asarray(numbers, np.int64))
    if len(codes) < 10:
        raise LatentdialError(f"{len(codes)} codes are too few for a prior: train on more pictures")
    if codes.shape[1] > MOST_TOKENS:
        raise LatentdialError(f"codes of {codes.shape[1]} numbers are too long for a prior: {MOST_TOKENS} at most")
    generator = torch.Generator().manual_seed(seed)
    apart = torch.arange(len(codes)) % 5 == 4
    train, kept = codes[~apart], codes[apart]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = WordNet(codes.shape[1], vocabulary)

    def looks() -> Iterator[tuple[float, WordNet]]:
        for step in _trained(net, train, steps, generator):
            progress("fitting a prior of words", step, steps)
            yield -_nats(net, kept), net

    least, state = best_state(looks(), PATIENCE)
    progress("fitting a prior of words", steps, steps)
    net.load_state_dict(state)
    return WordPrior(net.eval().requires_grad_(False), -least, len(kept))


def _trained(net: WordNet, train: Tensor, steps: int, generator: torch.Generator) -> Iterator[int]:
    """Train on codes (N, T); now and then the step, before the first too."""
    optimizer = torch.optim.AdamW(net.parameters(), RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps + 1)
    for step in range(steps + 1):
        if step % EVERY == 0:
            yield step
        some = train[torch.randint(len(train), (_batch(train),), generator=generator)]
        with torch.enable_grad():
            optimizer.zero_grad()
            (-net.log_prob(some).mean() / train.shape[1]).backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        schedule.step()


def _batch(codes: Tensor) -> int:
    """How many codes (N, T) a step takes: fewer where these are long, so that it takes as long."""
    return max(LEAST, NUMBERS // codes.shape[1])


@torch.no_grad()
def _nats(net: WordNet, codes: Tensor) -> float:
    return float(torch.cat([net.log_prob(some) for some in codes.split(_batch(codes))]).double().mean())


def save_words(folder: Path, fitted: WordPrior, codes: np.ndarray) -> None:
    """Write a prior that was fitted to these codes (N, D); the JSON, without which no array is read, comes last."""
    remove(folder / FILES[0])
    save_tensors(folder / FILES[1], fitted.net.state_dict())
    net = fitted.net
    record = {"format": FORMAT, "codes": _digest(codes), "width": net.width, "layers": len(net.blocks)}
    write_json(folder / FILES[0], record | {"nats": fitted.nats, "held_out": fitted.held_out})


def read_words(folder: Path, codes: np.ndarray, tokens: int, vocabulary: int) -> WordPrior | None:
    """The prior of words of a run with these training codes; None where none was fitted to just these."""
    try:
        record = read_json(folder / FILES[0], remedy=_remedy(folder))
    except Missing:
        return None
    try:
        wanted = {"format": int, "codes": str, "width": int, "layers": int, "nats": float, "held_out": int}
        need(record, wanted)
        if record["format"] != FORMAT or record["codes"] != _digest(codes):
            return None
        if not (0 < record["width"] <= 1024 and record["width"] % HEADS == 0 and 0 < record["layers"] <= 16):
            raise ValueError(f"a net of {record['layers']} layers of {record['width']}")
        with torch.device("meta"):
            shapes = {
                name: tuple(tensor.shape)
                for name, tensor in WordNet(tokens, vocabulary, record["width"], record["layers"]).state_dict().items()
            }
        arrays = read_tensors(folder / FILES[1], shapes, remedy=_remedy(folder))
        net = WordNet(tokens, vocabulary, record["width"], record["layers"])
        net.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
        return WordPrior(net.eval().requires_grad_(False), record["nats"], record["held_out"])
    except ValueError as error:
        raise LatentdialError(f"{folder / FILES[0]} cannot be used ({error}): {_remedy(folder)}") from None


def _digest(codes: np.ndarray) -> str:
    return hashlib.blake2b(np.ascontiguousarray(codes, np.float32).tobytes(), digest_size=16).hexdigest()


def _remedy(folder: Path) -> str:
    return f"remove it and fit anew with {command('fit-prior', folder)}"
