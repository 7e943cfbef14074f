"""The directory of a run that is being trained: whether it may be written, who writes it, and its records."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from filelock import FileLock, Timeout

from latentdial.config import RunConfig
from latentdial.errors import LatentdialError
from latentdial.runs.loading import CONFIG, LOCK, METRICS, SUMMARY, TIMES, read_config
from latentdial.training.loop import Record

FREE = {"epochs", "steps", "checkpoint", "device", "memory", "track", "patience", "time_budget", "compile"}
PATIENCE = 1.0  # seconds: `latentdial runs` takes the lock for an instant to see whether a run trains
CLOCK = ("seconds", "images_per_second")


def check_folder(out: Path, config: RunConfig, resume: bool, overwrite: bool) -> bool:
    """Refuse a directory that must not or cannot be written, before any work is done; nothing in it is touched.

    Returns whether there is a run to go on with.
    """
    exists = (out / CONFIG).exists()
    if exists and resume:
        _same(read_config(out), config)
    elif exists and not overwrite:
        raise LatentdialError(f"{out} holds a run already: use --resume, --overwrite or another --out")
    elif not exists and out.exists() and (not out.is_dir() or {p.name for p in out.iterdir()} - {LOCK}):
        raise LatentdialError(f"{out} exists and is no run: choose another --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LatentdialError(f"cannot write to {out} ({error.strerror}): choose another --out") from None
    if not os.access(out, os.W_OK):
        raise LatentdialError(f"cannot write to {out} (permission denied): choose another --out")
    return exists and resume


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Only one process trains in a directory; the lock goes with the process, however it ends."""
    lock = FileLock(out / LOCK)
    try:
        lock.acquire(timeout=PATIENCE)
    except Timeout:
        raise LatentdialError(f"another process trains in {out}: wait for it, or choose another --out") from None
    try:
        yield
    finally:
        lock.release()


def start_folder(out: Path, config: RunConfig, resuming: bool) -> None:
    """Write the configuration; a run that is overwritten goes only now, when its pictures are known to be there."""
    if resuming:
        (out / SUMMARY).unlink(missing_ok=True)
    else:
        for path in out.iterdir():
            if path.name != LOCK:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    write(out / CONFIG, config.to_json())


def append(out: Path, record: Record) -> None:
    """Write a record of terms, and what the clock says of it apart: the first repeats byte for byte, the second not."""
    terms = {name: value for name, value in record.items() if name not in CLOCK}
    _append(out / METRICS, terms)
    if record["split"] == "train":
        _append(out / TIMES, {"step": record["step"]} | {name: record[name] for name in CLOCK})


def keep_until(out: Path, step: int) -> None:
    """Drop the records written after `step`, which will be written again."""
    for path in (out / METRICS, out / TIMES):
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
        kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
        write(path, "".join(kept))


def write(path: Path, data: str | bytes | memoryview) -> None:
    """Write a file whole or not at all, also where several processes write the same; text as UTF-8."""
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with unfinished.open("wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise LatentdialError(
            f"cannot write {path} ({error.strerror}): make room, and let one command at a time write there"
        ) from None


def _append(path: Path, record: Record) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")


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
