"""The largest batch that fits, found by trying."""

from __future__ import annotations

from collections.abc import Callable

import torch

from latentdial.errors import LatentdialError
from latentdial.training.feed import free_memory
from latentdial.training.loop import Loop

SMALLEST, LARGEST = 16, 8192
STEPS_AN_EPOCH = 20  # at least, so that a small set is not learned in a handful of steps
SHARE = 0.5  # of the free memory, at most, for one step


def largest_batch(loop_of: Callable[[int], Loop], pictures: int, device: str) -> int:
    """The largest power of two that fits in memory and leaves 20 steps an epoch.

    A step of the smallest batch and of its double tell what every picture takes; nothing that is trained is touched.
    """
    limit = min(LARGEST, max(1, pictures // STEPS_AN_EPOCH))
    if limit <= SMALLEST:
        return limit
    small, double = (_bytes_of_step(loop_of(batch)) for batch in (SMALLEST, 2 * SMALLEST))
    room = SHARE * free_memory(device) - small
    fitting = SMALLEST + room * SMALLEST / max(double - small, 1)
    if fitting < 1:
        raise LatentdialError("not even one picture fits in memory: use a smaller --size or net")
    return 1 << (int(min(limit, fitting)).bit_length() - 1)


def _bytes_of_step(loop: Loop) -> int:
    """Bytes that one forward pass keeps for its backward pass."""
    seen: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        seen[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loop.train_step(*loop.next_batch())
    return sum(seen.values())
