"""Arrays of pictures in a file: .npy, .npz and IDX, plain or gzipped; read block by block, never as objects."""

from __future__ import annotations

import gzip
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from latentdial.config import DataSettings, Geometry
from latentdial.errors import LatentdialError
from latentdial.images.cache import streamed
from latentdial.images.columns import columns_of
from latentdial.images.geometry import fit_arrays
from latentdial.images.listing import Listing
from latentdial.images.pictures import Pictures
from latentdial.images.types import Columns, ImageSet
from latentdial.progress import Progress

BLOCK_BYTES = 32_000_000
MAX_VALUES = 1 << 50
IDX_TYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
IMAGES = ("images", "pictures", "x", "arr_0")
DAMAGED = (OSError, EOFError, ValueError, KeyError, struct.error, zlib.error, zipfile.BadZipFile, MemoryError)


@dataclass(frozen=True)
class ArrayFile:
    """An array in a file: its header, and how to read its values in order."""

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype
    open: Callable[[], IO[bytes]]  # at the first value
    offset: int | None = None  # of the first value, where the file holds them as they are

    @property
    def picture(self) -> tuple[int, ...]:
        """(H, W, C) of one picture, whatever the order of its axes in the file."""
        if len(self.shape) == 3:
            return (*self.shape[1:], 1)
        return (*self.shape[2:], self.shape[1]) if self.channels_first else self.shape[1:]

    @property
    def channels_first(self) -> bool:
        return len(self.shape) == 4 and self.shape[-1] not in (1, 3, 4)

    def blocks(self, count: int) -> Iterator[np.ndarray]:
        """The first `count` pictures (N, H, W, C) as they are, some at a time."""
        size = prod(self.shape[1:]) * self.dtype.itemsize
        step = max(1, BLOCK_BYTES // size)
        with self.open() as file:
            for start in range(0, count, step):
                wanted = min(step, count - start)
                data = file.read(wanted * size)
                if len(data) < wanted * size:
                    raise EOFError("the file ends before its last picture")
                block = np.frombuffer(data, self.dtype).reshape(wanted, *self.shape[1:])
                yield block.transpose(0, 2, 3, 1) if self.channels_first else block.reshape(wanted, *self.picture)


def open_array(path: Path, data: DataSettings, geometry: Geometry, progress: Progress) -> ImageSet:
    """Open an array of pictures; damaged files, objects, wrong shapes and values out of range are a LatentdialError."""
    try:
        file, columns = _read_header(path)
        _check_shape(file)
        if geometry.colour == "keep":
            geometry = replace(geometry, colour="grey" if file.picture[-1] == 1 else "rgb")
        count = min(file.shape[0], data.limit or file.shape[0])
        listing = _listing(path, count, columns_of(columns, data, file.shape[0]).take(np.arange(count)))
        in_place = _in_place(file, count, geometry)
        pixels, index = streamed(listing, geometry, lambda: _fitted(file, count, geometry), progress, in_place)
    except DAMAGED as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise LatentdialError(
            f"{path} is no array of pictures ({reason}): give a folder of pictures, or uint8 (N, H, W, C)"
        ) from None
    return ImageSet(pixels, listing.names, index.table["hash"], geometry, listing.columns)


def _listing(path: Path, count: int, columns: Columns) -> Listing:
    status = path.stat()
    return Listing(
        source=str(path.resolve()),
        names=[f"{path.stem}[{i}]" for i in range(count)],
        stamps=np.tile(np.array([status.st_size, status.st_mtime_ns], np.int64), (count, 1)),
        locate=lambda name, i: name,
        columns=columns,
    )


def _read_header(path: Path) -> tuple[ArrayFile, dict[str, Any]]:
    with path.open("rb") as file:
        start = file.read(6)
    if start.startswith(b"\x93NUMPY"):
        return _npy(path), {}
    if start.startswith(b"PK"):
        return _npz(path)
    if start.startswith((b"\0\0", b"\x1f\x8b")):
        labels = path.with_name(path.name.replace("images", "labels").replace("idx3", "idx1").replace("idx4", "idx1"))
        pictures = _idx(path)
        beside = _idx(labels) if labels != path and labels.is_file() else None
        return pictures, {"label": _values(beside)} if beside and beside.shape == pictures.shape[:1] else {}
    raise ValueError("it is no .npy, .npz or IDX file")


def _npy(path: Path) -> ArrayFile:
    with path.open("rb") as file:
        shape, dtype = _npy_header(file)
        offset = file.tell()
    if prod(shape) * dtype.itemsize > path.stat().st_size - offset:
        raise ValueError(f"its header says {shape} {dtype} and the file is shorter")
    return ArrayFile(path, shape, dtype, lambda: _at(path, offset), offset)


def _npz(path: Path) -> tuple[ArrayFile, dict[str, Any]]:
    with zipfile.ZipFile(path) as archive:
        members = {name.removesuffix(".npy"): name for name in archive.namelist() if name.endswith(".npy")}
    files = {key: _npz_member(path, name) for key, name in members.items()}
    pictures = [key for key in IMAGES if key in files] or [key for key, file in files.items() if len(file.shape) > 2]
    if len(pictures) != 1 and not (pictures and pictures[0] in IMAGES):
        raise LatentdialError(f"{path} holds {', '.join(files)[:200]}: name the array of pictures 'images'")
    main = files[pictures[0]]
    beside = {key: file for key, file in files.items() if len(file.shape) == 1 and file.shape[0] == main.shape[0]}
    return main, {key: _values(file) for key, file in beside.items()}


def _npz_member(path: Path, name: str) -> ArrayFile:
    def opened() -> IO[bytes]:
        stream = zipfile.ZipFile(path).open(name)  # noqa: SIM115 - the caller closes it
        _npy_header(stream)
        return stream

    with zipfile.ZipFile(path) as archive, archive.open(name) as stream:
        shape, dtype = _npy_header(stream)
        if prod(shape) * dtype.itemsize > archive.getinfo(name).file_size:
            raise ValueError(f"the header of {name} says {shape} {dtype} and the data is shorter")
    return ArrayFile(path, shape, dtype, opened)


def _npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(file)
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which could run code")
    if fortran and len(shape) > 1:
        raise ValueError("it is in Fortran order; save np.ascontiguousarray of it")
    return shape, dtype


def _idx(path: Path) -> ArrayFile:
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"

    def opened() -> IO[bytes]:
        return cast(IO[bytes], gzip.open(path)) if zipped else path.open("rb")

    with opened() as header:
        zeros, kind, axes = struct.unpack(">HBB", header.read(4))
        if zeros or kind not in IDX_TYPES or not 1 <= axes <= 4:
            raise ValueError("it is no IDX file")
        shape = struct.unpack(f">{axes}I", header.read(4 * axes))
    dtype, offset = np.dtype(IDX_TYPES[kind]), 4 + 4 * axes
    if not zipped and prod(shape) * dtype.itemsize > path.stat().st_size - offset:
        raise ValueError(f"its header says {shape} {dtype} and the file is shorter")

    def at_values() -> IO[bytes]:
        file = opened()
        file.read(offset)
        return file

    return ArrayFile(path, shape, dtype, at_values, None if zipped else offset)


def _at(path: Path, offset: int) -> IO[bytes]:
    file = path.open("rb")
    file.seek(offset)
    return file


def _values(file: ArrayFile) -> np.ndarray:
    """A short array beside the pictures, such as their labels."""
    size = prod(file.shape) * file.dtype.itemsize
    with file.open() as stream:
        data = stream.read(size)
    if len(data) < size:
        raise EOFError("its labels end early")
    return np.frombuffer(data, file.dtype).reshape(file.shape)


def _check_shape(file: ArrayFile) -> None:
    shape = file.shape
    fits = len(shape) in (3, 4) and 0 < prod(shape) < MAX_VALUES and file.picture[-1] in (1, 3, 4)
    if not fits:
        raise LatentdialError(f"{file.path} has shape {shape}: pictures need (N, H, W), (N, H, W, C) or (N, C, H, W)")
    if file.dtype.kind not in "buif":
        raise LatentdialError(f"{file.path} holds {file.dtype} values: save uint8, or finite floats from 0 to 1")
    if prod(shape[1:]) * file.dtype.itemsize > 64 * BLOCK_BYTES:
        raise LatentdialError(f"one picture of {file.path} is {file.picture}: save pictures of a smaller size")


def _in_place(file: ArrayFile, count: int, geometry: Geometry) -> Pictures | None:
    """The file itself, mapped, where its pictures need no fitting."""
    wanted = (geometry.size, geometry.size, geometry.channels)
    if file.offset is None or file.dtype != np.uint8 or file.channels_first or file.picture != wanted:
        return None
    return Pictures.mapped(file.path, (file.shape[0], *wanted), file.offset).take(np.arange(count))


def _fitted(file: ArrayFile, count: int, geometry: Geometry) -> Iterator[np.ndarray]:
    ends = _black_and_white(file, geometry)
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for block in file.blocks(count):
            pixels = _as_bytes(file, block, ends)
            parts = np.array_split(pixels, min(len(pixels), os.cpu_count() or 1))
            yield np.concatenate(list(threads.map(lambda part: fit_arrays(part, geometry), parts)))


def _black_and_white(file: ArrayFile, geometry: Geometry) -> tuple[float, float]:
    """The values that stand for black and white, the same for every picture of the file whatever the limit."""
    if geometry.levels is not None:
        return geometry.levels[0], geometry.levels[1]
    if file.dtype.kind == "f":
        return 0.0, 1.0
    sixteen = file.dtype.kind == "u" and file.dtype.itemsize == 2
    return 0.0, 65535.0 if sixteen and any(block.max() > 255 for block in file.blocks(file.shape[0])) else 255.0


def _as_bytes(file: ArrayFile, block: np.ndarray, ends: tuple[float, float]) -> np.ndarray:
    """uint8 from uint8, bool, or numbers from black to white."""
    if block.dtype == np.uint8:
        return np.ascontiguousarray(block)
    if block.dtype == bool:
        return block.astype(np.uint8) * np.uint8(255)
    low, high = ends
    if not np.isfinite(block).all():
        raise LatentdialError(f"{file.path} holds values that are not finite (NaN or Inf): clean or remove them")
    if block.min() < low or block.max() > high:
        raise LatentdialError(
            f"{file.path} holds {block.dtype} values from {block.min():.4g} to {block.max():.4g}: "
            "save uint8, or floats from 0 to 1, or give --levels, such as [-1,1]"
        )
    return ((block - low) * (255 / (high - low))).round().astype(np.uint8)
