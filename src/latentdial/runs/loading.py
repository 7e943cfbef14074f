"""A run: the directory that holds one trained model. Only JSON and safetensors are read; nothing in it runs code."""

from __future__ import annotations

import json
import os
import struct
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file as load_numpy
from safetensors.numpy import save_file as save_numpy
from safetensors.torch import save_file
from torch import nn

from latentdial.config import Geometry, RunConfig, from_json
from latentdial.errors import LatentdialError
from latentdial.latent import stored
from latentdial.latent.canonical import Canonical
from latentdial.latent.codec import Codec
from latentdial.latent.support import AXES
from latentdial.model import Model
from latentdial.priors.stored import read_priors
from latentdial.recipes import build
from latentdial.storage import Missing, read_tensors, remove, save_tensors, tensor_shapes

CONFIG, MODEL, CODES, CARD = "config.json", "model.safetensors", "codes.safetensors", "README.md"
METRICS, TIMES, SUMMARY = "metrics.jsonl", "times.jsonl", "summary.json"
LOCK = ".lock"
CANONICAL = "canonical.safetensors"
DIRECTIONS = "directions.json", "directions.safetensors"
CANONICAL_ARRAYS = [field.name for field in fields(Canonical)]
MAX_DIRECTIONS_BYTES = 32_000_000
MAX_CONFIG_BYTES = 1_000_000
MAX_HEADER_BYTES = 1_000_000
MAX_CODES = 10_000
KINDS = {torch.float32: "F32", torch.int64: "I64", torch.bool: "BOOL"}  # that weights may be of


