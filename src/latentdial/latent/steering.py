"""Move one thing and hold the others: by what is known of attributes, else by linear conditioning; then refine."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from latentdial.attributes.known import Attributes
from latentdial.latent.codec import Codec
from latentdial.latent.direction import Direction

STEPS, RATE = 40, 0.1  # of Adam, in sd of the codes
CLOSENESS = 1.0  # weight of the squared distance from the edit before, in sd of the codes
FLOOR = 1e-4  # of the mean variance of the codes, by which flat directions may still vary
CHUNK = 128  # codes moved together
MAX_GAIN = 3.0  # a conditioned step may be at most this much longer than the plain one

Error = Callable[[Tensor], Tensor]
"""How far codes (B, D) are from what is wanted, (B,)."""


def steer(
    codec: Codec, codes: np.ndarray, target: Direction, amounts: np.ndarray, keep: Sequence[Direction]
) -> np.ndarray:
    """Codes (N, D) moved by `amounts` (N,) along the target with all directions in `keep`, but the target itself, held.

    Where the codec knows the target and all that is kept as attributes, and reads the target well, the codes move as
    they say, and are refined until they read so. Otherwise the linear step is conditioned, and refined until the
    pictures, encoded again, read so.
    """
    keep = [direction for direction in keep if direction.name != target.name]
    names, known = [target.name, *(direction.name for direction in keep)], codec.attributes
    if known is not None and set(names) <= set(known.columns) and known.trusted(target.name):
        return _in_chunks(lambda z, by: by_attributes(codec, known, z, target, by), codes, amounts)
    if not keep:
        return codes + amounts[:, None] * target.vector
    readers = [direction.normal for direction in keep]
    step, stack = conditioned(target.vector, codec.covariance, readers, target.normal), [target.normal, *readers]
    return _in_chunks(lambda z, by: refined(codec, z, z + by[:, None] * step, np.stack(stack)), codes, amounts)


def _in_chunks(move: Callable[[np.ndarray, np.ndarray], np.ndarray], codes: np.ndarray, by: np.ndarray) -> np.ndarray:
    return np.concatenate([move(codes[i : i + CHUNK], by[i : i + CHUNK]) for i in range(0, len(codes), CHUNK)])


def by_attributes(
    codec: Codec, attributes: Attributes, codes: np.ndarray, target: Direction, amount: float | np.ndarray
) -> np.ndarray:
    """Codes (N, D) moved by an amount, or by (N,), along an attribute, with all that is known of the others held."""
    given = (codes, target.vector, amount)
    start, vector, by = (torch.as_tensor(a, dtype=torch.float32, device=codec.device) for a in given)
    moved = attributes.moved(start, target.name, vector, by)
    return optimise(codec, moved, attributes.error(start, moved, target.name))


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

    def error(moved: Tensor) -> Tensor:
        return (codec.encoder(codec.decoder(moved)) @ weights.T - wanted).square().sum(1)

    return optimise(codec, torch.as_tensor(moved, dtype=torch.float32, device=codec.device), error)


def optimise(codec: Codec, moved: Tensor, error: Error) -> np.ndarray:
    """Codes (N, D) near `moved` with a small error.

    Minimises the error plus `CLOSENESS` times the squared distance in sd of the codes, with Adam on whitened offsets,
    so that the code keeps to directions in which real codes vary.
    """
    covariance = codec.covariance
    ridge = FLOOR * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    colour = torch.as_tensor(np.linalg.cholesky(covariance + ridge).T, dtype=torch.float32, device=codec.device)
    offset = torch.zeros_like(moved, requires_grad=True)
    optimiser = torch.optim.Adam([offset], lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    for _ in range(STEPS):
        loss = error(moved + offset @ colour).sum() + CLOSENESS * offset.square().sum()
        (offset.grad,) = torch.autograd.grad(loss, [offset])
        optimiser.step()
        schedule.step()
    return (moved + offset.detach() @ colour).cpu().double().numpy()
