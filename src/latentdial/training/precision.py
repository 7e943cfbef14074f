"""Which device and number format to train with, by measuring."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from functools import cache

import torch

from latentdial.errors import LatentdialError

WORTH = 1.25  # how much faster bfloat16 must be to be chosen


def choose_device(wanted: str) -> str:
    """The device to train on; one that is not there is a LatentdialError."""
    available = ["cpu"] + ["cuda"] * torch.cuda.is_available() + ["mps"] * torch.backends.mps.is_available()
    if wanted == "auto":
        return available[-1]
    if wanted.split(":")[0] not in available:
        raise LatentdialError(f"there is no device {wanted!r} here: use {' or '.join(available)}")
    return wanted


def choose_precision(wanted: str, device: str) -> str:
    """bf16 or float32; auto takes bf16 where it multiplies matrices at least a quarter faster."""
    if wanted != "auto":
        return wanted
    kind = device.split(":")[0]
    if kind == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "float32"
    return "bf16" if bf16_speedup(kind) >= WORTH else "float32"


@cache
def bf16_speedup(device: str = "cpu") -> float:
    """How much faster a device multiplies bfloat16 than float32 matrices; 0 where it has no bfloat16."""
    try:
        return _seconds(torch.float32, device) / _seconds(torch.bfloat16, device)
    except (TypeError, RuntimeError):
        return 0.0


def autocast(precision: str, device: str) -> AbstractContextManager:
    """The context in which the nets run."""
    kind = device.split(":")[0]
    return torch.autocast(kind, torch.bfloat16) if precision == "bf16" else nullcontext()


def _seconds(dtype: torch.dtype, device: str) -> float:
    a, b = torch.randn(128, 512).to(device, dtype), torch.randn(512, 512).to(device, dtype)
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        (a @ b)[0, 0].item()  # waits for the device
        best = min(best, time.perf_counter() - start)
    return best
