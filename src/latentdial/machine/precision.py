"""Which device and number format to train with, by measuring."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import torch

from latentdial.errors import LatentdialError

SIZES = (128, 512), (512, 512)  # of the matrices
LEAST, MOST, PATIENCE = 3, 50, 0.3  # products of each, and seconds for all
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
    """How much faster a device multiplies bfloat16 than float32 matrices; 0 where it has no bfloat16.

    The least of several times for each, taken in turns, so that other work on the machine does not decide.
    """
    times: list[tuple[float, float]] = []
    end = time.perf_counter() + PATIENCE
    try:
        wide, narrow = ([torch.randn(*size).to(device, t) for size in SIZES] for t in (torch.float32, torch.bfloat16))
        while len(times) < LEAST or (len(times) < MOST and time.perf_counter() < end):
            times.append((_seconds(*wide), _seconds(*narrow)))
    except (TypeError, RuntimeError):
        return 0.0
    return min(one for one, _ in times) / min(other for _, other in times)


def autocast(precision: str, device: str) -> AbstractContextManager[Any]:
    """The context in which the nets run."""
    kind = device.split(":")[0]
    return torch.autocast(kind, torch.bfloat16) if precision == "bf16" else nullcontext()


def _seconds(a: torch.Tensor, b: torch.Tensor) -> float:
    start = time.perf_counter()
    (a @ b)[0, 0].item()  # waits for the device
    return time.perf_counter() - start
