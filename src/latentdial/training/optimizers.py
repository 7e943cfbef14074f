"""Optimizers by name, from torch, and the schedules of learning rate and KL."""

from __future__ import annotations

from math import prod
from typing import Any

from torch import nn
from torch.nn.modules.conv import _ConvNd
from torch.optim import SGD, Adagrad, Adam, AdamW, Muon, Optimizer

from latentdial.config import TrainSettings
from latentdial.parts import schedules
from latentdial.parts.schedules import Schedule

WARMUP = 100  # steps at most, until the learning rate is at its peak, where the settings do not say
MOMENTUM = 0.9
INPUTS = 512  # of a layer, beyond which its rate falls
SHARE = "share"  # of the learning rate, that a group of parameters learns with


def make_optimizers(model: nn.Module, settings: TrainSettings, device: str) -> list[Optimizer]:
    """The optimizers that together train every parameter: one, but for Muon, which takes matrices only.

    From a linear start, Adam's rate of a layer with more than 512 inputs falls in proportion to them.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    by_inputs = by_share(model) if settings.start == "pca" else parameters
    common: dict[str, Any] = {"lr": settings.peak, "weight_decay": settings.weight_decay}
    fused: dict[str, Any] = common | {"fused": not device.startswith("mps")}
    match settings.optimizer:
        case "adam":
            return [Adam(by_inputs, **fused)]
        case "adamw":
            return [AdamW(by_inputs, **fused)]
        case "sgd":
            return [SGD(parameters, momentum=MOMENTUM, **fused)]
        case "adagrad":
            return [Adagrad(parameters, **common, fused=device == "cpu")]
    matrices = [p for p in parameters if p.ndim == 2]
    rest = [p for p in parameters if p.ndim != 2]
    others: list[Optimizer] = [AdamW(rest, **fused)] if rest else []
    return [Muon(matrices, adjust_lr_fn="match_rms_adamw", **common), *others]


def by_share(model: nn.Module) -> list[dict[str, Any]]:
    """Groups of parameters by their share of the learning rate: a step of Adam moves every weight alike, so a layer's
    output moves with the number of its inputs (arXiv 2203.03466, table 3)."""
    layers = [m.weight for m in model.modules() if isinstance(m, nn.Linear | _ConvNd)]
    shares = {id(weight): min(1.0, INPUTS / prod(weight.shape[1:])) for weight in layers}
    groups: dict[float, list[nn.Parameter]] = {}
    for parameter in model.parameters():
        if parameter.requires_grad:
            groups.setdefault(shares.get(id(parameter), 1.0), []).append(parameter)
    return [{"params": group, SHARE: share} for share, group in groups.items()]


def set_rate(optimizer: Optimizer, lr: float) -> None:
    """Set the learning rate of an optimizer, each of its groups to its share."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group.get(SHARE, 1.0)


def lr_schedule(settings: TrainSettings) -> Schedule:
    """The factor of the learning rate over the run, without its warm-up."""
    match settings.schedule:
        case "constant":
            return schedules.constant()
        case "step":
            return schedules.steps(settings.decay_at, settings.decay)
    return schedules.cosine()


def kl_schedule(settings: TrainSettings) -> Schedule:
    """The factor of the weight of the KL over the run."""
    match settings.kl_schedule:
        case "linear":
            return schedules.linear(settings.kl_rise)
        case "cyclic":
            return schedules.cyclic(settings.kl_rise, settings.kl_cycles)
    return schedules.constant()


def warmup_steps(settings: TrainSettings, steps: int) -> int:
    """Steps until the learning rate is at its peak, at least 1."""
    return max(1, min(WARMUP, steps // 20) if settings.warmup is None else settings.warmup)
