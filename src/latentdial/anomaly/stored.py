"""A detector as it stands in its run: anomaly.json with settings and figures, anomaly.safetensors with arrays."""

from __future__ import annotations

import hashlib
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from latentdial.anomaly.calibrating import Tails
from latentdial.anomaly.densities import COMPONENTS, MEMORY, Density
from latentdial.anomaly.detector import MOST_NORMAL, Detector
from latentdial.anomaly.places import PLACES, Places
from latentdial.anomaly.scoring import ABOUT, MAP_SIDE, MAPS, Scorer
from latentdial.anomaly.views import FEATURES, GRID
from latentdial.errors import LatentdialError
from latentdial.latent.codec import Codec
from latentdial.storage import need, read_json, read_tensors, save_tensors, tensor_shapes, write_json
from latentdial.texts import command

FORMAT = 2
PASSED = (1,)  # formats whose scores were others: what has one is fitted again
RECORD, ARRAYS = "anomaly.json", "anomaly.safetensors"
KEYS: dict[str, type | tuple[type, ...]] = {
    "format": int,
    "weights": str,
    "false_alarms": float,
    "corrected": (float, type(None)),
    "scores": list,
    "told_apart": dict,
}


def save_detector(folder: Path, codec: Codec, detector: Detector) -> None:
    """Write a detector into its run; the JSON, without which the arrays are not looked at, comes last."""
    (folder / RECORD).unlink(missing_ok=True)
    save_tensors(folder / ARRAYS, _arrays(detector), root=folder)
    save_settings(folder, codec, detector)


def save_settings(folder: Path, codec: Codec, detector: Detector) -> None:
    """Write what can be changed of a detector that is in its run: the share of false alarms and the correction."""
    record = {
        "format": FORMAT,
        "weights": fingerprint(codec),
        "false_alarms": detector.false_alarms,
        "corrected": detector.corrected,
        "scores": list(detector.tails.names),
        "told_apart": detector.told_apart,
    }
    write_json(folder / RECORD, record, root=folder)


def read_detector(folder: Path, codec: Codec) -> Detector | None:
    """The detector of a run, checked as everything in it; None without one, or with one of other weights or scores."""
    if not (folder / RECORD).exists():
        return None
    record = read_json(folder / RECORD, remedy=_remedy(folder))
    try:
        if record.get("format") in PASSED:
            return None
        _check(record)
        if record["weights"] != fingerprint(codec):
            return None
        shapes = _shapes(codec, record, tensor_shapes(folder / ARRAYS, _remedy(folder)))
        arrays = read_tensors(folder / ARRAYS, shapes, dict.fromkeys(shapes, "F64"), remedy=_remedy(folder))
        return _detector(record, arrays)
    except ValueError as error:
        raise LatentdialError(f"{folder / RECORD} cannot be used ({error}): {_remedy(folder)}") from None


def fingerprint(codec: Codec) -> str:
    """A digest of the codec's weights: a detector says nothing of another codec."""
    digest = hashlib.blake2b(digest_size=16)
    state = {} if codec.model is None else codec.model.state_dict()
    for name in sorted(state):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(state[name].detach().float().cpu().numpy()).data)
    return digest.hexdigest()


def _arrays(detector: Detector) -> dict[str, np.ndarray]:
    scorer, tails = detector.scorer, detector.tails
    arrays = {f"density.{one.name}": getattr(scorer.density, one.name) for one in fields(Density)}
    for name, places in (("colours", scorer.colours), ("layers", scorer.layers)):
        if places is not None:
            arrays |= {f"{name}.mean": places.mean, f"{name}.factor": places.factor}
    for name, (mean, sd) in scorer.normal.items():
        arrays |= {f"normal.{name}.mean": mean, f"normal.{name}.sd": sd}
    arrays |= {"tails.columns": tails.columns, "tails.weights": tails.weights, "normal": detector.normal}
    return {name: np.asarray(array, np.float64) for name, array in arrays.items()}


