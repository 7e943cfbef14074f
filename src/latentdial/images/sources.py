"""Where pictures come from: a registry of sources, and one way to open them all."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np

from latentdial.config import DataSettings, Geometry
from latentdial.errors import LatentdialError
from latentdial.images import arrays, builtin
from latentdial.images.cache import ORIGINAL, decoded, recall
from latentdial.images.check import Check
from latentdial.images.columns import with_label
from latentdial.images.folder import list_folder, recall_folder
from latentdial.images.geometry import SUFFIXES, settle_colour
from latentdial.images.listing import Listing
from latentdial.images.pictures import Pictures
from latentdial.images.splits import spread
from latentdial.images.types import ImageSet, readable
from latentdial.progress import Progress, quiet

LISTS = "a folder, an array (.npy, .npz, IDX), a table of paths (.csv, .parquet), hf:NAME"


def open_images(data: DataSettings, geometry: Geometry, progress: Progress = quiet) -> ImageSet:
    """Open an image set by its source and fit every picture to the geometry; decodes only what the cache lacks.

    A source that does not exist, holds no readable picture, or more unreadable ones than `data.max_skipped` allows is
    a LatentdialError.
    """
    source = data.source
    if source in builtin.BUILT_IN:
        return builtin.open_built_in(data, geometry, progress)
    listing = list_source(data)
    if listing is not None:
        return _from_files(listing, geometry, data, progress)
    if Path(source).is_file():
        if Path(source).suffix.lower() in SUFFIXES:
            raise LatentdialError(f"{source} is one picture, and a set of them is needed: give the folder with all")
        return arrays.open_array(Path(source), data, geometry, progress)
    raise _nothing_at(source)


def need_source(source: str) -> None:
    """A name that is no source of pictures is a LatentdialError; nothing is opened."""
    if source not in builtin.BUILT_IN and not source.startswith("hf:") and not Path(source).exists():
        raise _nothing_at(source)


def lasting_source(source: str) -> str:
    """A source as it is found from every directory: the path of files is made absolute."""
    return source if source in builtin.BUILT_IN or not Path(source).exists() else os.path.abspath(source)


def _nothing_at(source: str) -> LatentdialError:
    names = ", ".join(builtin.BUILT_IN)
    return LatentdialError(f"there are no pictures at {source!r}: give {LISTS}, or {names}")


def open_at_once(data: DataSettings, geometry: Geometry, progress: Progress = quiet) -> tuple[ImageSet, Check]:
    """Open an image set as it was at the last start where no folder has changed since, before its files are looked at.

    The check looks at every file's size and time of change beside other work; what it finds must be asked for. Where
    nothing can be recalled, it is `open_images`, and there is nothing left to check.
    """
    listing = _recalled(data, geometry)
    if listing is None:
        return open_images(data, geometry, progress), Check()
    images = _from_files(listing, geometry, data, progress)
    return images, Check(lambda: listing.difference(list_folder(Path(data.source), data.split)))


def _recalled(data: DataSettings, geometry: Geometry) -> Listing | None:
    path = Path(data.source)
    if data.label or geometry.colour == "keep":
        return None
    if data.source in builtin.BUILT_IN or not path.is_dir() or _saved_by_datasets(path):
        return None
    held = recall(str(path.resolve()), geometry)
    return recall_folder(path, data.split, held.names, held.stamps(), held.seen)


def list_source(data: DataSettings) -> Listing | None:
    """The files of a source that is made of picture files, None for others."""
    path = Path(data.source)
    if path.is_dir() and not _saved_by_datasets(path):
        listing = list_folder(path, data.split)
        return replace(listing, columns=with_label(listing.columns, data.label))
    if path.suffix.lower() in {".csv", ".tsv", ".parquet"} and path.is_file():
        from latentdial.images.tables import list_table

        return list_table(path, data)
    if data.source.startswith("hf:") or path.is_dir():
        from latentdial.images.huggingface import list_dataset

        return list_dataset(data)
    return None


def _saved_by_datasets(path: Path) -> bool:
    return (path / "dataset_dict.json").is_file() or (path / "state.json").is_file()


def _from_files(listing: Listing, geometry: Geometry, data: DataSettings, progress: Progress) -> ImageSet:
    wanted = np.arange(len(listing))
    if data.limit is not None and data.limit < len(listing):
        wanted = spread(len(listing), data.limit)
    geometry = settle_colour(geometry, lambda: (listing.locate(listing.names[i], i) for i in wanted.tolist()))
    pictures, index = decoded(listing, wanted, geometry, progress)
    rows = index.table["row"]
    failed = [(listing.names[i], index.said[listing.names[i]]) for i in wanted[rows[wanted] < 0]]
    _refuse_if_bad(failed, len(wanted), data)
    kept = wanted[rows[wanted] >= 0]
    names = listing.names if len(kept) == len(listing) else [listing.names[i] for i in kept.tolist()]
    notes = [(name, index.said[name]) for name in names if name in index.said] if index.said else []
    return ImageSet(
        pixels=cast(Pictures, pictures).take(rows[kept]),  # all failed: refused above
        names=names if "".join(names).isprintable() else [readable(name) for name in names],
        hashes=index.table["hash"][kept],
        geometry=geometry,
        columns=listing.columns.take(kept),
        originals=index.table[[name for name, _ in ORIGINAL]][kept],
        skipped=_readable([*failed, *listing.seen.skipped, *listing.seen.others]),
        notes=_readable([*listing.seen.notes, *notes]),
    )


def _refuse_if_bad(failed: list[tuple[str, str]], total: int, data: DataSettings) -> None:
    top = "; ".join(f"{count} of them: {reason}" for reason, count in Counter(r for _, r in failed).most_common(3))
    if len(failed) == total:
        raise LatentdialError(f"none of the {total} files in {data.source} could be read; {top}")
    if len(failed) > data.max_skipped * total:
        raise LatentdialError(
            f"{len(failed)} of the {total} files in {data.source} cannot be read ({top}): "
            "mend or remove them, or raise --max-skipped"
        )


def _readable(listed: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(readable(name), text) for name, text in listed]
