"""The one writer and the one checked reader of every file of a run.

A file is written whole or not at all, under a random name of its own that takes the place of the old one at the end,
and through no link. A file is read without following a link, without waiting for a pipe, and within stated bounds.
"""

from __future__ import annotations

import errno
import json
import math
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from latentdial.errors import LatentdialError

REMEDY = "restore it or train the run again"
MAX_JSON_BYTES = 1_000_000
MAX_LINES_BYTES = 16_000_000
MAX_HEADER_BYTES = 1_000_000
MAX_COPIED_BYTES = 32_000_000  # of a file that holds no arrays
MAX_VALUES = 1_000_000  # in one JSON file
MAX_LINES, MAX_LINE_VALUES = 100_000, 10_000
DEPTH = 20  # of JSON in JSON
LARGEST = 1e15  # of a number of an array: its square, summed over a picture, is finite in float32
DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "U8": "<u1", "BOOL": "?"}
NAMES = {np.dtype(kind): name for name, kind in DTYPES.items()}
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
IN_THE_WAY = {errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENXIO}
UNFINISHED = re.compile(r"\..*\.[0-9a-f]{16}\.part")

Shape = Sequence[int]


class Missing(LatentdialError):
    """A file that is not there at all."""


# writing --------------------------------------------------------------------------------------------------------------


def write(path: Path, data: str | bytes | memoryview, root: Path | None = None) -> None:
    """Write a file whole or not at all; text as UTF-8.

    Folders between `root` and the file are made where they are missing and may be no links. A full disk, and whatever
    else keeps the file from being written, is a LatentdialError, and the old file stays.
    """
    with writing(path, root) as file:
        file.write(data.encode() if isinstance(data, str) else data)


def write_json(path: Path, value: Any, root: Path | None = None) -> None:
    """Write a JSON object that `read_json` reads back; a number that is not finite is a ValueError."""
    write(path, json.dumps(value, indent=1, allow_nan=False) + "\n", root)