def _check(record: dict[str, Any]) -> None:
    need(record, KEYS)
    if record["format"] != FORMAT:
        raise ValueError(f"it has format {record['format']} and this version reads {FORMAT}")
    if not 0 < record["false_alarms"] < 1:
        raise ValueError("its share of false alarms is none")
    names = record["scores"]
    if not names or not all(type(name) is str and name in ABOUT for name in names) or len(set(names)) < len(names):
        raise ValueError("it has scores of no known name")
    told = record["told_apart"]
    if not all(name in {*names, "combined"} and type(value) in (int, float) for name, value in told.items()):
        raise ValueError("its check is of no known scores")


def _shapes(codec: Codec, record: dict[str, Any], stated: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """The arrays that must stand beside the record; sizes that are free are taken as stated, within their bounds."""
    side, channels = codec.geometry.size, codec.geometry.channels
    latent = _within(stated, "density.centre", 1 << 20)
    memory = _within(stated, "density.memory", MEMORY)
    parts = _within(stated, "density.weights", COMPONENTS)
    normal = _within(stated, "normal", MOST_NORMAL)
    if codec.training_codes is not None and latent != codec.latent:
        raise ValueError(f"it has codes of {latent} dimensions and the run has {codec.latent}")
    grid = len(range(max(1, side // PLACES) // 2, side, max(1, side // PLACES)))
    seen = 3 * channels
    shapes: dict[str, tuple[int, ...]] = {
        "density.centre": (latent,),
        "density.axes": (latent, latent),
        "density.stretch": (latent,),
        "density.memory": (memory, latent),
        "density.weights": (parts,),
        "density.means": (parts, latent),
        "density.variances": (parts, latent),
        "colours.mean": (grid, grid, seen),
        "colours.factor": (grid, grid, seen, seen),
        "tails.columns": (normal, len(record["scores"])),
        "tails.weights": (len(record["scores"]),),
        "normal": (normal,),
    }
    if "layers" in record["scores"]:
        heard = _within(stated, "layers.mean", FEATURES, axis=2)
        shapes |= {"layers.mean": (GRID, GRID, heard), "layers.factor": (GRID, GRID, heard, heard)}
    at_most = side // max(1, side // MAP_SIDE)
    sides = {"error": at_most, "ssim": at_most, "colours": grid, "layers": GRID}
    for name in MAPS.keys() & set(record["scores"]):
        shapes |= {f"normal.{name}.{part}": (sides[name], sides[name]) for part in ("mean", "sd")}
    return shapes


def _within(stated: dict[str, tuple[int, ...]], name: str, most: int, axis: int = 0) -> int:
    shape = stated.get(name, ())
    if len(shape) <= axis or not 1 <= shape[axis] <= most:
        raise ValueError(f"{name} is missing or has an odd size")
    return shape[axis]


def _detector(record: dict[str, Any], arrays: dict[str, np.ndarray]) -> Detector:
    positive = ("density.weights", "density.variances")
    if any(arrays[name].min() <= 0 for name in positive) or arrays["tails.weights"].min() < 0:
        raise ValueError("weights and variances must be above zero")
    density = Density(*(arrays[f"density.{one.name}"] for one in fields(Density)))
    layers = Places(arrays["layers.mean"], arrays["layers.factor"]) if "layers.mean" in arrays else None
    maps = [name for name in record["scores"] if name in MAPS]
    normal = {name: (arrays[f"normal.{name}.mean"], arrays[f"normal.{name}.sd"]) for name in maps}
    scorer = Scorer(density, Places(arrays["colours.mean"], arrays["colours.factor"]), layers, normal)
    tails = Tails(tuple(record["scores"]), arrays["tails.columns"], arrays["tails.weights"])
    told = {str(name): float(value) for name, value in record["told_apart"].items()}
    return Detector(scorer, tails, arrays["normal"], record["false_alarms"], told, record["corrected"])


def _remedy(folder: Path) -> str:
    return f"remove anomaly.json and fit again with {command('anomalies', folder)}"
