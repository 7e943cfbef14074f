"""A run's nets as they were trained, with thin outer layers: the same to rounding, in a third of the work.

A run holds plain weights, of which the outer layers of fully connected nets are nearly all; where they were trained in
principal components (`training.subspace`), these and what was learnt of them are kept beside the weights.
"""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import torch
from torch import Tensor, nn

from latentdial import storage
from latentdial.errors import LatentdialError
from latentdial.layers import Dense, Lifted, Projected, Within
from latentdial.model import Autoencoder, Model
from latentdial.types import Shape

THIN = "thin.safetensors"
REMEDY = "remove it, the run works without"
TRIED = 4  # inputs of a layer
NEAR = 1e-3  # of its largest output


def thin_of(model: Model) -> Model | None:
    """A model of the same weights whose layers stay in their subspaces when those of `model` become plain ones."""
    return _alike(model) if any(isinstance(layer, Within) for layer in model.modules()) else None


def save_thin(folder: Path, thin: Model) -> None:
    """Write the layers of a model that are in subspaces."""
    layers = {name: layer for name, layer in thin.named_modules() if isinstance(layer, Within)}
    found = {f"{name}.{key}": value for name, layer in layers.items() for key, value in layer.state_dict().items()}
    storage.save_tensors(folder / THIN, {name: value.detach().cpu() for name, value in found.items()})


def read_thin(folder: Path, model: Model) -> Model | None:
    """The model with the thin layers of its run, each of which must do what its plain one does; None without any."""
    path = folder / THIN
    try:
        found = storage.tensor_shapes(path, REMEDY)
    except storage.Missing:
        return None
    try:
        places = _places(model)
        shapes: dict[str, Shape] = {}
        for (net, name), (kind, layer) in places.items():
            pixels = layer.in_features if kind is Projected else layer.out_features
            count = (*found.get(f"{net}.{name}.basis", ()), 0)[0]
            if not 1 <= count <= pixels:
                raise ValueError(f"{net}.{name} has {pixels} components at most")
            shapes |= {f"{net}.{name}.{key}": shape for key, shape in _shapes(kind, layer, count).items()}
        arrays = storage.read_tensors(path, shapes, remedy=REMEDY)
        thin = _alike(model)
        for (net, name), (kind, layer) in places.items():
            keys = ("weight", "bias", "basis", "offset")
            made = kind(*(torch.from_numpy(arrays[f"{net}.{name}.{key}"]) for key in keys)).to(layer.weight.device)
            if not _same(layer, made):
                raise ValueError(f"{net}.{name} does something else than the layer of that name")
            setattr(getattr(thin, net), name, made)
    except ValueError as error:
        raise LatentdialError(f"{path} does not fit its run ({error}): {REMEDY}") from None
    return thin.eval().requires_grad_(False)


def _places(model: Model) -> dict[tuple[str, str], tuple[type[Within], nn.Linear]]:
    """The layers of which there are thin ones, by net and name."""
    if isinstance(model, Autoencoder) and isinstance(model.encoder, Dense) and isinstance(model.decoder, Dense):
        (first, below), (last, above) = model.encoder.linears[0], model.decoder.linears[-1]
        return {("encoder", first): (Projected, below), ("decoder", last): (Lifted, above)}
    raise ValueError("its nets have no outer layers")


def _shapes(kind: type[Within], layer: nn.Linear, count: int) -> dict[str, Shape]:
    """The shapes of a thin layer with so many components."""
    out, into = layer.weight.shape
    if kind is Projected:
        return {"weight": (out, count), "bias": (out,), "basis": (count, into), "offset": (count,)}
    return {"weight": (count, into), "bias": (count,), "basis": (count, out), "offset": (out,)}


@torch.inference_mode()
def _same(layer: nn.Linear, thin: Within) -> bool:
    inputs = torch.randn(TRIED, layer.in_features, generator=torch.Generator().manual_seed(0)).to(layer.weight.device)
    wanted = layer(inputs)
    return bool((thin(inputs) - wanted).abs().max() <= NEAR * wanted.abs().max())


def _alike(model: Model) -> Model:
    """Another model with the very tensors of this one."""
    held: list[Tensor] = [*model.parameters(), *model.buffers()]
    return deepcopy(model, {id(tensor): tensor for tensor in held})
