"""Optimizers by name, from torch, and the schedules of learning rate and KL."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.optim import SGD, Adagrad, Adam, AdamW, Muon, Optimizer

from latentdial.config import TrainSettings
from latentdial.parts import schedules
from latentdial.parts.schedules import Schedule

WARMUP = 100  # steps at most, until the learning rate is at its peak, where the settings do not say
MOMENTUM = 0.9


def make_optimizers(model: nn.Module, settings: TrainSettings, device: str) -> list[Optimizer]:
    """The optimizers that together train every parameter: one, but for Muon, which takes matrices only."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    common: dict[str, Any] = {"lr": settings.peak, "weight_decay": settings.weight_decay}
    fused: dict[str, Any] = common | {"fused": not device.startswith("mps")}
    match settings.optimizer:
        case "adam":
            return [Adam(parameters, **fused)]
        case "adamw":
            return [AdamW(parameters, **fused)]
        case "sgd":
            return [SGD(parameters, momentum=MOMENTUM, **fused)]
        case "adagrad":
            return [Adagrad(parameters, **common, fused=device == "cpu")]
    matrices = [p for p in parameters if p.ndim == 2]
    rest = [p for p in parameters if p.ndim != 2]
    others: list[Optimizer] = [AdamW(rest, **fused)] if rest else []
    return [Muon(matrices, adjust_lr_fn="match_rms_adamw", **common), *others]


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
