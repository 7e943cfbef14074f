"""The training state on disk: written in the background, whole or not at all, JSON and safetensors, private to a run.

checkpoint/step-00000200/state.json        where training stands, and a digest of every other file
                         state-0.safetensors   weights, moments and sums of process 0 (of every one with --shard)
                         best.safetensors      the weights that were best on the validation pictures
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from latentdial.errors import LatentdialError
from latentdial.machine.world import World

FOLDER, STATE, BEST = "checkpoint", "state.json", "best.safetensors"
UNFINISHED = ".tmp-"
KEPT = 2
SHARE = 0.02  # of the time, at most, for writing checkpoints


@dataclass(frozen=True)
class State:
    """Where training stands, without its tensors."""

    step: int = 0
    steps: int = 0
    count: int = 0  # steps since the last record
    seconds: float = 0.0
    wall: float = 0.0
    best: float | None = None  # value of the monitored term
    best_step: int = 0
    waited: int = 0  # validations since the best
    data: str = ""  # digest of the training pictures
    setting: dict[str, str | int] = field(default_factory=dict)  # what bit-exact going on depends on


@dataclass(frozen=True)
class Checkpoint:
    """What was read back: the state, its tensors, the best weights where there are some, and what was broken."""

    state: State
    tensors: dict[str, Tensor]
    best: dict[str, Tensor] | None
    broken: list[str]


class Checkpoints:
    """The checkpoints of one run, written by one process, or by all of them where every process holds a share."""

    def __init__(self, run: Path, world: World | None = None, sharded: bool = False):
        self.folder, self.world, self.sharded = run / FOLDER, world or World(), sharded
        self.cost = 0.0  # seconds that the last one took
        self._writer = ThreadPoolExecutor(1, "checkpoint")
        self._pending: Future[None] | None = None
        self._best_written: int | None = None
        self._clean_up()

    def due_after(self, minutes: float) -> float:
        """Seconds until the next one: so many minutes, and longer where writing would take more than 2% of the time."""
        return max(60 * minutes, self.cost / SHARE)

    def save(self, tensors: dict[str, Tensor], state: State, best: dict[str, Tensor] | None) -> None:
        """Copy the tensors and write them in the background; the error of the last writing is raised here."""
        self.wait()
        if not (self.world.leads or self.sharded):
            return
        start = time.perf_counter()
        held = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
        self._pending = self._writer.submit(self._write, held, state, best, start)
        if self.sharded:
            self.wait()

    def wait(self) -> None:
        """Until the last checkpoint is on disk; LatentdialError where it could not be written."""
        pending, self._pending = self._pending, None
        try:
            if pending is not None:
                pending.result()
        except (OSError, SafetensorError) as error:
            self._clean_up()
            raise LatentdialError(
                f"cannot write a checkpoint to {self.folder} ({error}): free some space and go on with --resume; "
                "the last good checkpoint was kept"
            ) from None

    def load(self) -> Checkpoint:
        """The newest checkpoint that is whole; LatentdialError where there is none."""
        broken: list[str] = []
        for folder in self._newest_first():
            try:
                return self._read(folder, broken)
            except (OSError, ValueError, TypeError, KeyError, SafetensorError) as error:
                broken.append(f"{folder.name} ({' '.join(str(error).split())[:120]})")
        raise LatentdialError(
            f"no checkpoint in {self.folder} can be read ({'; '.join(broken) or 'it is empty'}): "
            "train it anew with --overwrite"
        )

    def exist(self) -> bool:
        """Whether there is any checkpoint, whole or broken."""
        return bool(self._newest_first())

    def _newest_first(self) -> list[Path]:
        return sorted(self.folder.glob("step-*"), reverse=True)

    def _file(self) -> str:
        return f"state-{self.world.rank}.safetensors"

    def _write(self, tensors: dict[str, Tensor], state: State, best: dict[str, Tensor] | None, start: float) -> None:
        bad = not all(bool(t.isfinite().all()) for t in tensors.values())
        if self.world.any(bad) if self.sharded else bad:
            return  # training is about to stop and say so; the last finite state stays
        fresh, final = self.folder / f"{UNFINISHED}{state.step}", self.folder / f"step-{state.step:08d}"
        fresh.mkdir(parents=True, exist_ok=True)
        save_file(tensors, fresh / self._file())
        _sync(fresh / self._file())
        self._together()
        if self.world.leads:
            self._finish(fresh, final, state, best)
        self._together()
        self.cost = time.perf_counter() - start

    def _clean_up(self) -> None:
        if self.world.leads:
            for leftover in self.folder.glob(f"{UNFINISHED}*"):
                shutil.rmtree(leftover, ignore_errors=True)

    def _together(self) -> None:
        if self.sharded:
            self.world.wait()

    def _finish(self, fresh: Path, final: Path, state: State, best: dict[str, Tensor] | None) -> None:
        if best is not None:
            self._write_best(fresh / BEST, best, state.best_step)
        digests = {file.name: _digest(file) for file in fresh.iterdir()}
        (fresh / STATE).write_text(json.dumps({"state": asdict(state), "digests": digests}), encoding="utf-8")
        _sync(fresh / STATE)
        _sync(fresh)
        shutil.rmtree(final, ignore_errors=True)
        fresh.rename(final)
        _sync(self.folder)
        for old in self._newest_first()[KEPT:]:
            shutil.rmtree(old, ignore_errors=True)

    def _write_best(self, path: Path, best: dict[str, Tensor], step: int) -> None:
        """The best weights; a second name for the file of the last checkpoint where they are the same."""
        before = next((f / BEST for f in self._newest_first() if (f / BEST).is_file()), None)
        if before is not None and self._best_written == step:
            path.hardlink_to(before)
            return
        save_file(best, path)
        _sync(path)
        self._best_written = step

    def _read(self, folder: Path, broken: list[str]) -> Checkpoint:
        record = json.loads((folder / STATE).read_text(encoding="utf-8"))
        for name, digest in record["digests"].items():
            if _digest(folder / Path(name).name) != digest:
                raise ValueError(f"{name} has changed since it was written")
        state = State(**record["state"])
        shares = sum(name.startswith("state-") for name in record["digests"])
        if shares != (self.world.size if self.sharded else 1):
            raise LatentdialError(
                f"the checkpoint was written by {shares} processes with --shard: go on with as many, or train anew"
            )
        best = load_file(folder / BEST) if BEST in record["digests"] else None
        name = self._file() if self.sharded else "state-0.safetensors"
        return Checkpoint(state, load_file(folder / name), best, broken)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
