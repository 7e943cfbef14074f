"""The detail of a photograph that a codec blurs away, carried over to the edited picture."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from latentdial.latent.motion import blur, flow, warp

CHUNK = 32  # pictures at once
NEAR = 1.5 / 64  # of the side: within which structures are compared
TOLERANCE = (20 / 255) ** 2  # squared difference of structures at which half of the detail is left
NOISE = (3 / 255) ** 2  # variance below which there is no structure
MOST_GAIN = 1.5  # by which contrast may make detail stronger


def preserve(sources: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Edited pictures `after` with the detail of their sources, sources - before, which moves along with the edit.

    All (N, H, W, C) in levels of 255; `before` are the reconstructions of the sources. The detail is carried by the
    optical flow from `before` to `after` where that brings them nearer, else left in place; its contrast follows that
    of the picture; and it fades where the two differ in structure, as where the edit draws something new.

    >>> sources, before = np.full((1, 8, 8, 1), 100.0), np.full((1, 8, 8, 1), 90.0)
    >>> round(float(preserve(sources, before, before).mean()), 2)
    100.0
    """
    parts = [slice(i, i + CHUNK) for i in range(0, len(sources), CHUNK)]
    made = [_with_detail(*(_tensor(x[part]) for x in (sources, before, after))) for part in parts]
    return np.moveaxis(255 * torch.cat(made).numpy(), 1, -1)


def _with_detail(sources: Tensor, before: Tensor, after: Tensor) -> Tensor:
    """The same of tensors (N, C, H, W) in [0, 1]."""
    detail, motion = sources - before, flow(before, after)
    still = _carried(detail, before, after)
    moved = _carried(warp(detail, motion, "bicubic"), warp(before, motion), after)
    share = _trust(moved[1]) / (_trust(moved[1]) + _trust(still[1]))
    return (after + torch.lerp(still[0], moved[0], share)).clamp(0, 1)


def _carried(detail: Tensor, before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
    """Detail as it would look in `after`, and the squared difference (N, 1, H, W) of structures that tells how far."""
    near = (max(1.0, NEAR * detail.shape[2]), max(1.0, NEAR * detail.shape[3]))

    def mean(x: Tensor) -> Tensor:
        return blur(x, near)

    def shared(x: Tensor, y: Tensor) -> Tensor:
        return (mean(x * y) - mean(x) * mean(y)).mean(1, keepdim=True)

    gain = (shared(before, after) + NOISE) / (shared(before, before).clamp(min=0) + NOISE)
    apart = shared(after - before, after - before).clamp(min=0)
    return gain.clamp(0, MOST_GAIN) * detail / (1 + apart / TOLERANCE), apart


def _trust(apart: Tensor) -> Tensor:
    return (apart + NOISE) ** -2


def _tensor(pictures: np.ndarray) -> Tensor:
    return torch.from_numpy(np.moveaxis(np.asarray(pictures, np.float32) / 255, -1, 1).copy())
