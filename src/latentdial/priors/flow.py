"""A continuous normalising flow over white codes, learnt by flow matching, with its exact divergence.

Codes x and noise e are joined by cos(s) e + sin(s) x, s from 0 to pi/2 (arXiv 2209.15571, eq. 5; flow matching: arXiv
2210.02747, eq. 9). White Gaussian codes need no velocity at all on this path, so a net that starts at zero starts as
the Gaussian. With two hidden layers the trace of the net's Jacobian is a bilinear form of the activations'
derivatives: the likelihood (arXiv 1810.01367, eq. 4) needs no estimate of it.
"""

from __future__ import annotations

from math import log, pi

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDTH = 256
WAVES = 4  # frequencies of time
BATCH, STEPS, RATE, DECAY = 256, 1500, 3e-3, 1e-2
EVERY, PATIENCE = 50, 6  # steps between looks at the codes kept apart, and looks without gain before the end
DRAWS = 8  # pairs of noise and time for each of them
SOLVER_STEPS = 16
CHUNK = 1024


class Flow(nn.Module):
    """The velocity (N, D) of white codes (N, D) at time t from 0, noise, to 1, codes."""

    def __init__(self, latent: int, width: int = WIDTH):
        super().__init__()
        self.latent = latent
        self.enter = nn.Linear(latent, width)
        self.middle = nn.Linear(width, width)
        self.leave = nn.Linear(width, latent)
        self.times = nn.Linear(2 * WAVES, 2 * width)

    def start(self, generator: torch.Generator) -> Flow:
        """Random weights with no velocity anywhere."""
        for layer in (self.enter, self.middle, self.times):
            nn.init.normal_(layer.weight, std=layer.in_features**-0.5, generator=generator)
            nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)
        return self

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return self.leave(F.silu(self._hidden(x, t)[1]))

    def with_divergence(self, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """The velocity (N, D) and the trace of its Jacobian (N,)."""
        first, second = self._hidden(x, t)
        bilinear = self.middle.weight * (self.enter.weight @ self.leave.weight).T
        divergence = ((_slope(second) @ bilinear) * _slope(first)).sum(1)
        return self.leave(F.silu(second)), divergence

    def _hidden(self, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        angles = 0.5 * pi * t * torch.arange(1, WAVES + 1, dtype=x.dtype)
        early, late = self.times(torch.cat([angles.sin(), angles.cos()], -1)).chunk(2, -1)
        first = self.enter(x) + early
        return first, self.middle(F.silu(first)) + late

    @torch.no_grad()
    def transport(self, x: Tensor, forward: bool = True) -> tuple[Tensor, Tensor]:
        """Noise (N, D) to codes, or back, with the integral (N,) of the divergence on the way (Runge & Kutta)."""
        step = (1.0 if forward else -1.0) / SOLVER_STEPS
        total = torch.zeros(len(x), dtype=x.dtype)
        for i in range(SOLVER_STEPS):
            t = torch.full((1, 1), i * step + (not forward), dtype=x.dtype)
            v1, d1 = self.with_divergence(x, t)
            v2, d2 = self.with_divergence(x + step / 2 * v1, t + step / 2)
            v3, d3 = self.with_divergence(x + step / 2 * v2, t + step / 2)
            v4, d4 = self.with_divergence(x + step * v3, t + step)
            x = x + step / 6 * (v1 + 2 * v2 + 2 * v3 + v4)
            total = total + step / 6 * (d1 + 2 * d2 + 2 * d3 + d4)
        return x, total

    def log_prob(self, white: np.ndarray) -> np.ndarray:
        """Log density (N,) of white codes (N, D), in nats."""
        found = []
        for chunk in torch.from_numpy(np.asarray(white, np.float32)).split(CHUNK):
            noise, integral = self.transport(chunk, forward=False)
            found.append(integral - 0.5 * (noise.square() + log(2 * pi)).sum(1))
        return torch.cat(found).double().numpy()

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draw white codes (n, D)."""
        noise = torch.from_numpy(rng.standard_normal((n, self.latent)).astype(np.float32))
        return torch.cat([self.transport(chunk)[0] for chunk in noise.split(CHUNK)]).double().numpy()


def fit_flow(white: np.ndarray, seed: int = 0, width: int = WIDTH, steps: int = STEPS) -> Flow:
    """The flow of white codes (N, D) as it was when every fifth of them, kept apart, was matched best."""
    generator = torch.Generator().manual_seed(seed)
    codes = torch.from_numpy(np.asarray(white, np.float32))
    apart = torch.arange(len(codes)) % 5 == 0
    train, kept = codes[~apart], codes[apart].repeat(DRAWS, 1)
    flow = Flow(codes.shape[1], width).start(generator)
    optimizer = torch.optim.AdamW(flow.parameters(), RATE, weight_decay=DECAY, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    judged = _pairs(kept, generator)
    best, state, waited = float("inf"), {}, 0
    for step in range(steps + 1):
        if step % EVERY == 0:
            with torch.no_grad():
                loss = _loss(flow, *judged).item()
            waited = 0 if loss < best else waited + 1
            if loss < best:
                best, state = loss, {name: tensor.clone() for name, tensor in flow.state_dict().items()}
            if waited == PATIENCE:
                break
        batch = train[torch.randint(len(train), (BATCH,), generator=generator)]
        with torch.enable_grad():
            optimizer.zero_grad()
            _loss(flow, *_pairs(batch, generator)).backward()
        optimizer.step()
        schedule.step()
    flow.load_state_dict(state)
    return flow.requires_grad_(False)


def _pairs(codes: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Points (N, D) on the paths from noise to codes, their times (N, 1), and the velocities (N, D) there."""
    t = torch.rand(len(codes), 1, generator=generator)
    noise = torch.randn(codes.shape, generator=generator)
    cos, sin = (0.5 * pi * t).cos(), (0.5 * pi * t).sin()
    return cos * noise + sin * codes, t, 0.5 * pi * (cos * codes - sin * noise)


def _loss(flow: Flow, x: Tensor, t: Tensor, velocity: Tensor) -> Tensor:
    return F.mse_loss(flow(x, t), velocity)


def _slope(x: Tensor) -> Tensor:
    """The derivative of silu."""
    gate = x.sigmoid()
    return gate * (1 + x * (1 - gate))
