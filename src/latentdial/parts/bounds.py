"""Bounds of log p(x) tighter than the ELBO, of several samples a picture."""

from __future__ import annotations

from math import log

import torch
from torch import Tensor

from latentdial.types import Batch, Pass, Term


def importance(samples: int, elbo: float = 0.0, dreg: bool = True) -> Term:
    """-log p(x) as bounded by `samples` importance samples, (1 - elbo) of it, plus `elbo` of the negative ELBO.

    One group of all samples is IWAE (arXiv 1509.00519, eq. 8), several are MIWAE, and `elbo` above zero is CIWAE
    (arXiv 1802.04537, section 4). With `dreg` the encoder learns by doubly reparametrised gradients, whose noise does
    not drown them as samples grow (arXiv 1810.04152, eq. 8); the value is the same.
    """

    def value(p: Pass, _: Batch) -> Tensor:
        log_weight = p.log_weight.unflatten(0, (-1, samples))  # (groups, samples, B)
        return -(1 - elbo) * (log_weight.logsumexp(1) - log(samples)).mean() - elbo * log_weight.mean()

    def counted(p: Pass, batch: Batch) -> Tensor:
        level = p.levels["z"]
        held = level.posterior.detached().log_prob(level.z).flatten(2).sum(-1)  # type: ignore[attr-defined]
        log_weight: Tensor = p.log_px + level.log_pz - held  # type: ignore[operator]
        share = log_weight.detach().unflatten(0, (-1, samples)).softmax(1).flatten(0, 1)  # (K, B)
        model, encoder = ((1 - elbo) * power + elbo / samples for power in (share, share.square()))
        if level.z.requires_grad:
            factor = torch.where(model > 0, encoder / model, 0.0)[..., None]
            level.z.register_hook(lambda gradient: gradient * factor)
        surrogate = -(model * log_weight).sum() * samples / log_weight.numel()
        return surrogate - surrogate.detach() + value(p, batch).detach()

    return Term("iwae", value, counted=counted if dreg else None, compiles=not dreg)
