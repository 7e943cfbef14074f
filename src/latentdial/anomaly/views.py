"""What a codec makes of pictures: reconstruction, code and layers of the encoder, always in groups of one size.

A product of matrices may round otherwise for another number of rows. Groups are filled up to `CHUNK` pictures, so that
what is said of a picture is the same to the bit whatever pictures it is given with.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from latentdial.latent.codec import Codec
from latentdial.progress import Steps

CHUNK = 32
GRID = 16  # places a side at which layers are seen
SCALES = 3  # layers at most, one of each size
FEATURES = 64  # channels at most, over all layers


@dataclass(frozen=True)
class View:
    """B pictures as a codec sees them."""

    pictures: np.ndarray  # uint8 (B, H, W, C)
    again: np.ndarray  # reconstructions in tenths of levels of 255, float32 (B, H, W, C)
    codes: np.ndarray  # float32 (B, D)
    features: np.ndarray | None = None  # of the encoder's layers, float32 (B, GRID, GRID, F)


def look(codec: Codec, pictures: np.ndarray) -> View:
    """The view of uint8 pictures (B, H, W, C) that fit the codec."""
    with _tapped(encoder_of(codec)) as heard:
        codes = codec.encode(pictures)
    again = np.round(codec.levels(codes), 1)
    return View(pictures, again, codes, _features(heard, codec.geometry.size))


def in_chunks(pictures: Any, progress: Steps | None = None) -> Iterator[tuple[np.ndarray, int]]:
    """All pictures (N, H, W, C), `CHUNK` at a time, the last group filled up; with the number that are real."""
    total = len(pictures)
    for start in range(0, total, CHUNK):
        given = np.asarray(pictures[start : start + CHUNK])
        filled = np.concatenate([given, np.repeat(given[:1], CHUNK - len(given), axis=0)])
        yield filled, len(given)
        if progress:
            progress(min(start + CHUNK, total), total)


def encoder_of(codec: Codec) -> nn.Module | None:
    """The module that encodes, where the codec tells of one."""
    if isinstance(codec.model, nn.ModuleList):
        return codec.model[0]
    found = getattr(codec.model, "encoder", None)
    return found if isinstance(found, nn.Module) else None


@contextmanager
def _tapped(module: nn.Module | None) -> Iterator[list[Tensor]]:
    """What the innermost layers of a module give while the block runs."""
    heard: list[Tensor] = []
    leaves = [part for part in module.modules() if not list(part.children())] if module is not None else []
    hooks = [part.register_forward_hook(lambda _m, _i, out: heard.append(out)) for part in leaves]
    try:
        yield heard
    finally:
        for hook in hooks:
            hook.remove()


def _features(heard: list[Tensor], size: int) -> np.ndarray | None:
    """The last layer of every size that has places, finest first, at `GRID` places a side; None without such layers."""
    layers = {
        out.shape[-1]: out for out in heard if isinstance(out, Tensor) and out.ndim == 4 and 4 <= out.shape[-1] < size
    }
    if not layers:
        return None
    chosen = [layers[side].float() for side in sorted(layers, reverse=True)[:SCALES]]
    even = torch.cat([_on_grid(layer) for layer in chosen], dim=1)
    kept = np.sort(np.random.default_rng(0).permutation(even.shape[1])[:FEATURES])
    return even[:, kept].permute(0, 2, 3, 1).cpu().numpy()


def _on_grid(layer: Tensor) -> Tensor:
    if layer.shape[-1] > GRID:
        return F.adaptive_avg_pool2d(layer, GRID)
    return F.interpolate(layer, size=(GRID, GRID), mode="nearest")
