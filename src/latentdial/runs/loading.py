"""A run: the directory that holds one trained model. Only JSON and safetensors are read; nothing in it runs code."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from latentdial import storage
from latentdial.config import Geometry, RunConfig
from latentdial.errors import LatentdialError
from latentdial.latent import stored
from latentdial.latent.canonical import Canonical
from latentdial.latent.codec import Codec
from latentdial.latent.direction import Directions
from latentdial.latent.support import AXES
from latentdial.model import Autoencoder, Model
from latentdial.parts.quantisers import Quantiser
from latentdial.priors.stored import read_priors
from latentdial.priors.words import WordPrior, read_words
from latentdial.recipes import build
from latentdial.runs.hub import name_of, run_folder
from latentdial.runs.labelled import read_labelled
from latentdial.runs.probing import NAME as PROBE
from latentdial.runs.probing import check_probe, probe
from latentdial.runs.records import CODES, MAX_CODES, MODEL, read_config
from latentdial.runs.thin import read_thin
from latentdial.types import Shape

CANONICAL = "canonical.safetensors"
CANONICAL_ARRAYS = [field.name for field in fields(Canonical)]
DIRECTIONS = "directions.safetensors"
MAX_DIRECTIONS_BYTES = 32_000_000  # of what is said of them beside the arrays
KINDS = {torch.float32: "F32", torch.int64: "I64", torch.bool: "BOOL"}  # that weights may be of


def save_model(folder: Path, model: Model, image: Shape) -> None:
    """Write the weights of a model of pictures (C, H, W) with what it makes of one, whole or not at all."""
    weights = {name: tensor.detach().cpu() for name, tensor in model.state_dict().items()}
    storage.save_tensors(folder / MODEL, weights, probe(model, image))


def save_codes(
    folder: Path,
    codes: np.ndarray,
    kl: np.ndarray | None,
    held_out: np.ndarray | None = None,
    losses: np.ndarray | None = None,
) -> None:
    """Write the training codes (N, D), the mean KL of every dimension, and codes (M, D) and losses (M, 2) held out."""
    arrays = {"codes": codes, "kl": kl, "held_out": held_out, "held_out_losses": losses}
    storage.save_tensors(folder / CODES, {name: a.astype(np.float32) for name, a in arrays.items() if a is not None})


def save_canonical(folder: Path, found: Canonical) -> None:
    """Write the canonical coordinates, whole or not at all; codes that do not vary have none."""
    if len(found.steps):
        arrays = {name: getattr(found, name).astype(np.float32) for name in CANONICAL_ARRAYS}
        storage.save_tensors(folder / CANONICAL, arrays)
    else:
        storage.remove(folder / CANONICAL)


def save_directions(folder: Path, kept: stored.Stored) -> None:
    """Write directions, attributes and the safe region in the place of those that the run holds, or not at all."""
    record, arrays = stored.pack(kept)
    storage.save_tensors(folder / DIRECTIONS, arrays, {"directions": json.dumps(record)})


def read_directions(folder: Path, latent: int, geometry: Geometry) -> stored.Stored | None:
    """The directions of a run, checked as everything in it; None where there are none yet."""
    path, remedy = folder / DIRECTIONS, "remove it and find directions again"
    try:
        text = storage.tensor_metadata(path, remedy, MAX_DIRECTIONS_BYTES).get("directions", "{}")
        found = storage.tensor_shapes(path, remedy, MAX_DIRECTIONS_BYTES)
    except storage.Missing:
        return None
    components, axes = ((*found.get(f"support_{name}", ()), 0)[0] for name in ("weights", "axes"))
    if not 0 <= components <= stored.MAX_COMPONENTS or not 0 <= axes <= AXES:
        raise _broken(path, f"a mixture may have {stored.MAX_COMPONENTS} components and pictures {AXES} axes at most")
    try:
        record = stored.check_record(storage.parse_object(text))
        shapes = stored.shapes(record, latent, geometry, components, axes)
        arrays = storage.read_tensors(path, shapes, remedy=remedy, most_header=MAX_DIRECTIONS_BYTES)
        return stored.unpack(record, arrays)
    except (ValueError, TypeError, AttributeError) as error:
        raise _broken(path, str(error), remedy) from None


def load(folder: str | Path, device: str = "cpu") -> Codec:
    """Load a trained run as a codec.

    Names, shapes, types, sizes and finiteness are checked and no code is run; a directory that fails is a
    LatentdialError. `hub:user/name` and `hub:user/name@revision` are fetched from a hub first.
    """
    address, folder = str(folder), run_folder(folder)
    config = read_config(folder)
    model = build(config.model, config.geometry.shape).model
    load_weights(model, folder / MODEL)
    model.eval().requires_grad_(False)
    if answers := storage.tensor_metadata(folder / MODEL).get(PROBE):
        check_probe(model, config.geometry.shape, answers, folder.name)
    model.to(device)
    arrays = _read_codes(folder, model.latent)
    codes = arrays.get("codes")
    codec = codec_of(model, config, name_of(folder), device, codes, arrays.get("kl"), read_thin(folder, model))
    codec = replace(
        codec, address=address, held_out=arrays.get("held_out"), held_out_losses=arrays.get("held_out_losses")
    )
    codec = replace(codec, stored_canonical=_read_canonical(folder, model.latent))
    if model.labels:
        labelled_codes, labels = read_labelled(folder, model.latent, model.labels)
        codec = replace(codec, labelled_codes=labelled_codes, labels=labels)
    if codes is not None:
        codec = replace(codec, fitted=read_priors(folder, codes), words=_read_words(folder, model, codes))
    kept = read_directions(folder, model.latent, config.geometry)
    if kept is None:
        return codec
    attributes = None if kept.attributes is None else kept.attributes.to(device)
    return replace(codec, directions=Directions(kept.directions), stored_support=kept.support, attributes=attributes)


def codec_of(
    model: Model,
    config: RunConfig,
    name: str,
    device: str = "cpu",
    codes: np.ndarray | None = None,
    kl: np.ndarray | None = None,
    thin: Model | None = None,
) -> Codec:
    """A model and its configuration as a codec, with the thin one that does the same if there is one."""
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
        thin=thin,
    )


def load_weights(model: nn.Module, path: Path) -> None:
    """Read weights into a model whose names, shapes and types they must match; all values must be finite."""
    state = model.state_dict()
    shapes, kinds = {n: tuple(t.shape) for n, t in state.items()}, {n: KINDS[t.dtype] for n, t in state.items()}
    arrays = storage.read_tensors(path, shapes, kinds)
    model.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})


def _read_codes(folder: Path, latent: int) -> dict[str, np.ndarray]:
    """The arrays `codes`, and `kl` and those held out where the run has them; none of a run without codes."""
    path = folder / CODES
    try:
        found = storage.tensor_shapes(path)
    except storage.Missing:
        return {}
    rows, held = ((*found.get(name, ()), 0)[0] for name in ("codes", "held_out"))
    shapes = {"codes": (rows, latent), "kl": (latent,), "held_out": (held, latent), "held_out_losses": (held, 2)}
    if not {"codes"} <= set(found) <= set(shapes) or not 1 <= rows <= MAX_CODES or held > MAX_CODES:
        raise _broken(path, f"it must hold 1 to {MAX_CODES} codes")
    return storage.read_tensors(path, {name: shapes[name] for name in found})


def _read_words(folder: Path, model: Model, codes: np.ndarray) -> WordPrior | None:
    quantiser = model.bottleneck if isinstance(model, Autoencoder) else None
    if not isinstance(quantiser, Quantiser):
        return None
    return read_words(folder, codes, quantiser.tokens, quantiser.vocabulary)


def _read_canonical(folder: Path, latent: int) -> Canonical | None:
    path = folder / CANONICAL
    try:
        found_shapes = storage.tensor_shapes(path)
    except storage.Missing:
        return None
    (count,) = found_shapes.get("levels", (0,))[:1] or (0,)
    if not 1 <= count <= latent:
        raise _broken(path, f"it must hold 1 to {latent} coordinates")
    shapes = {"centre": [latent], "steps": [count, latent], "readers": [count, latent], "levels": [count]}
    arrays = storage.read_tensors(path, shapes)
    found = Canonical(**{name: array.astype(np.float64) for name, array in arrays.items()})
    if not np.allclose(found.readers @ found.steps.T, np.eye(count), atol=1e-2) or found.levels.min() < 0:
        raise _broken(path, "its readers do not read its steps")
    return found


def _broken(path: Path, reason: str, remedy: str = storage.REMEDY) -> LatentdialError:
    reason = " ".join(reason.split())[:200]
    return LatentdialError(f"{path} does not fit its run ({reason}): {remedy}")
