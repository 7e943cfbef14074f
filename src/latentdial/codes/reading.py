"""Codes on disk: shards of float32 .npy with their names, and the manifest that says what they are of."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np

from latentdial import storage
from latentdial.errors import LatentdialError
from latentdial.texts import Brief, command

FORMAT = 1
JOB, MANIFEST = "job.json", "manifest.json"
MAX_JSON_BYTES, MAX_VALUES = 200_000_000, 5_000_000
REMEDY = "remove it and encode again"
HEADER = 4096  # bytes of a shard's file that are not codes, at most
NAME_BYTES = 8192  # of a picture's name in JSON, at most
LIMITS = {"rows": 10**12, "shard_rows": 10**8, "latent": 10**7}

Job = dict[str, Any]
"""What codes are of: model and pictures by digest, data, geometry, precision, rows, shard_rows and latent."""


def codes_file(shard: int) -> str:
    """The file of the codes of a shard."""
    return f"codes-{shard:05d}.npy"


def names_file(shard: int) -> str:
    """The file of the names and labels of a shard."""
    return f"names-{shard:05d}.json"


def shard_span(job: Job, shard: int) -> range:
    """The rows of a shard."""
    return range(job["rows"])[shard * job["shard_rows"] : (shard + 1) * job["shard_rows"]]


def shard_count(job: Job) -> int:
    """How many shards there are."""
    return -(-job["rows"] // job["shard_rows"])


def shard_bytes(job: Job, shard: int) -> int:
    """The most bytes that the codes of a shard take in their file."""
    return 4 * len(shard_span(job, shard)) * job["latent"] + HEADER


def names_bytes(job: Job, shard: int) -> int:
    """The most bytes that the names and labels of a shard take in their file."""
    return 10_000 + NAME_BYTES * len(shard_span(job, shard))


def digest_of(path: Path, most: int | None = None) -> str:
    """SHA-256 of a file of at most so many bytes."""
    with storage.opened(path, most, REMEDY) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True, repr=False)
class Codes(Brief):
    """The codes of N pictures, (N, D) float32: `codes[index]` reads just the rows asked for."""

    folder: Path
    job: Job
    label_names: list[str]
    checksums: list[tuple[str, str]]  # SHA-256 of the codes and of the names of every shard

    @property
    def shape(self) -> tuple[int, int]:
        return self.job["rows"], self.job["latent"]

    def __len__(self) -> int:
        return self.job["rows"]

    def __getitem__(self, index: Any) -> np.ndarray:
        if isinstance(index, int | np.integer):
            return self[[index]][0]
        rows = np.array(range(len(self))[index]) if isinstance(index, slice) else np.asarray(index)
        if rows.dtype == bool:
            rows = np.flatnonzero(rows)
        if rows.size and not -len(self) <= rows.min() <= rows.max() < len(self):
            raise IndexError(f"there are {len(self)} codes")
        rows = rows.astype(np.int64) % len(self)
        found = np.empty((*rows.shape, self.shape[1]), np.float32)
        shards = rows // self.job["shard_rows"]
        for shard in np.unique(shards):
            chosen = shards == shard
            found[chosen] = self.shard(int(shard))[rows[chosen] - shard * self.job["shard_rows"]]
        return found

    def parts(self) -> Iterator[tuple[np.ndarray, list[str]]]:
        """Shard by shard: codes (n, D), mapped from the file, and the names of their pictures."""
        for shard in range(shard_count(self.job)):
            yield self.shard(shard), self._about(shard)["names"]

    @cached_property
    def names(self) -> list[str]:
        """The name of every picture."""
        return [name for shard in range(shard_count(self.job)) for name in self._about(shard)["names"]]

    @cached_property
    def labels(self) -> np.ndarray | None:
        """(N,) index into label_names; None where the pictures have no labels."""
        if not self.label_names:
            return None
        found = [self._about(shard)["labels"] for shard in range(shard_count(self.job))]
        return np.concatenate([np.asarray(labels, np.int64) for labels in found])

    def shard(self, shard: int) -> np.ndarray:
        """The codes of one shard, mapped from its file; one that does not fit the manifest is a LatentdialError."""
        path = self.folder / codes_file(shard)
        storage.opened(path, shard_bytes(self.job, shard), REMEDY).close()
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, OSError, EOFError, OverflowError, SyntaxError, TokenError) as error:
            raise _broken(path, str(error)) from None
        if array.shape != (len(shard_span(self.job, shard)), self.shape[1]) or array.dtype != np.float32:
            raise _broken(path, f"it holds {array.dtype} {array.shape}")
        return array

    def check(self) -> None:
        """Compare every file with its checksum; one that differs is a LatentdialError."""
        for shard, wanted in enumerate(self.checksums):
            files = {codes_file(shard): shard_bytes(self.job, shard), names_file(shard): names_bytes(self.job, shard)}
            for (name, most), digest in zip(files.items(), wanted, strict=True):
                if digest_of(self.folder / name, most) != digest:
                    raise _broken(self.folder / name, "its checksum differs")

    def _about(self, shard: int) -> dict[str, Any]:
        return read_names(self.folder, self.job, shard)


def read_codes(folder: str | Path) -> Codes:
    """Open what `latentdial encode` wrote: the codes (N, D) of an image set, read when indexed, with their names.

    A folder that is not complete, or whose manifest does not fit, is a LatentdialError. No code in it is run.

    >>> codes = read_codes("codes/")  # doctest: +SKIP
    >>> codes[:1000].mean(0), codes.names[0]  # doctest: +SKIP
    """
    path = Path(folder) / MANIFEST
    if not path.exists():
        raise LatentdialError(
            f"{folder} holds no complete codes: run {command('encode', 'RUN', 'DATA', '--out', folder)} to its end"
        )
    found = read_json(path, MAX_JSON_BYTES)
    try:
        job = check_job(found["job"])
        sums = [(str(one["codes"]), str(one["names"])) for one in found["shards"]]
        spans = [range(one["start"], one["start"] + one["rows"]) for one in found["shards"]]
        names = found["label_names"]
    except (KeyError, TypeError, ValueError) as error:
        raise _broken(path, f"{type(error).__name__}: {error}") from None
    if len(spans) != shard_count(job) or any(span != shard_span(job, i) for i, span in enumerate(spans)):
        raise _broken(path, "its shards do not make up its rows")
    if not all(re.fullmatch("[0-9a-f]{64}", one) for pair in sums for one in pair):
        raise _broken(path, "a checksum is none")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise _broken(path, "its label names are no list of names")
    return Codes(Path(folder), job, names, sums)


def check_job(job: Any) -> Job:
    """What codes are of, as read from JSON; a ValueError where it is not as `latentdial encode` writes it."""
    if not isinstance(job, dict) or job.get("format") != FORMAT:
        raise ValueError(f"this version reads format {FORMAT}")
    for name, most in LIMITS.items():
        if type(job.get(name)) is not int or not 1 <= job[name] <= most:
            raise ValueError(f"{name} {str(job.get(name))[:30]} is out of range")
    return job


def read_names(folder: Path, job: Job, shard: int) -> dict[str, Any]:
    """The names and labels of a shard; a file that does not fit is a LatentdialError."""
    path, count = folder / names_file(shard), len(shard_span(job, shard))
    about = read_json(path, names_bytes(job, shard))
    names, labels = about.get("names"), about.get("labels")
    if not isinstance(names, list) or len(names) != count or not all(isinstance(name, str) for name in names):
        raise _broken(path, "it does not name every picture")
    numbered = labels is None or (
        isinstance(labels, list) and len(labels) == count and all(type(label) is int for label in labels)
    )
    if not numbered:
        raise _broken(path, "it does not label every picture")
    return about


def read_json(path: Path, most: int) -> dict[str, Any]:
    """The JSON object of a file of at most so many bytes; else a LatentdialError."""
    return storage.read_json(path, most, REMEDY, MAX_VALUES)


def _broken(path: Path, reason: str) -> LatentdialError:
    reason = " ".join(reason.split())[:200]
    return LatentdialError(f"{path} is not as latentdial encode writes it ({reason}): {REMEDY}")
