"""Codes of several levels: the highest is N(0, I), and every level says where the one below it is likely.

A code holds the highest level as it is, and of every other how far it is from what was likely, in standard deviations:
(z - mean) / sd of p(z | level above). Under the model all of it is N(0, I), so a code of levels is turned, drawn and
measured as any other; the decoder sees the lowest level. Densities of levels and of such codes differ by one factor in
prior and posterior alike, so KL and likelihood are those of the levels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from latentdial.posteriors import Bottleneck, Diagonal
from latentdial.types import Affine, Batch, Pass, Principal, Prior, Term

NEAR = 0.01  # of the usual weights, for what levels say of each other at first: the model begins as a VAE
MOST = 0.99  # variance of what a linear start knows nothing of, where the prior has 1
BOUND = 20.0  # of log variances


class Said(nn.Module):
    """What one level says of another: a diagonal Gaussian."""

    def __init__(self, inputs: int, hidden: int, outputs: int):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, 2 * outputs))
        with torch.no_grad():
            for parameter in self.net[2].parameters():
                parameter.mul_(NEAR)

    def forward(self, z: Tensor) -> Diagonal:
        return _gaussian(self.net(z))


@dataclass(frozen=True, eq=False)
class Upwards:
    """q(z1|x) q(z2|z1) for B images: a picture says the lower level, that the higher (arXiv 1509.00519, section 2)."""

    low: Diagonal
    up: Said
    down: Said
    sizes: Sequence[int]  # of the higher and the lower level
    extra: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def mean(self) -> Tensor:
        """(B, D) of the mean lower level and the mean higher one given that: a picture's code, not its codes' mean."""
        return self._code(self.low.mean, lambda q: q.mean)

    def sample(self, noise: Tensor | None, samples: int = 1) -> Tensor:
        high, low = noise.split(list(self.sizes), -1)  # type: ignore[union-attr]
        return self._code(self.low.sample(low, samples), lambda q: _moved(q, high))

    def log_prob(self, z: Tensor) -> Tensor:
        """log q(z|x) in nats by dimensions, (K, B, D) for codes (K, B, D)."""
        high, apart = z.split(list(self.sizes), -1)
        likely = self.down(high)
        low = _moved(likely, apart)
        below = self.low.log_prob(low) + 0.5 * likely.log_variance
        return torch.cat([self.up(low).log_prob(high).expand(*below.shape[:-1], -1), below], -1)

    def kl(self, prior: Prior) -> None:
        """It has no closed form."""

    def _code(self, low: Tensor, choose: Callable[[Diagonal], Tensor]) -> Tensor:
        high = choose(self.up(low))
        return torch.cat([high, _apart(low, self.down(high))], -1)


class TwoLevels(Bottleneck):
    """Two levels: features say the lower one as the bottleneck `low` reads them, and that says the higher one."""

    random = True

    def __init__(self, low: Bottleneck, high: int, hidden: int):
        super().__init__(low.features, (high + low.code[0],))
        self.low, self.sizes, self.starts = low, (high, low.code[0]), low.starts
        self.up, self.down = Said(low.code[0], hidden, high), Said(high, hidden, low.code[0])

    @property
    def seen(self) -> int:
        return self.low.seen

    def forward(self, features: Tensor) -> Upwards:
        return Upwards(self.low(features), self.up, self.down, self.sizes)

    def read(self, code: Tensor) -> Tensor:
        high, apart = code.split(list(self.sizes), -1)
        return _moved(self.down(high), apart)

    def linear(self, principal: Principal, beta: float) -> Affine:
        return self.low.linear(principal, beta)


@dataclass(frozen=True, eq=False)
class Downwards:
    """The posterior of a ladder for B images (arXiv 1602.02282, eq. 18 and 19): from the highest level to the lowest.

    What the picture says of a level and what the level above says of it are weighed by their precisions.
    """

    seen: Sequence[Diagonal]  # what the picture alone says of every level, the highest first
    downs: Sequence[Said]
    sizes: Sequence[int]
    extra: Mapping[str, Tensor] = field(default_factory=dict)
    drawn: list[Diagonal] = field(default_factory=list)  # of every level, given the codes above that were drawn last

    @property
    def mean(self) -> Tensor:
        """(B, D) of every level's mean, given the means above it: a picture's code, not the mean of its codes."""
        return self._down(lambda q, _: q.mean)[0][0]

    def sample(self, noise: Tensor | None, samples: int = 1) -> Tensor:
        mine = noise.split(list(self.sizes), -1)  # type: ignore[union-attr]
        z, self.drawn[:] = self._down(lambda q, i: _moved(q, mine[i]))
        return z

    def log_prob(self, z: Tensor) -> Tensor:
        """log q(z|x) in nats by dimensions, (K, B, D) for codes (K, B, D)."""
        mine = z.split(list(self.sizes), -1)
        each = [q.log_prob(part) for q, part in zip(self._down(lambda _, i: mine[i])[1], mine, strict=True)]
        return torch.cat([one.expand(*each[-1].shape[:-1], -1) for one in each], -1)

    def kl(self, prior: Prior) -> Tensor | None:
        """In nats, (B, D): of every level given the codes above it that were drawn last, or else given their means."""
        given = self.drawn or self._down(lambda q, _: q.mean)[1]
        shape = given[-1].mean.shape[:-1]
        mean = torch.cat([q.mean.expand(*shape, -1) for q in given], -1)
        each = prior.kl(mean, torch.cat([q.log_variance.expand(*shape, -1) for q in given], -1))
        return None if each is None else each.mean(0)

    def _down(self, choose: Callable[[Diagonal, int], Tensor]) -> tuple[Tensor, list[Diagonal]]:
        """Codes (K, B, D) chosen level by level, and the posterior of every level given the codes above."""
        zero = self.seen[0].mean.new_zeros(1, 1, self.sizes[0])
        likely, codes, given = Diagonal(zero, zero), [], []
        for i, seen in enumerate(self.seen):
            given.append(_weighed(seen, likely))
            codes.append(choose(given[-1], i))
            if i < len(self.downs):
                likely = self.downs[i](_moved(likely, codes[-1]))
        return torch.cat([code.expand(*codes[-1].shape[:-1], -1) for code in codes], -1), given


class Ladder(Bottleneck):
    """A ladder of levels, `sizes` from the highest down: the picture says something of each (arXiv 1602.02282).

    Features hold what it says of the lowest, as the bottleneck `low` reads it, and `hidden` numbers from which further
    layers say something of the levels `above`, one after the other.
    """

    random = True

    def __init__(self, low: Bottleneck, above: Sequence[int], hidden: int):
        super().__init__(low.features + hidden, (sum(above) + low.code[0],))
        self.low, self.sizes, self.starts = low, (*above, low.code[0]), low.starts
        self.downs = nn.ModuleList(Said(high, hidden, lower) for high, lower in pairwise(self.sizes))
        self.ups = nn.ModuleList(nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU()) for _ in above)
        self.says = nn.ModuleList(nn.Linear(hidden, 2 * size) for size in reversed(above))

    @property
    def seen(self) -> int:
        return self.low.seen

    def forward(self, features: Tensor) -> Downwards:
        own, deeper = features.tensor_split([self.low.features], 1)
        seen = [self.low(own)]
        for up, says in zip(self.ups, self.says, strict=True):
            deeper = up(deeper)
            seen.insert(0, _gaussian(says(deeper)))
        return Downwards(seen, tuple(self.downs), self.sizes)  # type: ignore[arg-type]

    def read(self, code: Tensor) -> Tensor:
        first, *others = code.split(list(self.sizes), -1)
        z = first
        for down, apart in zip(self.downs, others, strict=True):
            z = _moved(down(z), apart)
        return z

    def linear(self, principal: Principal, beta: float) -> Affine:
        """What the picture must say of the lowest level so that with N(0, I) it makes the posterior of `low` alone."""
        alone, half = self.low.linear(principal, beta), self.seen
        variance = alone.bias[half:].exp().clamp(max=MOST)
        mean = Affine(alone.weight[:half] / (1 - variance[:, None]), alone.bias[:half] / (1 - variance))
        deeper = torch.arange(self.features - self.low.features) % half
        weight = torch.cat([mean.weight, alone.weight[half:], alone.weight[deeper]])
        return Affine(weight, torch.cat([mean.bias, variance.logit(), alone.bias[deeper]]))


def rates(sizes: Sequence[int]) -> list[Term]:
    """The KL of every level of a ladder, `sizes` from the highest down, that of the lowest as kl_1; only logged."""
    starts = [0, *accumulate(sizes)]

    def of(first: int, last: int) -> Callable[[Pass, Batch], Tensor]:
        return lambda p, _: p.levels["z"].kl[:, first:last].sum(1).mean()  # type: ignore[index]

    names = (f"kl_{len(sizes) - i}" for i in range(len(sizes)))
    return [Term(name, of(*ends), 0.0) for name, ends in zip(names, pairwise(starts), strict=True)]


def _gaussian(said: Tensor) -> Diagonal:
    """From means and log variances (..., 2 D)."""
    mean, log_variance = said.chunk(2, -1)
    return Diagonal(mean, F.hardtanh(log_variance, -BOUND, BOUND))


def _moved(likely: Diagonal, apart: Tensor) -> Tensor:
    """The numbers that are so many standard deviations from what is likely."""
    return torch.addcmul(likely.mean, (0.5 * likely.log_variance).exp(), apart)


def _apart(z: Tensor, likely: Diagonal) -> Tensor:
    """How far numbers are from what is likely, in standard deviations."""
    return (z - likely.mean) * (-0.5 * likely.log_variance).exp()


def _weighed(seen: Diagonal, likely: Diagonal) -> Diagonal:
    """The product of two Gaussians, as a density of how far from the second, in standard deviations."""
    surer = likely.log_variance - seen.log_variance
    return Diagonal(_apart(seen.mean, likely) * surer.sigmoid(), -F.softplus(surer))
