"""What a run's net makes of one fixed picture, kept with its weights, so that weights never run in another net.

Names and shapes of weights stay the same when a recipe's net changes, say in an activation, and its pictures do not.
"""

from __future__ import annotations

import json

import numpy as np
import torch
from torch import Tensor

from latentdial.config import typed
from latentdial.errors import LatentdialError
from latentdial.images import spread
from latentdial.model import Model
from latentdial.storage import need, parse_object
from latentdial.types import Shape
from latentdial.version import VERSION

NAME = "probe"
KEPT = 64  # numbers of the code, and of the picture
SHARE, LEAST = 0.005, 1e-3  # of the largest that other processors may round by, and what is always allowed
HALF = 0.5  # of them must be so near: a discrete code falls either way at a tie


def probe(model: Model, image: Shape) -> dict[str, str]:
    """What is kept beside the weights of a model of pictures (C, H, W): some of a code and its picture, as JSON."""
    found = _answers(model, image)
    finite = all(np.isfinite(values).all() for values in found.values())
    rounded = {name: [float(f"{value:.6g}") for value in values.tolist()] for name, values in found.items()}
    return {NAME: json.dumps({"version": VERSION, **rounded})} if finite else {}


def check_probe(model: Model, image: Shape, kept: str, name: str) -> None:
    """Refuse weights whose model answers otherwise than when they were written. Costs a pass of one picture."""
    try:
        record = parse_object(kept)
        need(record, {"version": str, "code": list, "picture": list})
        for part, values in _answers(model, image).items():
            wanted = np.array(typed(list[float], record[part], part), np.float64)
            if wanted.shape != values.shape:
                raise ValueError(f"{len(wanted)} numbers of the {part} in place of {len(values)}")
            near = np.abs(values - wanted) <= SHARE * np.abs(wanted).max() + LEAST
            if near.mean() < HALF:
                raise ValueError(f"another {part} than when they were written by version {record['version'][:20]}")
    except ValueError as error:
        raise LatentdialError(
            f"the weights of {name} fit, but make of a test picture {error}: they were changed, or the net of this "
            "recipe was; train the run again, or use the version of latentdial that wrote it"
        ) from None


@torch.inference_mode()
def _answers(model: Model, image: Shape) -> dict[str, np.ndarray]:
    """The code of a picture of slanted stripes, and the picture of that code: at most `KEPT` numbers of each."""
    channel, row, column = np.indices(image)
    pixels = ((5 + 2 * channel) * row + 3 * column) % 256
    device = next(iter(model.state_dict().values())).device
    code = model.encode(model.scale(torch.from_numpy(pixels.astype(np.uint8).transpose(1, 2, 0)[None]).to(device)))
    return {"code": _some(code), "picture": _some(model.decode(code))}


def _some(values: Tensor) -> np.ndarray:
    flat = values.flatten().double().cpu().numpy()
    return flat[spread(len(flat), KEPT)]
