"""A table that lists picture files with their labels and attributes: CSV, TSV or Parquet."""

from __future__ import annotations

import csv
import os
import stat
from pathlib import Path
from typing import Any

import numpy as np

from latentdial.config import DataSettings
from latentdial.errors import LatentdialError
from latentdial.images.columns import columns_of
from latentdial.images.listing import Listing, Seen
from latentdial.images.parquet import list_embedded, picture_column, read_columns
from latentdial.images.types import Listed

PATHS = ("path", "file", "filename", "file_name", "filepath", "image", "image_path", "picture")


def list_table(path: Path, data: DataSettings) -> Listing:
    """List the picture files of a table; paths are relative to its folder, other columns are labels and factors."""
    if path.suffix.lower() == ".parquet":
        held = picture_column(path)
        if held is not None:
            return list_embedded(path, held, data)
        table = read_columns(path)
    else:
        table = _read_csv(path)
    column = next((name for name in table if name.lower() in PATHS), None)
    if column is None or not table[column]:
        raise LatentdialError(f"{path} lists no pictures: it needs rows and a column named path, file or image")
    given = table.pop(column)
    if not all(isinstance(name, str) for name in given):
        raise LatentdialError(f"the column {column} of {path} holds no paths: write paths of picture files")
    status = [_status(path.parent / name) for name in given]
    kept = [i for i, found in enumerate(status) if isinstance(found, tuple)]
    skipped: list[Listed] = [(given[i], found) for i, found in enumerate(status) if isinstance(found, str)]
    if not kept:
        raise LatentdialError(f"none of the {len(given)} files that {path} lists is there: write paths from its folder")
    return Listing(
        source=str(path.resolve()),
        names=[given[i] for i in kept],
        stamps=np.array([status[i] for i in kept], np.int64),
        locate=lambda name, _: str(path.parent / name),
        columns=columns_of(table, data, len(given)).take(np.array(kept)),
        seen=Seen(skipped=skipped),
    )


def _status(path: Path) -> tuple[int, int] | str:
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return "the table lists it and there is no such file"
    return (found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else "it is no regular file"


def _read_csv(path: Path) -> dict[str, list[Any]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",", restval=""))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise LatentdialError(f"cannot read the table {path} ({error}): save it as CSV in UTF-8") from None
    longer = next((i for i, row in enumerate(rows) if None in row), None)
    if longer is not None:
        raise LatentdialError(f"line {longer + 2} of {path} has more cells than the first: put quotes around commas")
    return {name: [row[name] for row in rows] for name in (rows[0] if rows else {}) if name}
