"""Pictures for the loop: held in the device's memory where they fit, else gathered some batches ahead by threads."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from latentdial.images import Pictures

SHARE = 0.5  # of the free memory, at most, for pictures that are held
AT_ONCE = 300_000_000  # bytes that are copied before a start on the processor, where the system keeps a file's pages
DEPTH = 4  # batches that are read ahead


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


class Ahead:
    """The batches of successive steps; those that are streamed are read up to `DEPTH` steps ahead by threads.

    `rows` gives the rows of a step's batch, and alone says what is in it: the number of threads changes nothing.
    An error in a thread is raised where its batch is asked for. `close` ends the threads; they start again when needed.
    """

    def __init__(self, pixels: Feed, rows: Callable[[int], Tensor], workers: int = 2) -> None:
        self._pixels, self._rows, self._workers = pixels, rows, workers
        self._threads: ThreadPoolExecutor | None = None
        self._coming: deque[tuple[int, Future[Tensor]]] = deque()

    def batch(self, step: int) -> Tensor:
        """The uint8 pictures (B, H, W, C) of a step."""
        if isinstance(self._pixels, Tensor):
            return self._pixels.index_select(0, self._rows(step))  # a third of the time of an index, for small pictures
        if not self._workers:
            return self._pixels[self._rows(step)]
        if self._coming and self._coming[0][0] != step:
            self.close()
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._workers, "read-ahead")
        last = self._coming[-1][0] if self._coming else step - 1
        for coming in range(last + 1, step + DEPTH + 1):
            self._coming.append((coming, self._threads.submit(self._pixels.__getitem__, self._rows(coming))))
        return self._coming.popleft()[1].result()

    def close(self) -> None:
        """Drop what was read ahead and end the threads."""
        self._coming.clear()
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)
            self._threads = None


def feed(pictures: Pictures, device: str, memory: str = "auto") -> Feed:
    """The pictures for a device: "hold" makes a tensor there, "stream" reads every batch.

    "auto" holds what fits; on the processor large sets are streamed, so that training need not wait for a copy.
    """
    fits = pictures.nbytes < SHARE * free_memory(device) and (device != "cpu" or pictures.nbytes <= AT_ONCE)
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
