"""Pictures for the loop: held in the device's memory where they fit, else gathered batch by batch."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from latentdial.images import Pictures

SHARE = 0.5  # of the free memory, at most, for pictures that are held


@dataclass(frozen=True)
class Streamed:
    """Uint8 pictures that are read when indexed, as a tensor on the device: memory holds one batch."""

    pictures: Pictures
    device: str

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: Tensor | slice) -> Tensor:
        rows = index.cpu().numpy() if isinstance(index, Tensor) else index
        return torch.from_numpy(self.pictures[rows]).to(self.device)


Feed = Tensor | Streamed  # uint8 (N, H, W, C): len, and an index or slice gives a tensor on the device


def feed(pictures: Pictures, device: str, memory: str = "auto") -> Feed:
    """The pictures for a device: "hold" makes a tensor there, "stream" reads every batch; "auto" holds what fits."""
    fits = pictures.nbytes < SHARE * free_memory(device)
    if memory == "hold" or (memory == "auto" and fits):
        held = np.empty(pictures.shape, np.uint8)
        start = 0
        for chunk in pictures.chunks():
            held[start : start + len(chunk)] = chunk
            start += len(chunk)
        return torch.from_numpy(held).to(device)
    pictures.expect_random_reads()
    return Streamed(pictures, device)


def free_memory(device: str) -> int:
    """Bytes that can be had on a device."""
    if device.startswith("cuda"):
        return torch.cuda.mem_get_info(device)[0]
    table = Path("/proc/meminfo")
    if table.exists():
        lines = dict(line.split(":") for line in table.read_text().splitlines())
        return 1024 * int(lines["MemAvailable"].split()[0])
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
