"""Normalising flows around a Gaussian: a learnt prior, and a posterior beyond the diagonal one (extra `flows`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from latentdial.errors import LatentdialError
from latentdial.posteriors import Bottleneck, Diagonal
from latentdial.types import Prior

MAX_LATENT, MAX_WIDTH = 512, 2048  # what masks may take before anything is known to fit
NEAR = 0.01  # of the usual weights, for what a flow starts with
FORGET = 2.0  # what gates start with: most of a code passes (arXiv 1606.04934, section 4)


class FlowPrior(nn.Module):
    """p(z) as a masked autoregressive flow of rational-quadratic splines (arXiv 1705.07057, section 3; 1906.04032).

    It starts near N(0, I). Densities take one pass, samples one for every dimension.
    """

    def __init__(self, latent: int, transforms: int, widths: Sequence[int]):
        super().__init__()
        zuko = _zuko(latent, widths)
        with torch.device("cpu"):  # its masks are looked at while it is made
            self.flow = zuko.flows.NSF(latent, transforms=transforms, hidden_features=list(widths))
        self.latent = latent
        for transform in self.flow.transform.transforms:
            _calm(transform.hyper[-1], NEAR)

    def log_prob(self, z: Tensor) -> Tensor:
        """log p(z) in nats, (K, B, 1) for codes (K, B, D)."""
        return self.flow().log_prob(z)[..., None]

    def kl(self, mean: Tensor, log_variance: Tensor) -> None:
        """It has no closed form."""

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw n codes (n, D)."""
        return self.flow().transform.inv(torch.randn(n, self.latent, generator=generator))


@dataclass(frozen=True, eq=False)
class Flowed:
    """q(z|x) for B images: a diagonal Gaussian moved by gated autoregressive steps (arXiv 1606.04934, algorithm 1)."""

    base: Diagonal
    context: Tensor  # (B, F)
    steps: Sequence[nn.Module]
    extra: Mapping[str, Tensor] = field(default_factory=dict)
    drawn: list[tuple[Tensor, Tensor]] = field(default_factory=list)  # the last codes, and what log_prob says of them

    @property
    def mean(self) -> Tensor:
        """(B, D) where the steps take the Gaussian's mean: the code of a picture, not the mean of its codes."""
        return self._moved(self.base.mean[None])[0][0]

    def sample(self, noise: Tensor | None, samples: int = 1) -> Tensor:
        start = self.base.sample(noise, samples)
        z, log_gates = self._moved(start)
        self.drawn[:] = [(z, self._density(start, log_gates))]
        return z

    def log_prob(self, z: Tensor) -> Tensor:
        """log q(z|x) in nats, (K, B, 1); codes that were not drawn last are taken back dimension by dimension."""
        if self.drawn and self.drawn[0][0] is z:
            return self.drawn[0][1]
        start = z
        for net in reversed(self.steps):
            start = start.flip(-1)
            seen = start
            for _ in range(z.shape[-1]):
                gate, shift = self._gate(net, seen)
                seen = (start - (1 - gate) * shift) / gate
            start = seen
        return self._density(start, self._moved(start)[1])

    def kl(self, prior: Prior) -> None:
        """It has no closed form."""

    def _moved(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Codes (K, B, D) after all steps, and the log of the steps' determinant, (K, B)."""
        log_gates = z.new_zeros(z.shape[:-1])
        for net in self.steps:
            gate, shift = self._gate(net, z)
            z = (gate * z + (1 - gate) * shift).flip(-1)
            log_gates = log_gates + gate.log().sum(-1)
        return z, log_gates

    def _gate(self, net: nn.Module, z: Tensor) -> tuple[Tensor, Tensor]:
        gate, shift = net(torch.cat([z, self.context.expand(*z.shape[:-1], -1)], -1)).chunk(2, -1)
        return (gate + FORGET).sigmoid(), shift

    def _density(self, start: Tensor, log_gates: Tensor) -> Tensor:
        return (self.base.log_prob(start).sum(-1) - log_gates)[..., None]


class Autoregressive(Bottleneck):
    """An inverse autoregressive flow posterior: features hold means, log variances and the steps' context."""

    random = True

    def __init__(self, latent: int, steps: int, widths: Sequence[int], context: int):
        super().__init__(2 * latent + context, (latent,))
        _zuko(latent, widths)
        from zuko.nn import MaskedMLP

        self.latent = latent
        with torch.device("cpu"):
            seen = torch.cat([torch.ones(latent, latent).tril(-1), torch.ones(latent, context)], 1).bool()
            self.steps = nn.ModuleList(MaskedMLP(torch.cat([seen, seen]), list(widths)) for _ in range(steps))
        for net in self.steps:
            _calm(net[-1], NEAR)  # type: ignore[index]

    def forward(self, features: Tensor) -> Flowed:
        mean, log_variance, context = features.split([self.latent, self.latent, features.shape[1] - 2 * self.latent], 1)
        return Flowed(Diagonal(mean, F.hardtanh(log_variance, -20.0, 20.0)), context, tuple(self.steps))


@torch.no_grad()
def _calm(layer: nn.Module, factor: float) -> None:
    for parameter in layer.parameters():
        parameter.mul_(factor)


def _zuko(latent: int, widths: Sequence[int]) -> Any:
    """The package, and whether a flow of this size may be made."""
    if latent > MAX_LATENT or max(widths) > MAX_WIDTH:
        raise LatentdialError(f"a flow takes {MAX_LATENT} dimensions and layers of {MAX_WIDTH} at most: use fewer")
    try:
        import zuko
    except ImportError:
        raise LatentdialError("flows need zuko: pip install 'latentdial[flows]'") from None
    return zuko
