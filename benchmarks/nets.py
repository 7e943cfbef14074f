"""The nets that the training benchmarks compare, with their batch sizes; the same layers in every contender.

Command:  python benchmarks/nets.py
Time:     a few seconds
Expected: fcn-ae has 52,577,408 parameters and 265 MFLOP a picture, mlp-vae 676,864 and 3.4 MFLOP
"""

from __future__ import annotations

from math import prod
from typing import NamedTuple

import torch
from torch.utils.flop_counter import FlopCounterMode

from latentdial.config import ModelSettings, Options
from latentdial.parts.objectives import total
from latentdial.recipes import Recipe, build
from latentdial.training.subspace import narrow
from latentdial.types import Principal


class Net(NamedTuple):
    """A recipe at a size, and the batch it is trained with."""

    recipe: str
    options: Options
    shape: tuple[int, int, int]  # (C, H, W)
    batch: int
    variational: bool
    subspace: int = 0  # components that the outer layers are trained in, as `latentdial train` does; 0: plain layers

    def build(self, seed: int = 0) -> Recipe:
        torch.manual_seed(seed)
        made = build(ModelSettings(self.recipe, self.options), self.shape)
        if self.subspace:
            values, count = prod(self.shape), self.subspace
            basis = torch.linalg.qr(torch.randn(values, count))[0].T.contiguous()
            narrow(made.model, Principal(torch.zeros(values), basis, torch.ones(count), float(values)))
        return made

    def pixels(self, n: int) -> torch.Tensor:
        """Random uint8 pictures (n, H, W, C): what they show makes no difference to the time of a step."""
        channels, height, width = self.shape
        return torch.randint(0, 256, (n, height, width, channels), dtype=torch.uint8)


NETS = {
    "fcn-ae": Net("fcn-ae", {}, (3, 64, 64), 400, variational=False),
    "fcn-ae-subspace": Net("fcn-ae", {}, (3, 64, 64), 400, variational=False, subspace=512),
    "mlp-vae": Net("binary-vae", {"latent": 40}, (1, 28, 28), 100, variational=True),
    "conv-vae": Net("conv-vae", {}, (3, 64, 64), 128, variational=True),
}


def parameters(recipe: Recipe) -> int:
    """Weights and biases of encoder and decoder."""
    nets = (recipe.model.encoder, recipe.model.decoder)
    return sum(p.numel() for net in nets for p in net.parameters())


def flops_a_picture(net: Net) -> float:
    """Multiplications and additions of all matrix products and convolutions of a training step, per picture.

    Counted by torch: for fully connected nets 6 a weight (forward, gradient of the weight, gradient of the input),
    less 2 a weight of the first layer, whose input needs no gradient.
    """
    recipe, x = net.build(), torch.rand(4, *net.shape)
    with FlopCounterMode(display=False) as counter:
        batch = recipe.model.batch(x)
        loss, _ = total(recipe.objective, recipe.model(batch), batch)
        loss.backward()
    return counter.get_total_flops() / len(x)


def main() -> None:
    for name, net in NETS.items():
        print(f"{name:9} {parameters(net.build()):12,} parameters {flops_a_picture(net) / 1e6:8.1f} MFLOP a picture")


if __name__ == "__main__":
    main()
