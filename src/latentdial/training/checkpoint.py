"""The training state on disk: written in the background, whole or not at all, JSON and safetensors, private to a run.

checkpoint/step-00000200/state.json        where training stands, and a digest of every other file
                         state-0.safetensors   weights, moments and sums of process 0 (of every one with --shard)
                         best.safetensors      the weights that were best on the validation pictures
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from latentdial import storage
from latentdial.errors import LatentdialError
from latentdial.machine.world import World
from latentdial.runs.cleaning import CHECKPOINTS
from latentdial.runs.records import METRICS, TIMES

STATE, BEST = "state.json", "best.safetensors"
UNFINISHED = ".tmp-"
KEPT = 2
MOST = 2**40  # bytes of a file
Kinds = dict[str, type | tuple[type, ...]]
KINDS: Kinds = dict.fromkeys(("step", "steps", "count", "best_step", "waited"), int)
KINDS |= {"seconds": float, "wall": float, "best": (float, type(None)), "told": bool, "data": str, "setting": dict}
SINCE = {"told": False}  # what checkpoints of before do not say
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
    told: bool = False  # pictures apart, at a validation so far
    data: str = ""  # digest of the training pictures
    setting: dict[str, str | int] = field(default_factory=dict)  # what bit-exact going on depends on


@dataclass(frozen=True)
class Checkpoint:
    """What was read back: the state, its tensors, the best weights where there are some, and what was broken."""

    state: State
    tensors: dict[str, Tensor]
    best: dict[str, Tensor] | None
    broken: list[str]


class Unreadable(Exception):
    """A checkpoint that is damaged; the one before it is tried."""


class Checkpoints:
    """The checkpoints of one run, written by one process, or by all of them where every process holds a share."""

    def __init__(self, run: Path, world: World | None = None, sharded: bool = False):
        self.folder, self.world, self.sharded = run / CHECKPOINTS, world or World(), sharded
        self.cost = 0.0  # seconds that the last one took
        self._writer = ThreadPoolExecutor(1, "checkpoint")
        self._pending: Future[None] | None = None
        self._best_written: int | None = None
        if self.folder.is_symlink():
            raise LatentdialError(f"{self.folder} is a link, through which nothing is written: remove it")
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
        except (OSError, LatentdialError) as error:
            self._clean_up()
            raise LatentdialError(
                f"cannot write a checkpoint ({error}): free some space and go on with --resume; "
                "the last good checkpoint was kept"
            ) from None

    def load(self, most: int = MOST, take: Callable[[Checkpoint], None] = lambda found: None) -> Checkpoint:
        """The newest checkpoint whose files are whole, of at most so many bytes each, and that `take` can take up.

        LatentdialError where there is none.
        """
        broken: list[str] = []
        for folder in self._newest_first():
            try:
                found = self._read(folder, broken, most)
                take(found)
                return found
            except (Unreadable, KeyError, ValueError, IndexError, TypeError, RuntimeError) as error:
                broken.append(f"{folder.name} ({' '.join(str(error).split())[:120]})")
        raise LatentdialError(
            f"no checkpoint in {self.folder} can be read ({'; '.join(broken) or 'it is empty'}): "
            "train it anew with --overwrite"
        )

    def remove(self) -> None:
        """Take all of them away: training has ended well."""
        if self.world.leads:
            storage.remove(self.folder)

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
        fresh, final = self.folder / f"{UNFINISHED}{state.step:08d}", self.folder / f"step-{state.step:08d}"
        storage.save_tensors(fresh / self._file(), tensors, root=self.folder.parent)
        self._together()
        if self.world.leads:
            self._finish(fresh, final, state, best)
        self._together()
        self.cost = time.perf_counter() - start

    def _clean_up(self) -> None:
        """Take away what is half written; one that is whole was about to take the place of another of its step."""
        if not self.world.leads:
            return
        storage.sweep(self.folder)
        for leftover in self.folder.glob(f"{UNFINISHED}*"):
            final = self.folder / f"step-{leftover.name.removeprefix(UNFINISHED)}"
            if (leftover / STATE).is_file() and not final.exists():
                storage.replace_folder(leftover, final)
            else:
                shutil.rmtree(leftover, ignore_errors=True)

    def _together(self) -> None:
        if self.sharded:
            self.world.wait()

    def _finish(self, fresh: Path, final: Path, state: State, best: dict[str, Tensor] | None) -> None:
        if best is not None:
            self._write_best(fresh / BEST, best, state.best_step)
        digests = {file.name: _digest(file) for file in fresh.iterdir()}
        for name in (METRICS, TIMES):
            storage.sync(self.folder.parent / name)
        storage.write(fresh / STATE, json.dumps({"state": asdict(state), "digests": digests}))
        storage.replace_folder(fresh, final)
        for old in self._newest_first()[KEPT:]:
            storage.remove(old)

    def _write_best(self, path: Path, best: dict[str, Tensor], step: int) -> None:
        """The best weights; a second name for the file of the last checkpoint where they are the same."""
        before = next((f / BEST for f in self._newest_first() if (f / BEST).is_file()), None)
        if before is not None and self._best_written == step:
            with suppress(OSError):  # not all file systems have second names
                path.hardlink_to(before)
                return
        storage.save_tensors(path, best)
        self._best_written = step

    def _read(self, folder: Path, broken: list[str], most: int) -> Checkpoint:
        state, digests = _read_state(folder, most)
        shares = sum(name.startswith("state-") for name in digests)
        if shares != (self.world.size if self.sharded else 1):
            raise LatentdialError(
                f"the checkpoint was written by {shares} processes with --shard: go on with as many, or train anew"
            )
        name = self._file() if self.sharded else "state-0.safetensors"
        best = _read_tensors(folder / BEST, most) if BEST in digests else None
        return Checkpoint(state, _read_tensors(folder / name, most), best, broken)


def _read_state(folder: Path, most: int) -> tuple[State, dict[str, str]]:
    """Where training stood, and the digests, which the files have; else Unreadable."""
    try:
        if folder.is_symlink():
            raise ValueError("it is a link")
        record = storage.read_json(folder / STATE)
        storage.need(record, {"state": dict, "digests": dict})
        state = SINCE | record["state"]
        if state.keys() != KINDS.keys():
            raise ValueError("its state has other keys")
        storage.need(state, KINDS)
        if any(isinstance(value, int) and value < 0 for value in state.values()):
            raise ValueError("its state has a number below zero")
        for name, digest in record["digests"].items():
            if name != Path(name).name or _digest(folder / name, most) != digest:
                raise ValueError(f"{name[:40]} has changed since it was written")
        return State(**state), record["digests"]
    except (LatentdialError, OSError, ValueError) as error:
        raise Unreadable(str(error)) from None


def _read_tensors(path: Path, most: int) -> dict[str, Tensor]:
    try:
        return {name: torch.from_numpy(array) for name, array in storage.read_tensors(path, None, most=most).items()}
    except LatentdialError as error:
        raise Unreadable(str(error)) from None


def _digest(path: Path, most: int | None = None) -> str:
    with storage.opened(path, most) as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()
