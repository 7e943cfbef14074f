"""The decode-once cache: fitted pictures in one mapped file, and an index of what they came from.

An entry is a directory: `pixels.u8` (rows of uint8 (H, W, C)), `index.npz` (replaced whole) and `manifest.json` (for
people). Rows are only ever added, so that a run which reads an entry is not disturbed by one that updates it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from platformdirs import user_cache_dir

from latentdial.config import Geometry
from latentdial.errors import LatentdialError
from latentdial.images.listing import Listing, Seen
from latentdial.images.pictures import Pictures, hashes_of
from latentdial.images.pool import decode_all
from latentdial.progress import Progress
from latentdial.storage import opened, read_json, updating, write_json, writing

FORMAT = 2
INDEX, PIXELS, MANIFEST = "index.npz", "pixels.u8", "manifest.json"
SAVE_SECONDS = 30.0
SPARE = 100_000_000  # bytes that stay free on the disk
SKIPPED, UNKNOWN = -1, -2  # in the column row
ORIGINAL = [("width", "<i4"), ("height", "<i4"), ("mode", "S8"), ("format", "S5")]
TABLE = np.dtype([("size", "<i8"), ("changed", "<i8"), ("row", "<i8"), ("hash", "<u8"), *ORIGINAL])


@dataclass
class Index:
    """Which file is in which row; `rows` are written in all, `said` holds reasons and notes by name."""

    names: list[str]
    table: np.ndarray  # (N,) of TABLE
    rows: int = 0
    said: dict[str, str] = field(default_factory=dict)
    seen: Seen = field(default_factory=Seen)

    def of(self, listing: Listing) -> Index:
        """The same for the files of a listing; those that are new or changed are UNKNOWN."""
        if self.names == listing.names:
            table = self.table.copy()
        else:
            place = {name: i for i, name in enumerate(self.names)}
            found = np.array([place.get(name, -1) for name in listing.names], np.int64)
            table = np.append(self.table, np.zeros(1, TABLE))[found]
            table["row"][found < 0] = UNKNOWN
        changed = (table["size"] != listing.stamps[:, 0]) | (table["changed"] != listing.stamps[:, 1])
        table["row"][changed] = UNKNOWN
        table["size"], table["changed"] = listing.stamps.T
        said = self.said
        if said and self.names != listing.names:
            kept = set(listing.names)
            said = {name: text for name, text in said.items() if name in kept}
        return Index(listing.names, table, self.rows, dict(said), listing.seen)

    def tells(self, listing: Listing) -> bool:
        """Whether the listing is the one that this was written for."""
        same = (self.names, self.seen) == (listing.names, listing.seen)
        return same and bool((self.stamps() == listing.stamps).all())

    def stamps(self) -> np.ndarray:
        """int64 (N, 2): size in bytes, and time of the last change in ns."""
        return np.stack([self.table["size"], self.table["changed"]], axis=1)


def cache_folder() -> Path:
    """Where latentdial keeps what it can make again: LATENTDIAL_CACHE, else the user's cache directory."""
    return Path(os.environ.get("LATENTDIAL_CACHE") or user_cache_dir("latentdial"))


def entry_folder(source: str, geometry: Geometry) -> Path:
    """The directory of a cache entry, named by its source and geometry."""
    key = json.dumps([FORMAT, source, asdict(geometry)])
    return cache_folder() / "sets" / hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:20]


def recall(source: str, geometry: Geometry) -> Index:
    """What the cache holds of a source, as it was at its last start."""
    return read_index(entry_folder(source, geometry), geometry.shape[1:] + geometry.shape[:1])


def decoded(
    listing: Listing, wanted: np.ndarray, geometry: Geometry, progress: Progress, workers: int | None = None
) -> tuple[Pictures | None, Index]:
    """All fitted pictures of the entry of a listing, None where there is none, and its index.

    Decodes the files at `wanted` (n,) that are new or changed.
    """
    folder, shape = entry_folder(listing.source, geometry), geometry.shape[1:] + geometry.shape[:1]
    held = read_index(folder, shape)
    index = held.of(listing)
    if (index.table["row"][wanted] == UNKNOWN).any():
        with locked(folder, progress):
            index = read_index(folder, shape).of(listing)
            _decode_missing(folder, index, wanted, listing, geometry, progress, workers)
    elif not held.tells(listing) and os.access(folder, os.W_OK):
        with locked(folder, progress):
            index = read_index(folder, shape).of(listing)
            write_index(folder, index, listing.source, geometry)
    if not index.rows:
        return None, index
    return Pictures.mapped(folder / PIXELS, (index.rows, *shape)), index


