"""Opponents of a model: nets that tell its codes or pictures from others, and the terms by which it deceives them.

A critic answers with one logit: how much likelier it holds what it sees to be of the first kind than of the second.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from latentdial.layers import halved
from latentdial.types import Batch, ImageShape, Pass, Rival, Term

SLOPE = 0.2  # of a leaky ReLU below zero
Opponents = tuple[Term, Rival]


def code_critic(latent: int, widths: Sequence[int]) -> nn.Sequential:
    """A fully connected net of codes (N, D) that gives logits (N,)."""
    layers: list[nn.Module] = []
    for before, after in pairwise([latent, *widths]):
        layers += [nn.Linear(before, after), nn.LeakyReLU(SLOPE)]
    return nn.Sequential(*layers, nn.Linear([latent, *widths][-1], 1), nn.Flatten(0))


class PictureCritic(nn.Module):
    """A convolutional net of pictures (N, C, H, W): its `features` (N, F), and from these logits (N,).

    Features are normalised over each picture, so that distances between them keep their scale while the critic learns.
    """

    def __init__(self, image: ImageShape, channels: Sequence[int]):
        super().__init__()
        colours, places = image[0], halved(image, channels, "critic", "critic")
        layers: list[nn.Module] = []
        for before, after in zip([colours, *channels], channels, strict=False):
            layers += [nn.Conv2d(before, after, 4, stride=2, padding=1), nn.GroupNorm(1, after), nn.LeakyReLU(SLOPE)]
        self.features = nn.Sequential(*layers, nn.Flatten())
        self.logit = nn.Linear(prod((channels[-1], *places)), 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.logit(self.features(x))[:, 0]


def telling(first: Tensor, second: Tensor) -> Tensor:
    """The cross-entropy () in nats of logits for things of the first and of the second kind, both equally common.

    A critic that cannot tell them has log 2.
    """
    return 0.5 * (F.softplus(-first).mean() + F.softplus(second).mean())


def shuffle(codes: Tensor, noise: Tensor) -> Tensor:
    """Codes (N, D) each of whose dimensions is permuted over the batch by itself, in the order of noise (N, D).

    Of codes from q(z) they are samples of the product of its marginals (arXiv 1802.05983, algorithm 1).
    """
    return codes.gather(0, noise.argsort(0))


def density_ratio(latent: int, widths: Sequence[int], weight: float) -> Opponents:
    """The total correlation: the mean logit of a critic that tells codes from shuffled ones (arXiv 1802.05983, eq. 3).

    The optimal critic's logit is log q(z) - log prod q(z_d). The same batch is shuffled; the paper takes a second one.
    """
    critic = code_critic(latent, widths)

    def against(p: Pass, batch: Batch) -> Tensor:
        codes = p.z.detach().flatten(0, 1)
        return telling(critic(codes), critic(shuffle(codes, batch.noise["shuffle"].flatten(0, 1))))

    term = Term("tc", lambda p, _: critic(p.z.flatten(0, 1)).mean(), weight, scheduled=True)
    return term, Rival("critic", critic, against, {"shuffle": (latent,)})


def adversarial_prior(latent: int, widths: Sequence[int], weight: float) -> Opponents:
    """Codes that a critic takes for standard normal ones (arXiv 1511.05644, section 2; loss: 1406.2661, section 3)."""
    critic = code_critic(latent, widths)

    def against(p: Pass, batch: Batch) -> Tensor:
        return telling(critic(batch.noise["prior"].flatten(0, 1)), critic(p.z.detach().flatten(0, 1)))

    term = Term("deceive", lambda p, _: F.softplus(-critic(p.z.flatten(0, 1))).mean(), weight)
    return term, Rival("critic", critic, against, {"prior": (latent,)})


def learned_similarity(
    image: ImageShape,
    latent: int,
    channels: Sequence[int],
    mean: Callable[[Tensor], Tensor],
    decode: Callable[[Tensor], Tensor],
    weight: float,
) -> tuple[Term, Term, Rival]:
    """Reconstruction in a critic's features, and pictures that it takes for real (arXiv 1512.09300, algorithm 1).

    The critic sees real pictures, reconstructions and samples of the prior. Only the decoder learns to deceive it:
    the codes of that term are detached. `mean` reads a decoder's output as pictures, `decode` is the decoder and that;
    `weight` is 1 / gamma of the paper.
    """
    critic = PictureCritic(image, channels)

    def similar(p: Pass, _: Batch) -> Tensor:
        made = critic.features(mean(p.output).flatten(0, 1)).unflatten(0, p.z.shape[:2])
        return 0.5 * (made - critic.features(p.x)).square().flatten(2).sum(-1).mean()

    def deceive(p: Pass, batch: Batch) -> Tensor:
        codes = torch.cat([p.z.detach(), batch.noise["prior"]])
        return F.softplus(-critic(decode(codes.flatten(0, 1)))).mean()

    def against(p: Pass, batch: Batch) -> Tensor:
        with torch.no_grad():
            made = torch.cat([mean(p.output).flatten(0, 1), decode(batch.noise["prior"].flatten(0, 1))])
        return telling(critic(p.x), critic(made))

    return (
        Term("similar", similar),
        Term("deceive", deceive, weight),
        Rival("critic", critic, against, {"prior": (latent,)}),
    )
