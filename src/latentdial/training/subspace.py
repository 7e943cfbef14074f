"""Train the outer layers of fully connected nets in the subspace that their pictures span, and make plain nets of them.

Gradients of the first layer's weights lie in the span of the pictures anyway, and most of that lies along few principal
components. In their coordinates a step moves a tenth of the weights, and Adam, which treats every weight by itself,
sees directions that are not correlated (as in arXiv 2409.11321, which rotates gradients for that).
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from latentdial.layers import Dense, Lifted, Projected, Within
from latentdial.model import Autoencoder, Model
from latentdial.types import Principal

LEAST = 2  # times as many pixels as components, and half as many units, below which there is nothing to save
TINY = 1e-4  # of the largest singular value: what a started layer does not use


def components_wanted(model: Model, most: int) -> int:
    """The components that the outer layers of this model are trained in: `most`, or 0 if that is not worth it."""
    if not isinstance(model, Autoencoder) or {type(model.encoder), type(model.decoder)} != {Dense}:
        return 0
    (_, first), (_, last) = _outer(model)
    values, width = first.in_features, min(first.out_features, last.in_features)
    worth = last.out_features == values >= LEAST * most and LEAST * width >= most and width > model.latent
    return most if worth else 0


@torch.no_grad()
def narrow(model: Model, principal: Principal) -> None:
    """Have the outer layers learn in principal components; where pictures and the last layer lie in them it does the
    same as before, to rounding."""
    assert isinstance(model, Autoencoder)  # noqa: S101 - components_wanted
    (first_name, first), (last_name, last) = _outer(model)
    setattr(model.encoder, first_name, Projected.within(first, principal.components, principal.mean))
    setattr(model.decoder, last_name, Lifted.within(last, _basis_with(last.weight, principal.components)))


def round_bases(model: nn.Module, precision: str) -> None:
    """Have layers that learn in a subspace keep it in the numbers of training; to be called when it was read anew."""
    for layer in model.modules():
        if isinstance(layer, Within) and precision == "bf16":
            layer.round_basis()


def widen(model: Model) -> None:
    """Make plain linear layers again of those that were trained in a subspace."""
    for net in model.children():
        for name, layer in list(net.named_children()):
            if isinstance(layer, Projected | Lifted):
                setattr(net, name, layer.plain())


def _outer(model: Autoencoder) -> tuple[tuple[str, nn.Linear], tuple[str, nn.Linear]]:
    """The first linear layer of the encoder and the last one of the decoder, with their names."""
    encoder, decoder = cast(Dense, model.encoder), cast(Dense, model.decoder)
    return encoder.linears[0], decoder.linears[-1]


def _basis_with(weight: Tensor, components: Tensor) -> Tensor:
    """Orthonormal rows, as many as components (K, P), of what the weight (P, F) reaches, and then of these."""
    used = weight[:, weight.any(0)]
    reached, strength, _ = torch.linalg.svd(used, full_matrices=False)
    reached = reached[:, strength > TINY * strength.max()] if strength.numel() else reached
    both = torch.cat([reached, components.T], 1)
    return torch.linalg.qr(both)[0].T[: len(components)].contiguous()
