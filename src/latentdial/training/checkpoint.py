"""The training state on disk: written whole or not at all, private to the run, JSON and safetensors."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from torch.optim import Optimizer

from latentdial.errors import LatentdialError
from latentdial.run import MODEL, load_weights, save_model

FOLDER, OPTIMIZER, STATE = "checkpoint", "optimizer.safetensors", "state.json"


@dataclass(frozen=True)
class State:
    """Where training stands: optimiser steps done and seconds spent."""

    step: int = 0
    seconds: float = 0.0


def save_checkpoint(run: Path, model: nn.Module, optimizer: Optimizer, state: State) -> None:
    """Write a new checkpoint and put it in the place of the last one."""
    fresh, final, old = run / ".checkpoint-new", run / FOLDER, run / ".checkpoint-old"
    for leftover in (fresh, old):
        shutil.rmtree(leftover, ignore_errors=True)
    fresh.mkdir()
    save_model(fresh, model)
    moments = optimizer.state_dict()["state"]
    save_file(
        {f"{i}.{name}": t.contiguous() for i, entry in moments.items() for name, t in entry.items()}, fresh / OPTIMIZER
    )
    (fresh / STATE).write_text(json.dumps(asdict(state)))
    for file in fresh.iterdir():
        _sync(file)
    if final.exists():
        final.rename(old)
    fresh.rename(final)
    _sync(run)
    shutil.rmtree(old, ignore_errors=True)


def load_checkpoint(run: Path, model: nn.Module, optimizer: Optimizer) -> State:
    """Put model and optimizer where the run's checkpoint left them."""
    folder = next((f for f in (run / FOLDER, run / ".checkpoint-old") if (f / STATE).is_file()), None)
    if folder is None:
        raise LatentdialError(f"{run} has no checkpoint to resume from: train it anew with --overwrite")
    load_weights(model, folder / MODEL)
    try:
        tensors = load_file(folder / OPTIMIZER)
        state = State(**json.loads((folder / STATE).read_text()))
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise LatentdialError(f"the checkpoint in {folder} is broken ({error}): train anew with --overwrite") from None
    moments: dict[int, dict] = {}
    for name, tensor in tensors.items():
        index, _, key = name.partition(".")
        moments.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict(optimizer.state_dict() | {"state": moments})
    return state


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
