"""Move one thing and hold the others: linear conditioning, then a few steps of optimisation on the code."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from latentdial.latent.codec import Codec
from latentdial.latent.direction import Direction

STEPS, RATE = 40, 0.05  # of Adam, in sd of the codes
CLOSENESS = 0.05  # weight of the squared distance from the linear edit, in sd of the codes
MAX_GAIN = 3.0  # a conditioned step may be at most this much longer than the plain one

Probe = Callable[[Tensor], Tensor]
"""Reads attributes (B, A) from float pictures (B, C, H, W) in the codec's value range."""


def steer(codec: Codec, code: np.ndarray, target: Direction, amount: float, keep: Sequence[Direction]) -> np.ndarray:
    """The code (D,) moved `amount` along the target with the reading of every direction in `keep` held.

    The linear step is conditioned first; then the code is refined so that the picture, encoded again, reads so too.
    """
    readers = [direction.normal for direction in keep]
    step = conditioned(amount * target.vector, np.cov(codec.codes.T.astype(np.float64)), readers, target.normal)
    return refined(codec, code, code + step, np.stack([target.normal, *readers]))


def conditioned(
    step: np.ndarray, covariance: np.ndarray, readers: Sequence[np.ndarray], target: np.ndarray
) -> np.ndarray:
    """The step (D,) changed as little as it can, measured in the codes' covariance, so that no reader sees it.

    It is scaled to change the target's reading as the plain step did, as far as 3 times its length allows.
    """
    normals = np.stack(readers, axis=1)
    spread = covariance @ normals
    held = step - spread @ np.linalg.pinv(normals.T @ spread, hermitian=True) @ (normals.T @ step)
    wanted, got = float(step @ target), float(held @ target)
    gain = wanted / got if wanted * got > 0 else 1.0
    length = float(np.linalg.norm(held))
    return held * min(gain, MAX_GAIN * float(np.linalg.norm(step)) / length) if length > 0 else held


def refined(codec: Codec, code: np.ndarray, moved: np.ndarray, readers: np.ndarray) -> np.ndarray:
    """The moved code (D,), refined until its picture, encoded again, has the readings (A,) of the linear edit."""
    sds = np.maximum((codec.codes @ readers.T).std(0), 1e-9)
    weights = torch.as_tensor(readers / sds[:, None], dtype=torch.float32, device=codec.device)

    def probe(pictures: Tensor) -> Tensor:
        return codec.encoder(pictures) @ weights.T

    with torch.no_grad():
        start = codec.decoder(torch.as_tensor(code[None], dtype=torch.float32, device=codec.device))
        wanted = probe(start)[0] + weights @ torch.as_tensor(moved - code, dtype=torch.float32, device=codec.device)
    return optimise(codec, moved[None], probe, wanted[None])[0]


def optimise(
    codec: Codec,
    moved: np.ndarray,
    probe: Probe,
    wanted: Tensor,
    steps: int = STEPS,
    closeness: float = CLOSENESS,
) -> np.ndarray:
    """Codes (N, D) near `moved` whose decoded pictures the probe reads as `wanted` (N, A).

    Minimises the squared error of the readings plus `closeness` times the squared distance in sd of the codes, with
    Adam on whitened offsets, so that the code keeps to directions in which real codes vary.
    """
    support = codec.support
    colour = torch.as_tensor(np.linalg.pinv(support.whiten), dtype=torch.float32, device=codec.device)
    start = torch.as_tensor(moved, dtype=torch.float32, device=codec.device)
    offset = torch.zeros_like(start, requires_grad=True)
    optimiser = torch.optim.Adam([offset], lr=RATE)
    for _ in range(steps):
        error = (probe(codec.decoder(start + offset @ colour)) - wanted).square().sum()
        loss = error + closeness * offset.square().sum()
        (offset.grad,) = torch.autograd.grad(loss, [offset])
        optimiser.step()
    return (start + offset.detach() @ colour).cpu().double().numpy()
