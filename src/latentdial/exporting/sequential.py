"""A fully connected codec as two plain `nn.Sequential`, as notebooks and homework write them."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from latentdial.errors import LatentdialError
from latentdial.latent.codec import Codec

ENDS = (nn.Tanh, nn.Sigmoid, nn.Identity)  # of a decoder, by the range of its pictures
LAYERS = (nn.Linear, nn.ReLU)
SHAPING = (nn.Flatten, nn.Unflatten)  # which a notebook does outside of its net
CHECKED = 16  # pictures and codes
CLOSE = 1e-4


@dataclass(frozen=True)
class Plain:
    """`encoder`: flat pictures (B, P) -> codes (B, D); `decoder`: codes -> flat pictures; layers count from 0."""

    encoder: nn.Sequential
    decoder: nn.Sequential

    def state_dict(self) -> dict[str, Tensor]:
        """Weights as `encoder.0.weight`, `encoder.0.bias`, `encoder.2.weight`, ..., `decoder.0.weight`, ..."""
        return nn.ModuleDict(vars(self)).state_dict()

    def source(self) -> str:
        """A class of torch alone that the state dict fits."""
        lines = ["class Autoencoder(nn.Module):", "    def __init__(self):", "        super().__init__()"]
        for name, net in vars(self).items():
            lines += [f"        self.{name} = nn.Sequential(", *(f"            {_line(layer)}," for layer in net)]
            lines.append("        )")
        return "\n".join([*lines, "", "    def forward(self, x):", "        return self.decoder(self.encoder(x))"])


def plain_nets(codec: Codec) -> Plain:
    """The encoder and decoder of a codec that consists of Linear and ReLU alone; of a VAE, the mean code.

    The result is compared with the codec on pictures and codes. Any other net is a LatentdialError that says why.
    """
    down, up = (_layers(codec, part) for part in ("encoder", "decoder"))
    down[-1] = _first_outputs(down[-1], codec.latent)
    for end in ENDS:
        found = Plain(nn.Sequential(*down), nn.Sequential(*up, *([] if end is nn.Identity else [end()])))
        if _agree(codec, found):
            return found
    raise _not_plain(codec, "it does more between its layers than a plain nn.Sequential")


def _layers(codec: Codec, part: str) -> list[nn.Module]:
    net = getattr(codec.model, part, None)
    if not isinstance(net, nn.Module):
        raise _not_plain(codec, f"it has no net named {part}")
    leaves = [module for module in net.modules() if not list(module.children())]
    odd = next((type(one).__name__ for one in leaves if not isinstance(one, (*LAYERS, *SHAPING))), "")
    layers: list[nn.Module] = [deepcopy(one).cpu() for one in leaves if isinstance(one, LAYERS)]
    if odd or not layers or not isinstance(layers[-1], nn.Linear):
        raise _not_plain(codec, f"its {part} has {odd or 'no linear end'}")
    return layers


def _first_outputs(layer: nn.Module, n: int) -> nn.Module:
    """A linear layer with its first n outputs alone: of a VAE's encoder the means, not the variances."""
    if not isinstance(layer, nn.Linear) or layer.out_features <= n:
        return layer
    first = nn.Linear(layer.in_features, n)
    first.load_state_dict({name: tensor[:n] for name, tensor in layer.state_dict().items()})
    return first


@torch.inference_mode()
def _agree(codec: Codec, nets: Plain) -> bool:
    low, high = codec.value_range
    pictures = low + (high - low) * torch.rand(
        CHECKED, *codec.geometry.shape, generator=torch.Generator().manual_seed(0)
    )
    codes = torch.from_numpy(codec.codes[:CHECKED])
    try:
        encoded, decoded = nets.encoder(pictures.flatten(1)), nets.decoder(codes)
    except RuntimeError:  # shapes that do not follow each other
        return False
    pairs = (encoded, codec.encoder(pictures.to(codec.device))), (decoded, codec.decoder(codes.to(codec.device)))
    return all(torch.allclose(ours, theirs.flatten(1).cpu(), rtol=CLOSE, atol=CLOSE) for ours, theirs in pairs)


def _line(layer: nn.Module) -> str:
    if isinstance(layer, nn.Linear):
        return f"nn.Linear({layer.in_features}, {layer.out_features})"
    return f"nn.{type(layer).__name__}()"


def _not_plain(codec: Codec, why: str) -> LatentdialError:
    return LatentdialError(
        f"{codec.name} is no plain fully connected net ({why}): use --format safetensors or --format onnx"
    )
