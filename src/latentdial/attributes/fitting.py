"""Fit a small net to arrays that are held in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

from latentdial.progress import Steps, quiet

BATCH = 128
HELD_OUT = 10  # every tenth picture says how far a net is to be trusted

Net = TypeVar("Net", bound=nn.Module)


def fit(
    net: Net,
    loss: Callable[[Tensor], Tensor],
    count: int,
    epochs: int,
    rate: float,
    decay: float,
    progress: Steps = quiet,
) -> Net:
    """The net, fitted with AdamW and a one-cycle rate to the loss of rows (B,) out of `count`, and frozen."""
    optimiser = torch.optim.AdamW(net.parameters(), rate, weight_decay=decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, epochs * -(-count // BATCH))
    for epoch in range(epochs):
        for rows in torch.randperm(count).split(BATCH):
            optimiser.zero_grad()
            loss(rows).backward()
            optimiser.step()
            schedule.step()
        progress(epoch + 1, epochs)
    return net.eval().requires_grad_(False)