def streamed(
    listing: Listing,
    geometry: Geometry,
    blocks: Callable[[], Iterator[np.ndarray]],
    progress: Progress,
    in_place: Pictures | None = None,
) -> tuple[Pictures, Index]:
    """The pictures of an array, fitted block by block into the cache, or used in place where they fit already."""
    folder, shape = entry_folder(listing.source, geometry), geometry.shape[1:] + geometry.shape[:1]
    index = read_index(folder, shape if in_place is None else (0,)).of(listing)
    if (index.table["row"] == UNKNOWN).any():
        with locked(folder, progress):
            index = read_index(folder, shape if in_place is None else (0,)).of(listing)
            if (index.table["row"] == UNKNOWN).any():
                _store_blocks(folder, index, blocks(), in_place is None, progress)
                write_index(folder, index, listing.source, geometry)
    if in_place is not None:
        return in_place, index
    return Pictures.mapped(folder / PIXELS, (index.rows, *shape)).take(index.table["row"]), index


def _store_blocks(folder: Path, index: Index, blocks: Iterator[np.ndarray], keep: bool, progress: Progress) -> None:
    (folder / PIXELS).unlink(missing_ok=True)
    done = 0
    with updating(folder / PIXELS) as file:
        for block in blocks:
            if keep:
                _need_room(folder, block.nbytes)
                file.write(block.tobytes())
            index.table["hash"][done : done + len(block)] = hashes_of(block)
            done += len(block)
            progress("reading pictures", done, len(index.table))
    index.table["row"], index.rows = np.arange(done), done


