"""A run whose raw dimensions are the canonical coordinates of another: the same pictures, the code in order."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from latentdial.errors import LatentdialError
from latentdial.latent.canonical import Canonical
from latentdial.latent.codec import Codec
from latentdial.layers import Shortcut
from latentdial.model import Model
from latentdial.outputs import check_folder
from latentdial.parts.residual import Refined
from latentdial.runs.loading import load, save_canonical, save_codes, save_model
from latentdial.runs.records import CARD, CONFIG, METRICS, SUMMARY, TIMES
from latentdial.storage import Missing, read_bytes, write

TOLERANCE = 0.05  # levels of 255 that pictures may differ by
CHECKED = 64  # codes
MAX_BYTES = 16_000_000
KEPT = METRICS, TIMES, SUMMARY
NOTE = """
## Reordered

The code of this run is that of `{name}` in canonical coordinates, folded into its last encoder and its first decoder
layer: raw dimension 0 changes pictures most, each has mean 0 and standard deviation 1 over the training pictures, and
reconstructions are the same. It was not trained further.
"""


def reorder(run: str | Path, out: str | Path) -> Codec:
    """Write a run whose raw dimensions are the canonical coordinates of `run`, and which makes the same pictures.

    Dimensions beyond the rank of the training codes come last. A model with a prior, and one whose code layers are not
    linear, is a LatentdialError.
    """
    folder, out = Path(run), check_folder(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise LatentdialError(f"{out} exists already: choose another --out")
    codec = load(folder)
    found = completed(codec.canonical, codec.codes)
    before = codec.levels(codec.codes[:CHECKED])
    _fold(codec, found)
    codes = found.coordinates(codec.codes).astype(np.float32)
    if not np.abs(codec.levels(codes[:CHECKED]) - before).max() <= TOLERANCE:
        raise LatentdialError(f"{folder} would not make the same pictures: use c0, c1, ... in edits in place of this")
    held_out = None if codec.held_out is None else found.coordinates(codec.held_out)
    return _write(codec, folder, out, codes, held_out)


def completed(found: Canonical, codes: np.ndarray) -> Canonical:
    """The coordinates, and as many more as make the map from codes to them invertible: what the codes never vary in.

    >>> whole = completed(Canonical(np.zeros(2), np.eye(2)[:1], np.eye(2)[:1], np.ones(1)), np.zeros((3, 2)))
    >>> whole.steps.tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    sds = codes.std(0, dtype=np.float64)
    scale = np.where(sds > 0, sds, 1.0)
    rest = np.linalg.svd(found.readers * scale, full_matrices=True)[2][len(found.readers) :]
    steps = np.concatenate([found.steps, rest * scale])
    return Canonical(found.centre, steps, np.linalg.inv(steps).T, np.pad(found.levels, (0, len(rest))))


def _write(codec: Codec, folder: Path, out: Path, codes: np.ndarray, held_out: np.ndarray | None) -> Codec:
    """The new run: its weights, codes and settings, and the records of the training that it comes from."""
    if codec.config is None or not isinstance(codec.model, Model):
        raise LatentdialError(f"{folder} is no run: train one first")
    config = replace(codec.config, origin=f"reordered from {codec.name}")
    count, latent = codec.canonical.steps.shape
    axes = np.eye(count, latent)
    canonical = Canonical(np.zeros(latent), axes, axes, codec.canonical.levels)
    out.mkdir(parents=True, exist_ok=True)
    save_codes(out, codes, None, held_out, codec.held_out_losses)
    save_canonical(out, canonical)
    save_model(out, codec.model, config.geometry.shape)
    for name in KEPT:
        with suppress(Missing):
            write(out / name, read_bytes(folder / name, MAX_BYTES))
    card = ""
    with suppress(Missing):
        card = read_bytes(folder / CARD, MAX_BYTES).decode("utf-8", "replace")
    write(out / CARD, (card or f"# {out.name}\n") + NOTE.format(name=codec.name))
    write(out / CONFIG, config.to_json())
    return load(out)


def _fold(codec: Codec, found: Canonical) -> None:
    """Put z -> c before the code and c -> z behind it, into the linear layers on both sides."""
    model = codec.model
    if codec.prior is not None:
        posterior = ", and its posterior not diagonal" if getattr(model, "draws", {}) else ""
        raise LatentdialError(
            f"{codec.name} has a prior over its code, which would be another{posterior}: "
            "its canonical coordinates are there by name, as in c0+=2"
        )
    last, first = (_linears(getattr(model, side), at) for side, at in (("encoder", -1), ("decoder", 0)))
    steps, readers, centre = (torch.as_tensor(array) for array in (found.steps, found.readers, found.centre))
    with torch.no_grad():
        for i, layer in enumerate(last):
            bias = layer.bias.double() - (centre if i == 0 else 0)
            layer.weight.copy_(readers @ layer.weight.double())
            layer.bias.copy_(readers @ bias)
        for layer in first:
            weight = layer.weight.double()
            layer.bias.add_((weight @ centre).to(layer.bias))
            layer.weight.copy_(weight @ steps.T)


def _linears(module: nn.Module, at: int) -> list[nn.Linear]:
    """The linear layers that add up to a net's output (at -1), or that read its input (at 0)."""
    if isinstance(module, nn.Linear) and module.bias is not None:
        return [module]
    if isinstance(module, nn.Sequential) and len(module):
        return _linears(module[at], at)
    if isinstance(module, Shortcut):
        return [module.linear, *_linears(module.net, at)]
    if isinstance(module, Refined) and at == 0:
        return [module.linear, *_linears(module.code, at)]
    raise LatentdialError(
        f"only nets with linear layers next to the code can be reordered, not {type(module).__name__}: "
        "canonical coordinates are there by name, as in c0+=2"
    )
