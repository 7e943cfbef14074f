"""Import weights that were trained elsewhere into a recipe."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from latentdial import storage
from latentdial.config import Geometry, ModelSettings, RunConfig
from latentdial.errors import LatentdialError
from latentdial.images import spread
from latentdial.latent.codec import Codec
from latentdial.outputs import check_folder
from latentdial.recipes import build
from latentdial.runs.loading import codec_of, save_codes, save_model
from latentdial.runs.records import CODES, CONFIG, MAX_CODES, MODEL


def import_weights(
    path: str | Path,
    recipe: str,
    out: str | Path,
    geometry: Geometry | None = None,
    options: dict[str, Any] | None = None,
    images: Any = None,
) -> Codec:
    """Make a run of weights (.pt state dict or .safetensors) whose names and shapes are those of the recipe's nets.

    Pictures, where given, become the training codes that effects and edits in standard deviations need. A pickled
    module, unknown names and wrong shapes are a LatentdialError; nothing in the file is run.
    """
    check_folder(out)
    config = RunConfig(model=ModelSettings(recipe, options or {}), geometry=geometry or Geometry())
    model = build(config.model, config.geometry.shape).model
    out = Path(out)
    if (out / CONFIG).exists() or (out / MODEL).exists():
        raise LatentdialError(f"{out} holds a run already: choose another --out")
    _fill(model, read_state(Path(path)), recipe)
    with storage.explained(out):
        out.mkdir(parents=True, exist_ok=True)
    model.eval().requires_grad_(False)
    codec = codec_of(model, config, out.name)
    if images is not None:
        few = spread(len(images), MAX_CODES)
        chosen = [images[i] for i in few] if isinstance(images, list) else images[few]
        codec = replace(codec, training_codes=codec.encode(chosen))
        save_codes(out, codec.codes, None)
    else:
        storage.remove(out / CODES)
    save_model(out, model, config.geometry.shape)
    storage.write(out / CONFIG, config.to_json())
    return codec


def read_state(path: Path) -> dict[str, Tensor]:
    """A state dict from a .safetensors file or a weights-only .pt file."""
    if not path.is_file():
        raise LatentdialError(f"there is no weights file {path}: check the path")
    remedy = "save the weights alone, with torch.save(model.state_dict(), 'weights.pt')"
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise LatentdialError(f"{path} holds pickled objects, which could run code: {remedy}") from None
    except (SafetensorError, RuntimeError, OSError, EOFError, ValueError, KeyError) as error:
        raise LatentdialError(f"{path} is no weights file ({str(error).splitlines()[0][:120]}): {remedy}") from None
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise LatentdialError(f"{path} holds no state dict: {remedy}")
    return state


def _fill(model: nn.Module, state: dict[str, Tensor], recipe: str) -> None:
    """Load the nets' weights; what a recipe adds beside its nets (sigma) may be missing."""
    own = model.state_dict()
    needed = {name for name in own if name.startswith(("encoder.", "decoder."))}
    missing, unknown = sorted(needed - set(state)), sorted(set(state) - set(own))
    if missing or unknown:
        what = f"lacks {missing[0]}" if missing else f"has {unknown[0]}"
        raise LatentdialError(
            f"the file {what}, which {recipe} does not match: it needs {', '.join(sorted(needed)[:4])}, ..."
        )
    for name, tensor in state.items():
        if tensor.shape != own[name].shape or not bool(torch.isfinite(tensor).all()):
            raise LatentdialError(
                f"{name} is {tuple(tensor.shape)} and {recipe} needs finite {tuple(own[name].shape)}: "
                "give --size, --colour, --latent or --set as they were in training"
            )
    model.load_state_dict(state, strict=False)
