"""Parquet files: tables of columns, and the layout of Hugging Face with the pictures in the file."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from latentdial.config import DataSettings
from latentdial.errors import LatentdialError, needs
from latentdial.images.columns import columns_of
from latentdial.images.listing import Listing

GROUPS = 4  # row groups with pictures that are held in memory


def read_columns(path: Path, without: str | None = None) -> dict[str, list[Any]]:
    """The columns of a Parquet file but one."""
    file = _opened(path)
    try:
        return file.read(columns=[name for name in file.schema_arrow.names if name != without]).to_pydict()
    except Exception as error:  # pyarrow raises its own errors, OSError and ValueError on damaged pages
        raise _unreadable(path, error) from None


def picture_column(path: Path) -> str | None:
    """The column that holds pictures themselves: bytes, or {bytes, path} as `datasets` writes them."""
    fields = _opened(path).schema_arrow
    from pyarrow import types

    for field in fields:
        inner = [part.name for part in field.type] if types.is_struct(field.type) else []
        if "bytes" in inner or types.is_binary(field.type) or types.is_large_binary(field.type):
            return field.name
    return None


def list_embedded(path: Path, column: str, data: DataSettings) -> Listing:
    """List the pictures in a Parquet file; they are read group by group of rows as they are decoded."""
    file = _opened(path)
    counts = [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)]
    starts = np.concatenate([[0], np.cumsum(counts)])
    count, status = int(starts[-1]), path.stat()
    if not count:
        raise LatentdialError(f"{path} lists no pictures: it has no rows")

    @lru_cache(GROUPS)
    def pictures(group: int) -> Any:
        try:
            return _opened(path).read_row_group(group, [column])[column]
        except Exception as error:
            raise _unreadable(path, error) from None

    def locate(_name: str, i: int) -> str | bytes:
        group = int(np.searchsorted(starts, i, "right")) - 1
        held = pictures(group)[i - int(starts[group])].as_py()
        if isinstance(held, dict):
            held = held["bytes"] if held["bytes"] is not None else str(path.parent / (held.get("path") or "no path"))
        return b"" if held is None else held

    words = _class_names(file.schema_arrow.metadata or {})
    return Listing(
        source=str(path.resolve()),
        names=[f"{path.stem}[{i}]" for i in range(count)],
        stamps=np.tile(np.array([status.st_size, status.st_mtime_ns], np.int64), (count, 1)),
        locate=locate,
        columns=columns_of(read_columns(path, column), data, count, words),
    )


def _opened(path: Path) -> Any:
    with needs("parquet", "Parquet", "save a .csv"):
        from pyarrow.parquet import ParquetFile
    try:
        return ParquetFile(path)
    except Exception as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> LatentdialError:
    reason = " ".join(str(error).split())[:160]
    return LatentdialError(f"cannot read the table {path} ({reason}): save it as Parquet again, or as CSV")


def _class_names(metadata: dict[bytes, bytes]) -> dict[str, list[str]]:
    """The words for class labels that `datasets` keeps in a file."""
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
        return {name: list(map(str, kind["names"])) for name, kind in features.items() if "names" in kind}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
