"""A diffusion model of white codes whose noise is as large in each coordinate as what is seen of it.

Noise of size s turns a coordinate w of scale c into u = cos(a) w + sin(a) e with a = atan(s / c), so that what changes
the picture most comes out of the noise first, and what is fine is drawn given that. The net predicts
v = sin(a) w - cos(a) e (arXiv 2202.00512, section 4), of which nothing can be known where codes are Gaussian: a net
that starts at zero starts as the Gaussian. Codes are drawn along du = v da (arXiv 2011.13456, equation 13).
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from itertools import pairwise
from math import cos, log, pi

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from latentdial.config import PRIOR_STEPS
from latentdial.machine.precision import autocast
from latentdial.priors.kept import best_state
from latentdial.progress import Progress, quiet

WIDTH, BLOCKS, TIMES = 384, 2, 64
WAVES = 8  # frequencies of time
DROPOUT = 0.1  # of the units of a layer, for all of a batch: a mask of each code takes a seventh of the time
LEAST_SEEN = 0.01  # of the largest scale
FINEST, COARSEST = 0.05, 3.0  # sizes of noise, in units of the smallest and the largest scale
LEAST_BATCH, BATCH, WARM_UP, RATE, DECAY, KEPT = 128, 1024, 100, 4e-3, 1e-2, 0.998
APART = 400  # codes that are kept apart, where a fifth are more
EVERY, PATIENCE = 50, 8  # steps between looks at these, and looks without gain before the end
DRAWS, BOUND_DRAWS = 8, 32  # pairs of noise and time for each code: in these looks, and in a likelihood
SOLVER_STEPS = 32
CHUNK = 1024


class Block(nn.Module):
    """A residual layer (N, W) that is told the time as features (N, T)."""

    def __init__(self, width: int):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.enter = nn.Linear(width, width)
        self.time = nn.Linear(TIMES, width)
        self.leave = nn.Linear(width, width)
        nn.init.zeros_(self.leave.weight)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        hidden = F.silu(self.enter(self.norm(x)) + self.time(time))
        return x + self.leave(hidden * F.dropout(hidden.new_ones(hidden.shape[-1]), DROPOUT, self.training))


class Diffusion(nn.Module):
    """What is to be known of v (N, D) from noisy coordinates u (N, D) at times t (N, 1) from 0, noise, to 1, codes.

    Coordinates are those of white codes along `axes` (D, D), its columns, whose `scales` (D,) are 1 at most.
    """

    axes: Tensor
    scales: Tensor

    def __init__(self, latent: int, width: int = WIDTH):
        super().__init__()
        self.register_buffer("axes", torch.zeros(latent, latent).fill_diagonal_(1))
        self.register_buffer("scales", torch.ones(latent))
        self.enter = nn.Linear(latent, width)
        self.time = nn.Linear(2 * WAVES, TIMES)
        self.blocks = nn.ModuleList(Block(width) for _ in range(BLOCKS))
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, latent)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, u: Tensor, t: Tensor) -> Tensor:
        waves = 0.5 * pi * t * torch.arange(1, WAVES + 1, dtype=u.dtype)
        time = F.silu(self.time(torch.cat([waves.sin(), waves.cos()], -1)))
        hidden = self.enter(u)
        for block in self.blocks:
            hidden = block(hidden, time)
        return self.leave(F.silu(self.norm(hidden)))

    @property
    def sizes(self) -> tuple[float, float]:
        """The log of the finest and of the coarsest noise."""
        return log(FINEST * self.scales.min().item()), log(COARSEST * self.scales.max().item())

    def relative_noise(self, t: Tensor) -> Tensor:
        """The noise at times (N, 1) in units of each coordinate's scale: (N, D)."""
        finest, coarsest = self.sizes
        return (coarsest + (finest - coarsest) * t).exp() / self.scales

    def log_prob(self, white: np.ndarray) -> np.ndarray:
        """A lower bound (N,) of the log density of white codes (N, D), in nats, from noise and times drawn anew.

        Half the squared error of the best Gaussian estimate less that of the net's, integrated over the ratio of
        signal to noise, is what the density has more than the Gaussian one (arXiv 2302.03792, equation 9).
        """
        generator = torch.Generator().manual_seed(0)
        finest, coarsest = self.sizes
        found = []
        for chunk in torch.from_numpy(np.asarray(white, np.float32)).split(CHUNK):
            w, gain = chunk @ self.axes, torch.zeros(len(chunk))
            for stratum in range(BOUND_DRAWS):
                t = (stratum + torch.rand(len(w), 1, generator=generator)) / BOUND_DRAWS
                u, v, kept = self.turned(w, t, torch.randn(w.shape, generator=generator))
                gain += (kept.square() * (v.square() - (v - self(u, t)).square())).sum(1) / BOUND_DRAWS
            found.append((coarsest - finest) * gain - 0.5 * (w.square() + log(2 * pi)).sum(1))
        return torch.cat(found).double().numpy()

    def turned(self, w: Tensor, t: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Coordinates w (N, D) turned to noise: u, v and the cosine of the angle, each (N, D)."""
        size = self.relative_noise(t)
        cosine = (1 + size.square()).rsqrt()
        sine = size * cosine
        return cosine * w + sine * noise, sine * w - cosine * noise, cosine

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draw white codes (n, D)."""
        noise = torch.from_numpy(rng.standard_normal((n, len(self.scales))).astype(np.float32))
        return torch.cat([self._solved(chunk) @ self.axes.T for chunk in noise.split(CHUNK)]).double().numpy()

    @torch.no_grad()
    def _solved(self, u: Tensor) -> Tensor:
        """Noise (N, D) to coordinates (Heun's method); what finer noise would hide is Gaussian."""
        times = torch.linspace(0, 1, SOLVER_STEPS + 1)[:, None, None]
        for now, then in pairwise(times):
            turn = self.relative_noise(now).atan() - self.relative_noise(then).atan()
            v = self(u, now)
            u = u + 0.5 * turn * (v + self(u + turn * v, then))
        return u


def fit_diffusion(
    white: np.ndarray,
    seed: int = 0,
    seen: np.ndarray | None = None,
    precision: str = "float32",
    width: int = WIDTH,
    steps: int = PRIOR_STEPS,
    progress: Progress = quiet,
) -> Diffusion:
    """The diffusion of white codes (N, D) as it was when some of them, kept apart, were predicted best.

    `seen` (D, D) gives the squared change of a picture for a change x of a white code as x @ seen @ x; without it all
    changes count alike.
    """
    codes = torch.from_numpy(np.asarray(white, np.float32))
    apart = torch.arange(len(codes)) % max(5, len(codes) // APART) == 0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = Diffusion(codes.shape[1], width)
        if seen is not None:
            net.axes, net.scales = _seen_by(seen)
        w = codes @ net.axes
        kept = w[apart].repeat(DRAWS, 1)
        judged = kept, torch.rand(len(kept), 1), torch.randn(kept.shape)

        def looks() -> Iterator[tuple[float, Diffusion]]:
            for step, average in _trained(net, w[~apart], steps, precision):
                progress("fitting a diffusion of codes", min(step + EVERY, steps), steps)
                with torch.no_grad():
                    loss = _loss(average, *judged, precision).item()
                yield loss, average

        net.load_state_dict(best_state(looks(), PATIENCE)[1])
    return net.eval().requires_grad_(False)


def _seen_by(seen: np.ndarray) -> tuple[Tensor, Tensor]:
    """Orthonormal axes (D, D) along which changes of the picture are uncorrelated, and their relative sizes (D,)."""
    values, axes = np.linalg.eigh(seen)
    largest = values[-1]
    scales = np.sqrt(np.clip(values / largest, LEAST_SEEN**2, 1)) if largest > 0 else np.ones(len(values))
    return torch.from_numpy(axes.astype(np.float32)), torch.from_numpy(scales.astype(np.float32))


def _trained(net: Diffusion, w: Tensor, steps: int, precision: str) -> Iterator[tuple[int, Diffusion]]:
    """Train on coordinates (N, D); now and then the moving average of the net, before the first step too."""
    average = deepcopy(net).eval().requires_grad_(False)
    optimizer = torch.optim.AdamW(net.parameters(), RATE, (0.9, 0.99), weight_decay=DECAY, fused=True)
    each: list[Tensor] = list(average.parameters())
    size = min(BATCH, max(LEAST_BATCH, len(w) // 4))
    for step in range(steps):
        if step % EVERY == 0:
            yield step, average
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1, (step + 1) / WARM_UP) * cos(0.5 * pi * step / steps)
        batch = w[torch.randint(len(w), (size,))]
        t = (torch.arange(size)[:, None] + torch.rand(size, 1)) / size
        with torch.enable_grad():
            optimizer.zero_grad()
            _loss(net, batch, t, torch.randn(batch.shape), precision).backward()
        optimizer.step()
        torch._foreach_lerp_(each, [one.detach() for one in net.parameters()], 1 - min(KEPT, (step + 1) / (step + 10)))
    yield steps, average


def _loss(net: Diffusion, w: Tensor, t: Tensor, noise: Tensor, precision: str) -> Tensor:
    u, v, _ = net.turned(w, t, noise)
    with autocast(precision, "cpu"):
        predicted = net(u, t)
    return F.mse_loss(predicted.float(), v)
