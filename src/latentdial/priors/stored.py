"""Fitted priors as files of a run: arrays as safetensors, the rest as JSON."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from latentdial.errors import LatentdialError
from latentdial.priors.diffusion import Diffusion
from latentdial.priors.fitted import KINDS, MAX_LATENT, Density, FittedPrior, FittedPriors, Standard
from latentdial.priors.mixture import COMPONENTS, Mixture
from latentdial.priors.whitening import Whitening
from latentdial.storage import Missing, need, read_json, read_tensors, remove, save_tensors, write_json
from latentdial.texts import command

FILES = "prior.json", "prior.safetensors"
FORMAT = 2
MAX_WIDTH = 1024


def save_priors(folder: Path, fitted: FittedPriors, codes: np.ndarray) -> None:
    """Write priors that were fitted to these codes; the JSON, without which no array is looked at, comes last."""
    described, held = folder / FILES[0], folder / FILES[1]
    remove(described)
    first = next(iter(fitted.priors.values())).whitening
    arrays: dict[str, Any] = {"mean": first.mean, "root": first.root}
    record = {
        "format": FORMAT,
        "codes": _digest(codes),
        "kinds": list(fitted.priors),
        "components": 0,
        "width": 0,
        "held_out": fitted.held_out,
        "nats": dict(fitted.nats),
    }
    for prior in fitted.priors.values():
        density = prior.density
        if isinstance(density, Mixture):
            record["components"] = len(density.weights)
            arrays |= {f"mixture_{name}": getattr(density, name) for name in ("weights", "means", "roots")}
        if isinstance(density, Diffusion):
            record["width"] = density.enter.out_features
            arrays |= {f"diffusion_{name}": tensor for name, tensor in density.state_dict().items()}
    save_tensors(held, arrays)
    write_json(described, record)


def read_priors(folder: Path, codes: np.ndarray) -> FittedPriors | None:
    """The priors of a run whose training codes are these (N, D); None where none were fitted to just these codes."""
    try:
        record = read_json(folder / FILES[0], remedy=_remedy(folder))
    except Missing:
        return None
    if record.get("format") != FORMAT:
        return None
    try:
        _check(record)
        if record["codes"] != _digest(codes):
            return None
        shapes = _shapes(record, codes.shape[1])
        arrays = read_tensors(folder / FILES[1], shapes, remedy=_remedy(folder))
        return _unpack(record, arrays)
    except ValueError as error:
        raise LatentdialError(f"{folder / FILES[0]} cannot be used ({error}): {_remedy(folder)}") from None


def _digest(codes: np.ndarray) -> str:
    return hashlib.blake2b(np.ascontiguousarray(codes, np.float32).tobytes(), digest_size=16).hexdigest()


def _check(record: dict[str, Any]) -> None:
    need(
        record,
        {"format": int, "codes": str, "kinds": list, "components": int, "width": int, "held_out": int, "nats": dict},
    )
    kinds, nats = record["kinds"], record["nats"]
    if not kinds or kinds[0] != KINDS[0] or [kind for kind in KINDS if kind in kinds] != kinds:
        raise ValueError("its kinds are not in order")
    if ("mixture" in kinds) != (1 <= record["components"] <= max(COMPONENTS)):
        raise ValueError(f"a mixture of {record['components']} components")
    if ("diffusion" in kinds) != (1 <= record["width"] <= MAX_WIDTH):
        raise ValueError(f"a diffusion of width {record['width']}")
    if nats and not set(kinds) <= set(nats) <= {*kinds, "model"}:
        raise ValueError("its likelihoods do not fit its kinds")
    need(nats, dict.fromkeys(nats, float))


def _shapes(record: dict[str, Any], latent: int) -> dict[str, tuple[int, ...]]:
    if latent > MAX_LATENT:
        raise ValueError(f"{latent} dimensions")
    count = record["components"]
    shapes: dict[str, tuple[int, ...]] = {"mean": (latent,), "root": (latent, latent)}
    if "mixture" in record["kinds"]:
        sizes = {"weights": (count,), "means": (count, latent), "roots": (count, latent, latent)}
        shapes |= {f"mixture_{name}": size for name, size in sizes.items()}
    if "diffusion" in record["kinds"]:
        with torch.device("meta"):
            state = Diffusion(latent, record["width"]).state_dict()
        shapes |= {f"diffusion_{name}": tuple(tensor.shape) for name, tensor in state.items()}
    return shapes


def _unpack(record: dict[str, Any], arrays: dict[str, np.ndarray]) -> FittedPriors:
    whitening = Whitening(arrays["mean"], arrays["root"])
    positive = [
        np.diagonal(array, axis1=-2, axis2=-1) for name, array in arrays.items() if name.endswith(("root", "roots"))
    ]
    positive += [arrays[name] for name in ("mixture_weights", "diffusion_scales") if name in arrays]
    if min(values.min() for values in positive) <= 0:
        raise ValueError("its roots, weights and scales must be above zero")
    priors = {}
    for kind in record["kinds"]:
        density: Density = Standard(len(arrays["mean"]))
        if kind == "mixture":
            density = Mixture(arrays["mixture_weights"], arrays["mixture_means"], arrays["mixture_roots"])
        if kind == "diffusion":
            density = Diffusion(len(arrays["mean"]), record["width"])
            state = {name: torch.from_numpy(arrays[f"diffusion_{name}"]) for name in density.state_dict()}
            density.load_state_dict(state)
            density.eval().requires_grad_(False)
        priors[kind] = FittedPrior(kind, whitening, density)
    return FittedPriors(priors, record["nats"], record["held_out"])


def _remedy(folder: Path) -> str:
    return f"remove it and fit anew with {command('fit-prior', folder)}"
