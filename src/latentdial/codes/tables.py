"""Codes as people hand them on: a folder of `encode`, a CSV, an array or a tensor, read some at a time."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import numpy as np

from latentdial import storage
from latentdial.codes.reading import read_codes
from latentdial.errors import LatentdialError
from latentdial.texts import command

ENDINGS = (".csv", ".npy", ".safetensors")
FEW = 512  # codes read at once
REMEDY = "give codes as rows of numbers"
Batch = tuple[list[str], np.ndarray]


@dataclass(frozen=True)
class CodeTable:
    """Codes of D numbers: `batches` gives names, and float32 (n, D); of a CSV, `rows` is None."""

    latent: int
    rows: int | None
    batches: Callable[[], Iterator[Batch]]


def open_codes(path: str | Path) -> CodeTable:
    """Codes from a folder of `latentdial encode`, or a .csv, .npy or .safetensors file of rows of numbers.

    A CSV may have a head, and names in its first column; a safetensors file holds one matrix, or one named `codes`.
    Anything else, and numbers that are not finite, are a LatentdialError.
    """
    path = Path(path)
    if path.is_dir():
        codes = read_codes(path)
        return CodeTable(codes.shape[1], len(codes), lambda: _cut(codes.parts()))
    kind = path.suffix.lower()
    if kind not in ENDINGS:
        raise LatentdialError(f"{path} holds no codes: give a folder of encode, or a file in {', '.join(ENDINGS)}")
    if not path.is_file():
        making = command("encode", "RUN", "DATA", "--out", path.with_suffix(""))
        raise LatentdialError(f"there are no codes at {path}: {making} makes some")
    return _from_csv(path) if kind == ".csv" else _from_array(path, _array(path))


def _array(path: Path) -> np.ndarray:
    if path.suffix.lower() == ".npy":
        storage.opened(path, None, REMEDY).close()
        try:
            return np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise _refused(path, str(error)) from None
    shapes = storage.tensor_shapes(path, REMEDY)
    matrices = [name for name, shape in shapes.items() if len(shape) == 2]
    name = "codes" if "codes" in matrices else matrices[0] if len(matrices) == 1 else None
    if name is None:
        raise _refused(path, f"it holds {len(matrices)} matrices and none is named codes")
    return storage.read_tensors(path, {each: tuple(shape) for each, shape in shapes.items()}, remedy=REMEDY)[name]


def _from_array(path: Path, array: np.ndarray) -> CodeTable:
    if array.ndim != 2 or array.dtype.kind not in "fiu" or not array.size:
        raise _refused(path, f"it holds {array.dtype} {array.shape}")
    names = (f"{i:06d}" for i in range(len(array)))
    parts = ((list(islice(names, FEW)), array[i : i + FEW]) for i in range(0, len(array), FEW))
    return CodeTable(array.shape[1], len(array), lambda: (_finite(path, some, part) for some, part in parts))


def _from_csv(path: Path) -> CodeTable:
    """Read twice: a first look says how many numbers a row has."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        start = list(islice(_rows(path, file), 2))
    if not start:
        raise _refused(path, "it is empty")
    named = not _number(start[-1][0])
    latent = len(start[-1]) - named
    if not latent:
        raise _refused(path, "its rows have no numbers")
    return CodeTable(latent, None, lambda: _csv_batches(path, latent, named))


def _csv_batches(path: Path, latent: int, named: bool) -> Iterator[Batch]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows, done = _rows(path, file), 0
        first = next(rows)
        if all(map(_number, first[named:])):
            rows = chain([first], rows)
        while some := list(islice(rows, FEW)):
            if odd := next(
                (row for row in some if len(row) != latent + named or not all(map(_number, row[named:]))), None
            ):
                raise _refused(path, f"a row is not {latent} numbers: {','.join(odd)[:60]}")
            names = [row[0] if named else f"{done + i:06d}" for i, row in enumerate(some)]
            done += len(some)
            yield _finite(path, names, np.array([row[named:] for row in some], np.float64))
        if not done:
            raise _refused(path, "it holds no row of numbers")


def _rows(path: Path, file: Iterable[str]) -> Iterator[list[str]]:
    try:
        yield from (row for row in csv.reader(file) if row)
    except (csv.Error, UnicodeDecodeError) as error:
        raise _refused(path, str(error)) from None


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _cut(parts: Iterator[tuple[np.ndarray, list[str]]]) -> Iterator[Batch]:
    for codes, names in parts:
        for i in range(0, len(names), FEW):
            yield names[i : i + FEW], np.array(codes[i : i + FEW])


def _finite(path: Path, names: list[str], codes: np.ndarray) -> Batch:
    with np.errstate(over="ignore"):
        small = np.asarray(codes, np.float32)
    if not np.isfinite(small).all():
        raise _refused(path, "it holds numbers that are not finite")
    return names, small


def _refused(path: Path, reason: str) -> LatentdialError:
    return LatentdialError(f"cannot read codes from {path} ({' '.join(reason.split())[:160]}): {REMEDY}")