def save_model(folder: Path, model: nn.Module) -> None:
    """Write the weights, whole or not at all."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    unfinished = folder / f".{MODEL}.part"
    save_file(state, unfinished)
    os.replace(unfinished, folder / MODEL)


def save_codes(folder: Path, codes: np.ndarray, kl: np.ndarray | None) -> None:
    """Write the training codes (N, D) and the mean KL of every dimension, whole or not at all."""
    arrays = {"codes": codes.astype(np.float32)} | ({} if kl is None else {"kl": kl.astype(np.float32)})
    unfinished = folder / f".{CODES}.part"
    save_numpy(arrays, unfinished)
    os.replace(unfinished, folder / CODES)


def save_canonical(folder: Path, found: Canonical) -> None:
    """Write the canonical coordinates, whole or not at all; codes that do not vary have none."""
    if len(found.steps):
        arrays = {name: getattr(found, name).astype(np.float32) for name in CANONICAL_ARRAYS}
        save_tensors(folder / CANONICAL, arrays)
    else:
        remove(folder / CANONICAL)


def save_directions(folder: Path, kept: stored.Stored) -> None:
    """Write directions and the safe region; the JSON, without which the arrays are not looked at, comes last."""
    record, arrays = stored.pack(kept)
    described, held = folder / DIRECTIONS[0], folder / DIRECTIONS[1]
    described.unlink(missing_ok=True)
    save_numpy(arrays, folder / f".{held.name}.part")
    os.replace(folder / f".{held.name}.part", held)
    (folder / f".{described.name}.part").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    os.replace(folder / f".{described.name}.part", described)


def read_directions(folder: Path, latent: int, geometry: Geometry) -> stored.Stored | None:
    """The directions of a run, checked as everything in it; None where there are none yet."""
    described, held = folder / DIRECTIONS[0], folder / DIRECTIONS[1]
    if not described.exists():
        return None
    try:
        regular_file(described, MAX_DIRECTIONS_BYTES)
        record = stored.check_record(json.loads(described.read_text(encoding="utf-8")))
    except (ValueError, RecursionError) as error:
        raise _broken(described, str(error)) from None
    header = _header(regular_file(held))
    components, axes = (_rows(header, f"support_{name}") for name in ("weights", "axes"))
    if not 0 <= components <= stored.MAX_COMPONENTS or not 0 <= axes <= AXES:
        raise _broken(held, f"a mixture may have {stored.MAX_COMPONENTS} components and pictures {AXES} axes at most")
    try:
        return stored.unpack(record, _read_arrays(held, stored.shapes(record, latent, geometry, components, axes)))
    except (ValueError, AttributeError) as error:
        raise _broken(held, str(error)) from None


def load(folder: str | Path, device: str = "cpu") -> Codec:
    """Load a trained run as a codec.

    Names, shapes, types, sizes and finiteness are checked and no code is run; a directory that fails is a
    LatentdialError.
    """
    folder = Path(folder)
    config = read_config(folder)
    model = build(config.model, config.geometry.shape).model
    load_weights(model, folder / MODEL)
    model.eval().requires_grad_(False).to(device)
    codes, kl = _read_codes(folder, model.latent)
    codec = codec_of(model, config, folder.name, device, codes, kl)
    codec = replace(codec, stored_canonical=_read_canonical(folder, model.latent))
    if codes is not None:
        codec = replace(codec, fitted=read_priors(folder, codes))
    kept = read_directions(folder, model.latent, config.geometry)
    if kept is None:
        return codec
    attributes = None if kept.attributes is None else kept.attributes.to(device)
    return replace(codec, directions=kept.directions, stored_support=kept.support, attributes=attributes)


def codec_of(
    model: Model,
    config: RunConfig,
    name: str,
    device: str = "cpu",
    codes: np.ndarray | None = None,
    kl: np.ndarray | None = None,
) -> Codec:
    """A model and its configuration as a codec."""
    return Codec(
        encoder=model.encode,
        decoder=model.decode,
        geometry=config.geometry,
        value_range=model.likelihood.range,
        name=name,
        device=device,
        training_codes=codes,
        kl=kl,
        prior=None if model.prior is None else model.sample,
        config=config,
        model=model,
    )


def read_config(folder: Path) -> RunConfig:
    """The configuration of a run."""
    if not folder.is_dir():
        raise LatentdialError(
            f"there is no run at {folder}: train one with latentdial train RECIPE DATA --out {folder}"
        )
    path = regular_file(folder / CONFIG, MAX_CONFIG_BYTES)
    try:
        return from_json(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise LatentdialError(f"{path} is not text: restore it or train the run again") from None


def read_metrics(folder: Path) -> list[dict]:
    """Every record of the terms, training and validation; the same bytes for the same run, so it holds no times."""
    return _read_lines(folder / METRICS)


def read_times(folder: Path) -> list[dict]:
    """Seconds of training and images/s at every training record."""
    return _read_lines(folder / TIMES)


def read_summary(folder: Path) -> dict | None:
    """The final figures of a run; None where training has not ended yet or was killed."""
    try:
        summary = json.loads(regular_file(folder / SUMMARY, MAX_CONFIG_BYTES).read_text(encoding="utf-8"))
    except (LatentdialError, ValueError, RecursionError):
        return None
    return summary if isinstance(summary, dict) else None


def _read_lines(path: Path) -> list[dict]:
    """The JSON objects of a file, one a line; lines that are none, such as one being written, are left out."""
    records = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict):
            records.append(record)
    return records


def load_weights(model: nn.Module, path: Path) -> None:
    """Read weights into a model whose names, shapes and types they must match; all values must be finite."""
    state = model.state_dict()
    shapes, kinds = {n: tuple(t.shape) for n, t in state.items()}, {n: KINDS[t.dtype] for n, t in state.items()}
    arrays = read_tensors(path, shapes, kinds)
    model.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})


def regular_file(path: Path, max_bytes: int | None = None) -> Path:
    """The path, if it is a regular file of its directory (no link) and not too large."""
    if path.is_symlink() or not path.is_file():
        raise LatentdialError(f"{path} is missing or no regular file: restore it or train the run again")
    if max_bytes is not None and path.stat().st_size > max_bytes:
        raise LatentdialError(f"{path} is larger than {max_bytes} bytes: this is no run of latentdial")
    return path


def _read_codes(folder: Path, latent: int) -> tuple[np.ndarray | None, np.ndarray | None]:
    path = folder / CODES
    if not path.exists():
        return None, None
    header = _header(regular_file(path))
    names = set(header) - {"__metadata__"}
    rows = _rows(header, "codes")
    if names not in ({"codes"}, {"codes", "kl"}) or not 1 <= rows <= MAX_CODES:
        raise _broken(path, f"it must hold 1 to {MAX_CODES} codes")
    shapes = {"codes": [rows, latent], "kl": [latent]}
    arrays = _read_arrays(path, {name: shapes[name] for name in names})
    return arrays["codes"], arrays.get("kl")


def _read_canonical(folder: Path, latent: int) -> Canonical | None:
    path = folder / CANONICAL
    try:
        found_shapes = tensor_shapes(path)
    except Missing:
        return None
    (count,) = found_shapes.get("levels", (0,))[:1] or (0,)
    if not 1 <= count <= latent:
        raise _broken(path, f"it must hold 1 to {latent} coordinates")
    shapes = {"centre": [latent], "steps": [count, latent], "readers": [count, latent], "levels": [count]}
    arrays = read_tensors(path, shapes)
    found = Canonical(**{name: array.astype(np.float64) for name, array in arrays.items()})
    if not np.allclose(found.readers @ found.steps.T, np.eye(count), atol=1e-2) or found.levels.min() < 0:
        raise _broken(path, "its readers do not read its steps")
    return found


def _read_arrays(path: Path, shapes: dict[str, list[int]]) -> dict[str, np.ndarray]:
    """The float32 arrays of a file that must hold just these names and shapes, all values finite."""
    _check_header(regular_file(path), shapes)
    try:
        arrays = load_numpy(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise _broken(path, str(error)) from None
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise _broken(path, "it holds values that are not finite")
    return arrays


def _rows(header: dict, name: str) -> int:
    """The first size of a tensor as its header states it; 0 where it states none."""
    shape = header.get(name, {}).get("shape")
    return shape[0] if isinstance(shape, list) and shape and isinstance(shape[0], int) else 0


def _header(path: Path) -> dict:
    """The header of a safetensors file, read before anything is allocated for its tensors."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > MAX_HEADER_BYTES:
                raise _broken(path, f"its header has {length} bytes")
            header = json.loads(file.read(length))
    except (struct.error, ValueError, RecursionError):
        raise _broken(path, "its header cannot be read") from None
    if not isinstance(header, dict) or not all(isinstance(entry, dict) for entry in header.values()):
        raise _broken(path, "its header is no table of tensors")
    return header


def _check_header(path: Path, shapes: dict[str, list[int]]) -> None:
    found = {name: entry for name, entry in _header(path).items() if name != "__metadata__"}
    if set(found) != set(shapes):
        odd = sorted(set(found) ^ set(shapes))[0]
        raise _broken(path, f"tensor {odd[:60]!r} is {'missing' if odd in shapes else 'not expected'}")
    for name, entry in found.items():
        if entry.get("shape") != shapes[name] or entry.get("dtype") != "F32":
            raise _broken(
                path, f"{name} is {entry.get('dtype')} {entry.get('shape')} and config.json asks for F32 {shapes[name]}"
            )


def _broken(path: Path, reason: str) -> LatentdialError:
    reason = " ".join(reason.split())[:200]
    return LatentdialError(f"{path} does not fit its run ({reason}): restore the file or train the run again")
