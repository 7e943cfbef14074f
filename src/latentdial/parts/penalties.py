"""Penalties on nets: on the slopes of an encoder or a decoder, on weights, on the size of codes."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import add

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from latentdial.types import Batch, Pass, Shape, Term

COARSEST = 8  # pixels of the smaller side of the last picture whose details count


def squared_slope(function: Callable[[Tensor], Tensor], at: Tensor, probe: Tensor) -> Tensor:
    """|J|^2 of a function at each of B points, (B,), of one random direction (Hutchinson, 1989): without bias for a
    standard normal `probe` of the shape of the result.
    """
    with torch.enable_grad():
        at = at if at.requires_grad else at.detach().requires_grad_()
        (slope,) = torch.autograd.grad(function(at), at, probe, create_graph=True)
    return slope.square().flatten(1).sum(1)


def contraction(encode: Callable[[Tensor], Tensor], code: Shape, weight: float) -> Term:
    """|d code / d picture|^2, the squared Frobenius norm of the encoder's Jacobian (Rifai et al., ICML 2011, eq. 7)."""

    def value(p: Pass, batch: Batch) -> Tensor:
        return squared_slope(encode, batch.x, batch.noise["contraction"][0]).mean()

    return Term("contraction", value, weight, draws={"contraction": code}, compiles=False)


def flatness(decode: Callable[[Tensor], Tensor], image: Shape, weight: float) -> Term:
    """|d picture / d code|^2, the gradient penalty of RAE-GP (arXiv 1903.12436, eq. 10)."""

    def value(p: Pass, batch: Batch) -> Tensor:
        return squared_slope(decode, p.z[0], batch.noise["flatness"][0]).mean()

    return Term("flatness", value, weight, draws={"flatness": image}, compiles=False)


def weights(net: nn.Module, weight: float) -> Term:
    """Sum of the squares of a net's weights (arXiv 1903.12436, eq. 9 with the regulariser L2)."""
    held = list(net.parameters())
    return Term("weights", lambda p, _: reduce(add, [w.square().sum() for w in held]), weight)


def size(weight: float) -> Term:
    """Half the squared length of the codes (arXiv 1903.12436, eq. 9)."""
    return Term("size", lambda p, _: 0.5 * p.z.square().flatten(2).sum(-1).mean(), weight)


def sharpness(mean: Callable[[Tensor], Tensor], precision: Callable[[], Tensor], weight: float) -> Term:
    """How far the details of the mean picture are from the picture's, at every scale: |.|_1 of the difference of their
    Laplacian pyramids, level j counting 4^j (Lap1 of arXiv 1707.05776, section 2.2), times the precision 1 / sigma^2.

    Squared error alone leaves out all details that it cannot place exactly.
    """

    def value(p: Pass, _: Batch) -> Tensor:
        apart = (mean(p.output) - p.x).flatten(0, 1)
        return details(apart) / len(apart) * precision().detach()

    return Term("sharpness", value, weight)


def details(pictures: Tensor) -> Tensor:
    """Sum over the Laplacian pyramids of pictures (N, C, H, W) of 4^j |level j|_1, ().

    >>> details(torch.ones(1, 1, 16, 16)).item()
    0.0
    """
    found, share = pictures.new_zeros(()), 1.0
    while min(pictures.shape[-2:]) >= COARSEST:
        coarse = F.avg_pool2d(pictures, 2, ceil_mode=True)
        smooth = F.interpolate(coarse, size=pictures.shape[-2:], mode="bilinear", align_corners=False)
        found, pictures, share = found + share * (pictures - smooth).abs().sum(), coarse, 4 * share
    return found
