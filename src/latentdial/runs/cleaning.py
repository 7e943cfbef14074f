"""What runs hold that nobody needs any more: checkpoints of finished ones, and files that were left half written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from latentdial import storage
from latentdial.errors import LatentdialError
from latentdial.runs.listing import find_runs
from latentdial.runs.records import LOCK, MODEL, read_summary

CHECKPOINTS = "checkpoint"


@dataclass(frozen=True)
class Waste:
    """Something in a run that can go, and its bytes on the disk."""

    run: str
    path: Path
    what: str
    bytes: int


def waste(folder: str | Path) -> list[Waste]:
    """What can go from all runs in or below a directory; no run at all is a LatentdialError.

    Runs that train are left alone, and so are checkpoints of runs that are not finished: --resume needs them.
    """
    root = Path(folder)
    runs = find_runs(root)
    if not runs:
        raise LatentdialError(f"there are no runs in {folder}: give a directory with runs in it")
    found = []
    for run in runs:
        with _held(run) as free:
            found += [Waste(str(run), path, what, _size(path)) for path, what in _waste_of(run) if free]
    return found


def remove_waste(found: list[Waste]) -> None:
    """Remove what `waste` has found, but not from a run that trains by now."""
    for one in found:
        with _held(Path(one.run)) as free:
            if free:
                storage.remove(one.path)


def _waste_of(run: Path) -> Iterator[tuple[Path, str]]:
    summary, checkpoints = read_summary(run), run / CHECKPOINTS
    finished = summary is not None and not summary.get("interrupted") and (run / MODEL).is_file()
    if finished and checkpoints.is_dir() and not checkpoints.is_symlink():
        yield checkpoints, "checkpoints of a finished run"
    for path in sorted(run.iterdir()):
        if storage.is_unfinished(path.name):
            yield path, "left half written or half removed"


@contextmanager
def _held(run: Path) -> Iterator[bool]:
    """Whether nobody trains in a run, which stays so within the block."""
    if not (run / LOCK).is_file() or (run / LOCK).is_symlink():
        yield True
        return
    lock = FileLock(run / LOCK)
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError):
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def _size(path: Path) -> int:
    """Bytes on the disk of a file or a folder; a file with two names counts once."""
    files = [path, *path.rglob("*")] if path.is_dir() and not path.is_symlink() else [path]
    held = {}
    for file in files:
        with suppress(OSError):
            found = file.lstat()
            held[found.st_ino] = found.st_blocks * 512
    return sum(held.values())