def save_tensors(
    path: Path, arrays: Mapping[str, Any], metadata: Mapping[str, str] | None = None, root: Path | None = None
) -> None:
    """Write arrays, or tensors of the CPU, as safetensors: the same bytes for the same arrays, none held twice."""
    ordered = [(name, np.ascontiguousarray(array)) for name, array in sorted(arrays.items())]
    ordered.sort(key=lambda pair: -pair[1].dtype.itemsize)  # so that all are aligned
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name, array in ordered:
        begin, end = end, end + array.nbytes
        shape = list(np.shape(arrays[name]))
        header[name] = {"dtype": NAMES[array.dtype], "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with writing(path, root) as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _, array in ordered:
            file.write(array.reshape(-1).view(np.uint8).data)


@contextmanager
def writing(path: Path, root: Path | None = None) -> Iterator[BinaryIO]:
    """A new file that takes the place of `path` when the block has ended well; as `write` for what writes by itself."""
    name = f".{path.name[:40]}.{secrets.token_hex(8)}.part"
    with explained(path), _folder(path.parent, root) as folder:
        _need_file_or_nothing(path, folder)
        descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666, dir_fd=folder)
        try:
            with _closing(descriptor) as file:
                yield file
                file.flush()
                os.fsync(descriptor)
            os.replace(name, path.name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with suppress(OSError):
                os.unlink(name, dir_fd=folder)
            raise
        _sync_folder(folder)


@contextmanager
def updating(path: Path) -> Iterator[BinaryIO]:
    """A file that is changed in place, made where it is missing: what is too large to be written anew each time."""
    with explained(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(errno.ENXIO, "")
        with _closing(descriptor) as file:
            yield file


def append(path: Path, text: str) -> None:
    """Add text to the end of a file, all of it or nothing; errors as for `write`."""
    data = text.encode()
    with explained(path):
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(path, flags, 0o666)
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise OSError(errno.ENXIO, "")
            try:
                while data:
                    data = data[os.write(descriptor, data) :]
            except OSError:
                with suppress(OSError):
                    os.ftruncate(descriptor, found.st_size)
                raise
        finally:
            os.close(descriptor)


def sync(path: Path) -> None:
    """Wait until a file or a folder is on the disk; nothing where it is missing."""
    with explained(path), suppress(FileNotFoundError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            _sync_folder(descriptor)
        finally:
            os.close(descriptor)


def new_folder(path: Path, root: Path) -> Path:
    """A folder in `root`, made where it is missing; a link or a file in its place is a LatentdialError."""
    with explained(path), _folder(path, root):
        return path


def replace_folder(fresh: Path, final: Path) -> None:
    """Put a folder that is whole in the place of another, which goes."""
    with explained(final):
        old = _aside(final)
        os.rename(fresh, final)
        sync(final.parent)
        if old is not None:
            shutil.rmtree(old, ignore_errors=True)


def remove(path: Path) -> None:
    """Remove a file, a link or a whole folder; a folder is gone at once, though its room may be freed later."""
    with explained(path, "remove"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(_aside(path) or path)
        else:
            path.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Take away what processes that were killed have left half written in a folder that no other process writes."""
    for path in list(folder.iterdir()) if folder.is_dir() else []:
        if is_unfinished(path.name):
            remove(path)


def is_unfinished(name: str) -> bool:
    """Whether a name is one of those under which files are written before they are whole."""
    return UNFINISHED.fullmatch(name) is not None


def _aside(folder: Path) -> Path | None:
    """The new name, one that `sweep` knows, of a folder that is about to go; None where there is none."""
    name = folder.with_name(f".{folder.name[:40]}.{secrets.token_hex(8)}.part")
    try:
        os.rename(folder, name)
    except FileNotFoundError:
        return None
    return name


@contextmanager
def _closing(descriptor: int) -> Iterator[BinaryIO]:
    """A file that is closed in any case; what is wrong with closing it is not told over what was wrong before."""
    file = os.fdopen(descriptor, "w+b")
    try:
        yield file
    except BaseException:
        with suppress(OSError):
            file.close()
        raise
    file.close()


@contextmanager
def _folder(path: Path, root: Path | None) -> Iterator[int]:
    """A descriptor of a folder that is reached from `root` through no link, and made where it is missing."""
    start, parts = (path, ()) if root is None else (root, path.relative_to(root).parts)
    descriptor = os.open(start, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in parts:
            with suppress(FileExistsError):
                os.mkdir(part, dir_fd=descriptor)
            deeper = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = deeper
        yield descriptor
    finally:
        os.close(descriptor)


def _need_file_or_nothing(path: Path, folder: int) -> None:
    """A device, a pipe or a folder is not replaced, also not one that a link names."""
    try:
        found = os.stat(path.name, dir_fd=folder)
    except OSError:
        return
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.ENXIO, "")


def _sync_folder(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:  # file systems that cannot
            raise


@contextmanager
def explained(path: Path, what: str = "write") -> Iterator[None]:
    """What keeps a file from being written, as one line that names the remedy."""
    try:
        yield
    except TimeoutError:
        raise
    except OSError as error:
        reason, remedy = error.strerror or str(error), "check the path and who may write there"
        if error.errno in FULL:
            reason, remedy = "the disk is full", "free some space; what was there before was kept"
        elif error.errno in IN_THE_WAY:
            reason, remedy = "something that is no plain file or folder is in its way", "remove it"
        raise LatentdialError(f"cannot {what} {path} ({reason}): {remedy}") from None


# reading --------------------------------------------------------------------------------------------------------------


def opened(path: Path, most: int | None = None, remedy: str = REMEDY) -> BufferedReader:
    """A regular file of at most so many bytes, open for reading; a link, a pipe or a larger one is refused."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise Missing(f"{path} is missing: {remedy}") from None
    except (OSError, ValueError) as error:
        reason = "it is a link" if getattr(error, "errno", 0) == errno.ELOOP else getattr(error, "strerror", error)
        raise _broken(path, str(reason), remedy) from None
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode) and (most is None or found.st_size <= most):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    reason = f"it is larger than {most} bytes" if stat.S_ISREG(found.st_mode) else "it is no regular file"
    raise _broken(path, reason, remedy)


def read_bytes(path: Path, most: int, remedy: str = REMEDY) -> bytes:
    """All of a regular file of at most so many bytes."""
    with opened(path, most, remedy) as file:
        try:
            return file.read(most)
        except OSError as error:
            raise _broken(path, str(error.strerror), remedy) from None


def read_json(path: Path, most: int = MAX_JSON_BYTES, remedy: str = REMEDY, values: int = MAX_VALUES) -> dict[str, Any]:
    """The JSON object of a file of at most so many bytes and values, numbers finite and below 2**63.

    Whether it has the right keys is for the caller to check (`need`). A missing file is `Missing`, anything else that
    is wrong another LatentdialError.
    """
    try:
        return _object(read_bytes(path, most, remedy), values)
    except (ValueError, RecursionError) as error:
        raise _broken(path, str(error), remedy) from None


def copy(path: Path, to: Path, remedy: str = REMEDY) -> None:
    """Copy a regular file of a run: not what a link names, and of arrays only what the header says of them."""
    arrays = to.suffix == ".safetensors"
    with opened(path, None if arrays else MAX_COPIED_BYTES, remedy) as file, _reading(path, remedy):
        if arrays:
            header, _, start = _header(file, MAX_HEADER_BYTES)
            _check_offsets(header, os.fstat(file.fileno()).st_size - start)
            file.seek(0)
        with writing(to) as copied:
            shutil.copyfileobj(file, copied)


def read_lines(path: Path, most: int = MAX_LINES_BYTES) -> list[dict[str, Any]]:
    """The JSON objects of a file, one a line; lines that are none, such as one being written, are left out."""
    records = []
    for line in read_bytes(path, most).splitlines()[:MAX_LINES]:
        with suppress(ValueError, RecursionError):
            records.append(_object(line, MAX_LINE_VALUES))
    return records


def parse_object(text: str | bytes, values: int = MAX_VALUES) -> dict[str, Any]:
    """A JSON object within the bounds of `read_json`; anything else is a ValueError."""
    try:
        return _object(text.encode() if isinstance(text, str) else text, values)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def need(record: Mapping[str, Any], kinds: Mapping[str, type | tuple[type, ...]]) -> None:
    """Check that a record has these keys with values of these types; else a ValueError that names the first odd one.

    >>> need({"rows": 3, "name": "x"}, {"rows": int, "name": (str, type(None))})
    """
    for name, wanted in kinds.items():
        value, types = record.get(name), wanted if isinstance(wanted, tuple) else (wanted,)
        number = type(value) is int and float in types
        if name not in record or not (type(value) in types or number):
            raise ValueError(f"{name} is {'missing' if name not in record else repr(value)[:40]}")


def tensor_shapes(path: Path, remedy: str = REMEDY, most: int = MAX_HEADER_BYTES) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor that a safetensors file says it has, read before anything is allocated."""
    with opened(path, None, remedy) as file, _reading(path, remedy):
        return {name: tuple(entry["shape"]) for name, entry in _header(file, most)[0].items()}


def tensor_metadata(path: Path, remedy: str = REMEDY, most: int = MAX_HEADER_BYTES) -> dict[str, str]:
    """The texts that `save_tensors` wrote beside the arrays."""
    with opened(path, None, remedy) as file, _reading(path, remedy):
        return _header(file, most)[1]


def read_tensors(
    path: Path,
    shapes: Mapping[str, Shape] | None,
    dtypes: Mapping[str, str] | None = None,
    most: int | None = None,
    remedy: str = REMEDY,
    most_header: int = MAX_HEADER_BYTES,
) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file that must hold just these names and shapes, float32 unless `dtypes` says else.

    All values must be finite and within `LARGEST`. With `shapes` None any arrays are taken, of at most `most` bytes.
    """
    with opened(path, most, remedy) as file, _reading(path, remedy):
        header, _, start = _header(file, most_header)
        if shapes is not None:
            _check_shapes(header, shapes, dtypes or {})
        _check_offsets(header, os.fstat(file.fileno()).st_size - start)
        return {name: _array(file, start, entry, name) for name, entry in header.items()}


def _object(data: bytes, values: int) -> dict[str, Any]:
    if sum(data.count(mark) for mark in (b",", b"[", b"{")) > values:
        raise ValueError(f"it holds more than {values} values")
    found = json.loads(data.decode("utf-8"), parse_int=_integer, parse_float=_finite, parse_constant=_finite)
    if not isinstance(found, dict):
        raise ValueError("it holds no object")
    level: list[Any] = [found]
    for _ in range(DEPTH):
        level = [one for held in level if isinstance(held, dict | list) for one in _children(held)]
    if level:
        raise ValueError("it is nested too deep")
    return found


def _children(held: dict[str, Any] | list[Any]) -> list[Any]:
    return [*held.values()] if isinstance(held, dict) else held


def _integer(text: str) -> int:
    if len(text) > 20 or not -(2**63) <= int(text) < 2**63:
        raise ValueError(f"{text[:20]} is too large a number")
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is no finite number")
    return value


def _header(
    file: BufferedReader, most: int = MAX_HEADER_BYTES
) -> tuple[dict[str, dict[str, Any]], dict[str, str], int]:
    """The tensors and the texts that a safetensors file says it has, and where its data begins."""
    length = int.from_bytes(file.read(8), "little")
    if length > most:
        raise ValueError(f"its header has {length} bytes")
    header = _object(file.read(length), MAX_VALUES)
    texts = header.pop("__metadata__", {})
    for name, entry in header.items():
        if not isinstance(entry, dict) or not isinstance(entry.get("shape"), list):
            raise ValueError(f"{name[:60]!r} in its header is no tensor")
        if not all(type(size) is int and size >= 0 for size in entry["shape"]) or str(entry.get("dtype")) not in DTYPES:
            raise ValueError(f"{name[:60]!r} in its header has no shape or type of ours")
    if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
        raise ValueError("its texts are none")
    return header, texts, 8 + length


def _check_shapes(header: Mapping[str, dict[str, Any]], shapes: Mapping[str, Shape], dtypes: Mapping[str, str]) -> None:
    if set(header) != set(shapes):
        odd = sorted(set(header) ^ set(shapes))[0]
        raise ValueError(f"tensor {odd[:60]!r} is {'missing' if odd in shapes else 'not expected'}")
    for name, entry in header.items():
        wanted = dtypes.get(name, "F32"), list(shapes[name])
        if (entry["dtype"], entry["shape"]) != wanted:
            raise ValueError(f"{name} is {entry['dtype']} {entry['shape']} and should be {wanted[0]} {wanted[1]}")


def _check_offsets(header: Mapping[str, dict[str, Any]], size: int) -> None:
    """The tensors lie one after the other and fill the file."""
    end = 0
    spans = [entry.get("data_offsets") for entry in header.values()]
    if not all(isinstance(span, list) and len(span) == 2 and {type(at) for at in span} == {int} for span in spans):
        raise ValueError("its header does not say where its tensors are")
    for entry in sorted(header.values(), key=lambda entry: entry["data_offsets"]):
        room = math.prod(entry["shape"]) * np.dtype(DTYPES[entry["dtype"]]).itemsize
        if entry["data_offsets"] != [end, end + room]:
            raise ValueError("its tensors do not lie one after the other")
        end += room
    if end != size:
        raise ValueError(f"it has {size} bytes of tensors and should have {end}")


def _array(file: BufferedReader, start: int, entry: dict[str, Any], name: str) -> np.ndarray:
    array = np.empty(entry["shape"], DTYPES[entry["dtype"]])
    file.seek(start + entry["data_offsets"][0])
    if array.size and file.readinto(array.reshape(-1).view(np.uint8).data) != array.nbytes:
        raise ValueError("it ends too early")
    if array.dtype.kind == "f" and array.size and not (array.min() >= -LARGEST and array.max() <= LARGEST):
        raise ValueError(f"{name[:60]} holds values that are not finite, or beyond {LARGEST:g}")
    return array


@contextmanager
def _reading(path: Path, remedy: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, RecursionError, MemoryError, OSError) as error:
        raise _broken(path, str(error), remedy) from None


def _broken(path: Path, reason: str, remedy: str) -> LatentdialError:
    reason = " ".join(reason.split())[:200]
    return LatentdialError(f"{path} cannot be used ({reason}): {remedy}")