@contextmanager
def locked(folder: Path, progress: Progress) -> Iterator[None]:
    """Hold the lock of a cache entry; a second builder waits here for the first."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{folder}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            progress("waiting for another process that decodes these pictures", 0, 1)
            lock.acquire()
    except OSError as error:
        raise LatentdialError(
            f"cannot write to the cache {folder.parent} ({error.strerror}): use --cache DIR"
        ) from None
    try:
        yield
    finally:
        lock.release()


def read_index(folder: Path, shape: tuple[int, ...]) -> Index:
    """The index of an entry; an empty one where there is none or where index and pixels do not fit each other."""
    try:
        with opened(folder / INDEX) as file, np.load(file, allow_pickle=False) as arrays:
            table, names = arrays["table"], arrays["names"].tobytes()
            about = json.loads(arrays["about"].tobytes())
        index = Index(
            os.fsdecode(names).split("\0"), table, about["rows"], about["said"], _as_seen(about.get("seen", {}))
        )
        whole = (folder / PIXELS).stat().st_size >= index.rows * int(np.prod(shape))
    except (LatentdialError, OSError, ValueError, KeyError, EOFError, TypeError, AttributeError, zipfile.BadZipFile):
        return Index([], np.zeros(0, TABLE))
    fits = table.dtype == TABLE and len(table) == len(index.names) and bool((table["row"] < index.rows).all())
    return index if whole and fits else Index([], np.zeros(0, TABLE))


def _as_seen(saved: dict[str, Any]) -> Seen:
    return Seen(**{name: [tuple(entry) for entry in entries] for name, entries in saved.items()})


def _decode_missing(
    folder: Path,
    index: Index,
    wanted: np.ndarray,
    listing: Listing,
    geometry: Geometry,
    progress: Progress,
    workers: int | None,
) -> None:
    """Decode what is wanted and UNKNOWN into new rows; it is saved from time to time and when interrupted."""
    todo = wanted[index.table["row"][wanted] == UNKNOWN]
    if index.rows > 2 * int((index.table["row"] >= 0).sum()) + len(todo):
        index.table["row"], index.rows, todo = UNKNOWN, 0, wanted
    if index.rows == 0:
        (folder / PIXELS).unlink(missing_ok=True)  # a run that reads the old file keeps it
    start, stride = index.rows, geometry.size**2 * geometry.channels
    make_room(folder, (start + len(todo)) * stride, len(todo) * stride)
    saved, changed = time.monotonic(), False
    index.rows = start + len(todo)

    def job(i: int) -> tuple[int, str | bytes]:
        return start + i, listing.locate(listing.names[todo[i]], int(todo[i]))

    try:
        for batch, replies in decode_all(len(todo), job, folder / PIXELS, geometry, workers):
            for i, reply in zip(batch, replies, strict=True):
                _note(index, int(todo[i]), start + i, reply)
            changed = True
            progress("reading pictures", batch.stop, len(todo))
            if time.monotonic() - saved > SAVE_SECONDS:
                write_index(folder, index, listing.source, geometry)
                saved = time.monotonic()
    finally:
        if changed:
            write_index(folder, index, listing.source, geometry)


def _note(index: Index, i: int, row: int, reply: dict[str, Any]) -> None:
    entry, name = index.table[i], index.names[i]
    index.said.pop(name, None)
    if "reason" in reply:
        index.said[name] = reply["reason"]
        entry["row"] = UNKNOWN if reply.get("passing") else SKIPPED
        return
    entry["row"], entry["hash"] = row, reply["hash"]
    for column in ("width", "height"):
        entry[column] = reply[column]
    for column in ("mode", "format"):
        entry[column] = reply[column].encode("ascii", "replace")
    if reply["note"]:
        index.said[name] = reply["note"]


def make_room(folder: Path, size: int, more: int) -> None:
    """Give the pixel file its size, where the disk has room for what is to come."""
    _need_room(folder, more)
    with updating(folder / PIXELS) as file:
        file.truncate(size)


def _need_room(folder: Path, more: int) -> None:
    free = shutil.disk_usage(folder).free
    if more + SPARE > free:
        raise LatentdialError(
            f"the cache {folder.parent} needs {more / 1e9:.1f} GB and its disk has {free / 1e9:.1f}: use --cache DIR"
        )


def write_index(folder: Path, index: Index, source: str, geometry: Geometry) -> None:
    """Write index and manifest, each whole or not at all, after the pixels they speak of."""
    with updating(folder / PIXELS) as pixels:
        os.fsync(pixels.fileno())
    about = json.dumps({"rows": index.rows, "said": index.said, "seen": asdict(index.seen)}).encode()
    arrays: dict[str, Any] = {
        "table": index.table,
        "names": np.frombuffer(os.fsencode("\0".join(index.names)), np.uint8),
        "about": np.frombuffer(about, np.uint8),
    }
    with writing(folder / INDEX) as file:
        np.savez(file, **arrays)
    write_manifest(folder, source, geometry, index)


def write_manifest(folder: Path, source: str, geometry: Geometry, index: Index) -> None:
    """What the entry holds, for people and for `latentdial cache list`."""
    manifest = {
        "format": FORMAT,
        "source": os.fsencode(source).decode("utf-8", "replace"),
        "geometry": asdict(geometry),
        "pictures": int((index.table["row"] >= 0).sum()),
        "skipped": int((index.table["row"] == SKIPPED).sum()),
        "written": time.strftime("%Y-%m-%d %H:%M:%S"),
    }
    write_json(folder / MANIFEST, manifest)


@dataclass(frozen=True)
class Entry:
    """One entry of the cache."""

    folder: Path
    source: str
    pictures: int
    skipped: int
    size: int
    colour: str
    bytes: int
    written: str


def cache_entries() -> list[Entry]:
    """What the cache holds, the newest first."""
    found = []
    for path in (cache_folder() / "sets").glob(f"*/{MANIFEST}"):
        try:
            held = read_json(path)
            geometry = held["geometry"]
            entry = Entry(
                path.parent,
                held["source"],
                held["pictures"],
                held["skipped"],
                geometry["size"],
                geometry["colour"],
                sum(file.stat().st_blocks * 512 for file in path.parent.iterdir()),
                held["written"],
            )
        except (LatentdialError, OSError, ValueError, KeyError, TypeError):
            continue
        found.append(entry)
    return sorted(found, key=lambda entry: entry.written, reverse=True)


def clear_cache() -> tuple[int, int]:
    """Remove all decoded sets that nobody is building; returns how many and their bytes."""
    count = freed = 0
    for folder in sorted(path for path in (cache_folder() / "sets").glob("*") if path.is_dir()):
        lock = FileLock(f"{folder}.lock")
        try:
            with lock.acquire(timeout=0):
                freed += sum(file.stat().st_blocks * 512 for file in folder.iterdir())
                shutil.rmtree(folder)
                count += 1
        except Timeout:
            continue
    return count, freed
