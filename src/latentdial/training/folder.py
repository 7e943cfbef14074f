"""The directory of a run that is being trained: whether it may be written, who writes it, and its records."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from latentdial import storage
from latentdial.config import RunConfig
from latentdial.errors import LatentdialError
from latentdial.images import lasting_source
from latentdial.runs.cleaning import CHECKPOINTS
from latentdial.runs.records import CONFIG, LOCK, METRICS, SUMMARY, TIMES, read_config, read_metrics, read_summary
from latentdial.training.loop import Record

SAMPLES = "samples"
GOING = ".overwriting"  # while a run that is replaced goes
BEFORE_STEPS = {LOCK, GOING, CONFIG, METRICS, TIMES}  # what is written before the first step has been taken
LENGTH = ("epochs", "steps", "time_budget", "patience")
FREE = {
    "epochs",
    "steps",
    "checkpoint",
    "keep_checkpoint",
    "priors",
    "device",
    "memory",
    "track",
    "patience",
    "time_budget",
    "compile",
}
PATIENCE = 1.0  # seconds: `latentdial runs` takes the lock for an instant to see whether a run trains
CLOCK = ("seconds", "images_per_second")

Existing = Literal["refuse", "resume", "replace"]  # what becomes of a run that is there already


def check_folder(out: Path, config: RunConfig, existing: Existing) -> bool:
    """Refuse a directory that must not or cannot be written, before any work is done; nothing in it is touched.

    Returns whether there is a run to go on with.
    """
    resume = existing == "resume"
    exists = os.path.lexists(out / CONFIG) and not (resume and (out / GOING).exists())
    if exists and resume:
        saved = read_config(out)  # those of before kept the path of their pictures as it was given
        _same(replace(saved, data=replace(saved.data, source=lasting_source(saved.data.source))), config)
    elif exists and existing == "refuse":
        raise LatentdialError(f"{out} holds a run already: use --resume, --overwrite or another --out")
    elif not exists and out.exists() and _holds_other(out):
        raise LatentdialError(f"{out} exists and is no run: choose another --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LatentdialError(f"cannot write to {out} ({error.strerror}): choose another --out") from None
    if not os.access(out, os.W_OK):
        raise LatentdialError(f"cannot write to {out} (permission denied): choose another --out")
    return exists and resume


def _holds_other(out: Path) -> bool:
    """Whether a place holds something that is neither a run nor left by a process that was ended in its first file."""
    if not out.is_dir():
        return True
    names = {path.name for path in out.iterdir()}
    return GOING not in names and any(name != LOCK and not storage.is_unfinished(name) for name in names)


def nothing_left(out: Path, config: RunConfig) -> bool:
    """Whether a run is trained already as long as `config` asks for, and has no checkpoint to go on from.

    One that is finished and should train for longer is a LatentdialError, before anything in it is touched.
    """
    summary, saved = read_summary(out), read_config(out)
    if summary is None or summary.get("interrupted") or any((out / CHECKPOINTS).glob("step-*")):
        return False
    if any(getattr(saved.train, name) != getattr(config.train, name) for name in LENGTH):
        raise LatentdialError(
            f"{out} is finished and has no checkpoint to resume from: train it anew with --overwrite "
            "(--keep-checkpoint keeps those of a finished run)"
        )
    return True


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Only one process trains in a directory; the lock goes with the process, however it ends."""
    try:
        lock = FileLock(out / LOCK)
        with storage.explained(out / LOCK):
            lock.acquire(timeout=PATIENCE)
    except Timeout:
        raise LatentdialError(f"another process trains in {out}: wait for it, or choose another --out") from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def nothing_left_of_a_failure(out: Path, made: list[Path]) -> Iterator[None]:
    """Where training fails in its first step or before, its folder goes, and those of the `made` ones left empty.

    A folder that holds anything else stays as it is.
    """
    try:
        yield
    except BaseException:
        with suppress(OSError, LatentdialError):  # what is said is the failure
            held = list(out.iterdir())
            if not any(record.get("step") for record in read_metrics(out)) and all(map(_is_early, held)):
                for path in held:
                    storage.remove(path)
                for folder in made:
                    folder.rmdir()
        raise


def _is_early(path: Path) -> bool:
    return path.name in BEFORE_STEPS or storage.is_unfinished(path.name)


def not_there(out: Path) -> list[Path]:
    """The folder and those above it that are not there yet, the lowest first."""
    return [folder for folder in (out, *out.parents) if not folder.exists()]


def start_folder(out: Path, config: RunConfig, resuming: bool) -> None:
    """Write the configuration; a run that is overwritten goes only now, when its pictures are known to be there.

    A mark says that it goes, so that a process that is ended meanwhile leaves no half of a run that looks like one.
    """
    storage.sweep(out)
    if resuming:
        if not (out / SAMPLES).is_symlink():
            storage.sweep(out / SAMPLES)
        storage.remove(out / SUMMARY)
        storage.write(out / CONFIG, config.to_json())
        return
    storage.write(out / GOING, "")
    for path in out.iterdir():
        if path.name not in (LOCK, GOING):
            storage.remove(path)
    storage.write(out / CONFIG, config.to_json())
    storage.remove(out / GOING)


def append(out: Path, record: Record) -> None:
    """Write a record of terms, and what the clock says of it apart: the first repeats byte for byte, the second not."""
    terms = {name: value for name, value in record.items() if name not in CLOCK}
    _append(out / METRICS, terms)
    if record["split"] == "train":
        _append(out / TIMES, {"step": record["step"]} | {name: record[name] for name in CLOCK})


def keep_until(out: Path, step: int) -> None:
    """Drop the records written after `step`, which will be written again."""
    for path in (out / METRICS, out / TIMES):
        try:
            lines = storage.read_bytes(path, storage.MAX_LINES_BYTES).splitlines(keepends=True)
        except storage.Missing:
            continue
        storage.write(path, b"".join(line for line in lines if _until(line, step)))


def _until(line: bytes, step: int) -> bool:
    """Whether a line is a whole record of a step up to this one."""
    with suppress(ValueError):
        found = storage.parse_object(line).get("step")
        return line.endswith(b"\n") and isinstance(found, int) and found <= step
    return False


def _append(path: Path, record: Record) -> None:
    storage.append(path, json.dumps(record) + "\n")


def _same(saved: RunConfig, wanted: RunConfig) -> None:
    """A resumed run may train longer and write checkpoints differently; all else must be as it was."""
    for room in ("model", "geometry", "data", "train", "augment"):
        before, now = asdict(getattr(saved, room)), asdict(getattr(wanted, room))
        for name in before:
            if before[name] != now[name] and name not in FREE and now[name] != "auto":
                raise LatentdialError(
                    f"cannot resume: {name} was {before[name]!r} and is now {now[name]!r}; "
                    "give it as it was, or use another --out"
                )
