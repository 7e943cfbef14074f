"""What can be said and saved when training goes wrong."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from latentdial.errors import LatentdialError
from latentdial.training.loop import Loop


def back_to_last_good(loop: Loop, until: int) -> Tensor | None:
    """Go over the steps again up to the one that broke the weights, and back to before it; returns its pictures.

    None where all steps before `until` are good this time, or the very first loss is bad.
    """
    before, batch = loop.state(), None
    while loop.step < until:
        state, given = {name: tensor.clone() for name, tensor in loop.state().items()}, loop.next_batch()
        values = loop.train_step(*given)
        if not _all_finite(values.values()):
            loop.step -= 1
            break
        before, batch = state, given[0]
        if not _all_finite(loop.recipe.model.parameters()):
            break
    else:
        return None
    if batch is not None:
        loop.restore(before)
        loop.step -= 1
    return batch


def out_of_memory(error: BaseException, loop: Loop) -> BaseException:
    """The error with a batch size to try, where it says that memory could not be had; any other as it is."""
    if not isinstance(error, torch.OutOfMemoryError) and "allocate" not in str(error):
        return error
    return LatentdialError(
        f"out of memory with --batch {loop.batch} on {loop.device}: "
        f"try --batch {max(1, loop.batch // 2)}, or --batch auto"
    )


def _all_finite(tensors: Iterable[Tensor]) -> bool:
    return all(bool(tensor.isfinite().all()) for tensor in tensors)
