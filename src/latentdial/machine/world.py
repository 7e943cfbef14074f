"""The processes that train together: started by torchrun, or one alone."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from latentdial.errors import LatentdialError

ASK_EVERY = 16  # steps between two questions whether any process was told to stop


@dataclass(frozen=True)
class World:
    """`size` processes of which this is number `rank`; process 0 leads: it alone writes and speaks."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    before_leaving: list[Callable[[], None]] = field(default_factory=list, compare=False)

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def share(self, rows: Tensor) -> tuple[Tensor, float]:
        """This process's rows of a global batch, and the weight of their mean in the mean over the processes.

        >>> World(rank=1, size=2).share(torch.arange(3))
        (tensor([1]), 0.6666666666666666)
        """
        mine = rows[self.rank :: self.size]
        return (mine, len(mine) * self.size / len(rows)) if len(mine) else (rows[:1], 0.0)

    def mean(self, values: dict[str, Tensor]) -> dict[str, Tensor]:
        """The mean of every value over the processes, the same in all of them."""
        if self.size == 1 or not values:
            return values
        together = torch.stack([value.double() for value in values.values()])
        dist.all_reduce(together)
        return dict(zip(values, together / self.size, strict=True))

    def sum(self, value: Tensor) -> Tensor:
        """The sum of every process's value, the same in all of them."""
        if self.size > 1:
            value = value.clone()
            dist.all_reduce(value)
        return value

    def gather(self, value: Tensor) -> Tensor:
        """The values (...) of all processes, (size, ...), the same in all of them."""
        if self.size == 1:
            return value[None]
        values = [torch.empty_like(value) for _ in range(self.size)]
        dist.all_gather(values, value)
        return torch.stack(values)

    def agree(self, number: int) -> int:
        """The leader's number, in all processes."""
        if self.size == 1:
            return number
        held = torch.tensor(number)
        dist.broadcast(held, 0)
        return int(held)

    def any(self, flag: bool) -> bool:
        """Whether any process says yes; all of them must ask."""
        if self.size == 1:
            return flag
        count = torch.tensor(float(flag))
        dist.all_reduce(count)
        return bool(count)

    def wait(self) -> None:
        """Until all processes are here."""
        if self.size > 1:
            dist.barrier()

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model whose backward pass averages gradients over the processes."""
        return nn.parallel.DistributedDataParallel(model) if self.size > 1 else model

    def leave(self) -> None:
        """The end of working together, and of the group's threads: one that lets go of a tensor while Python is shut
        down aborts the process. They end with the last object that names the group.
        """
        if self.size > 1 and dist.is_initialized():
            for forget in self.before_leaving:
                forget()
            gc.collect()
            dist.destroy_process_group()


def world_of(environment: Any) -> World:
    """This process's place among those that share the work, from RANK, WORLD_SIZE and LOCAL_RANK."""
    try:
        rank, size, local = (int(environment.get(name, default)) for name, default in
                             (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", environment.get("RANK", 0))))  # fmt: skip
    except ValueError:
        rank, size, local = -1, 0, 0
    if not 0 <= rank < size:
        raise LatentdialError("RANK must be from 0 to below WORLD_SIZE: start the processes with torchrun, or set both")
    return World(rank, size, local)


def own_device(device: str, world: World) -> str:
    """This process's own GPU where the device is "cuda"; in turn, where there are fewer GPUs than processes."""
    return f"cuda:{world.local_rank % torch.cuda.device_count()}" if device == "cuda" else device


def join_world(device: str) -> tuple[World, str]:
    """The world that torchrun has set up, and this process's device in it; alone where there is none."""
    world = world_of(os.environ)
    if world.size == 1:
        return World(), device
    if device == "cuda":
        if world.local_rank >= torch.cuda.device_count():
            raise LatentdialError(
                f"there are {torch.cuda.device_count()} GPUs here: use torchrun --nproc-per-node of at most so many"
            )
        device = own_device(device, world)
        torch.cuda.set_device(device)
    if not dist.is_initialized():
        dist.init_process_group("cpu:gloo,cuda:nccl" if device.startswith("cuda") else "gloo")
    return world, device
