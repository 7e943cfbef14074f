"""Move one thing and hold the others: linear conditioning, then a few steps of optimisation on the code."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from latentdial.latent.codec import Codec
from latentdial.latent.direction import Direction
from latentdial.latent.reader import Reader

STEPS, RATE = 40, 0.1  # of Adam, in sd of the codes
CLOSENESS = 0.1  # weight of the squared distance from the linear edit, in sd of the codes
FLOOR = 1e-4  # of the mean variance of the codes, by which flat directions may still vary
MAX_GAIN = 3.0  # a conditioned step may be at most this much longer than the plain one

Error = Callable[[Tensor], Tensor]
"""How far float pictures (B, C, H, W) in the codec's value range are from what is wanted, (B,)."""


def steer(codec: Codec, code: np.ndarray, target: Direction, amount: float, keep: Sequence[Direction]) -> np.ndarray:
    """The code (D,) moved `amount` along the target with the reading of every direction in `keep` held.

    The linear step is conditioned first; then the code is refined so that the picture, encoded again, reads so too:
    by the codec's trained reader where that knows all the names, else by the directions' own linear readers.
    """
    readers = [direction.normal for direction in keep]
    step = conditioned(amount * target.vector, np.cov(codec.codes.T.astype(np.float64)), readers, target.normal)
    start, moved = code[None], (code + step)[None]
    names = [target.name, *(direction.name for direction in keep)]
    if codec.reader is not None and set(names) <= set(codec.reader.columns):
        return hold(codec, start, moved, codec.reader, names)[0]
    return refined(codec, start, moved, np.stack([target.normal, *readers]))[0]


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


def refined(codec: Codec, codes: np.ndarray, moved: np.ndarray, readers: np.ndarray) -> np.ndarray:
    """The moved codes (N, D), refined until their pictures, encoded again, read (A,) like the linear edit."""
    sds = np.maximum((codec.codes @ readers.T).std(0), 1e-9)
    weights = torch.as_tensor(readers / sds[:, None], dtype=torch.float32, device=codec.device)
    start, step = (torch.as_tensor(a, dtype=torch.float32, device=codec.device) for a in (codes, moved - codes))
    with torch.no_grad():
        wanted = (codec.encoder(codec.decoder(start)) + step) @ weights.T
    return optimise(codec, moved, lambda x: (codec.encoder(x) @ weights.T - wanted).square().sum(1))


def hold(
    codec: Codec,
    codes: np.ndarray,
    moved: np.ndarray,
    reader: Reader,
    names: Sequence[str],
    amount: float | None = None,
) -> np.ndarray:
    """The moved codes (N, D), refined until the first name reads as it should and the others as the codes (N, D) did.

    The first reading is to rise by `amount`, as a probability or in sd, or where that is None, by as much as it rises
    from the codes to the moved codes. Readings held are of the picture, encoded again.
    """
    start, aim = (torch.as_tensor(a, dtype=torch.float32, device=codec.device) for a in (codes, moved))
    with torch.no_grad():
        before = reader(codec.encoder(codec.decoder(start)))
        rise = (reader(aim) - reader(start))[:, reader.columns.index(names[0])]
    wanted = reader.aim(before, names[0], rise if amount is None else amount)
    return optimise(codec, moved, lambda x: reader.loss(codec.encoder(x), wanted, names))


def optimise(
    codec: Codec,
    moved: np.ndarray,
    error: Error,
    steps: int = STEPS,
    closeness: float = CLOSENESS,
) -> np.ndarray:
    """Codes (N, D) near `moved` whose decoded pictures have a small error.

    Minimises the error plus `closeness` times the squared distance in sd of the codes, with Adam on whitened offsets,
    so that the code keeps to directions in which real codes vary.
    """
    covariance = np.atleast_2d(np.cov(codec.codes.T.astype(np.float64)))
    ridge = FLOOR * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    colour = torch.as_tensor(np.linalg.cholesky(covariance + ridge).T, dtype=torch.float32, device=codec.device)
    start = torch.as_tensor(moved, dtype=torch.float32, device=codec.device)
    offset = torch.zeros_like(start, requires_grad=True)
    optimiser = torch.optim.Adam([offset], lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        loss = error(codec.decoder(start + offset @ colour)).sum() + closeness * offset.square().sum()
        (offset.grad,) = torch.autograd.grad(loss, [offset])
        optimiser.step()
        schedule.step()
    return (start + offset.detach() @ colour).cpu().double().numpy()
