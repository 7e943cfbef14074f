"""Image sets of the Hugging Face `datasets` library: by name, or saved to disk."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from latentdial.config import DataSettings
from latentdial.errors import LatentdialError, needs
from latentdial.images.columns import columns_of
from latentdial.images.listing import Listing

SIMPLE = ("Value", "ClassLabel")


def list_dataset(data: DataSettings) -> Listing:
    """List the pictures of hf:NAME, hf:NAME@CONFIG or a folder written by `save_to_disk`, with all its splits."""
    with needs("datasets", data.source):
        import datasets
    loaded = _load(datasets, data.source)
    splits = dict(loaded) if isinstance(loaded, dict) else {"train": loaded}
    column = next((name for name, kind in next(iter(splits.values())).features.items() if _is(kind, "Image")), None)
    if column is None:
        raise LatentdialError(f"{data.source} has no column of pictures: cast one to datasets.Image and save it again")
    raw = {name: part.cast_column(column, datasets.Image(decode=False)) for name, part in splits.items()}
    places = [(name, i) for name, part in raw.items() for i in range(len(part))]

    def locate(_name: str, i: int) -> str | bytes:
        split, row = places[i]
        picture = raw[split][row][column]
        return picture["bytes"] if picture["bytes"] is not None else picture["path"]

    values, words = _columns(list(raw.values()))
    if isinstance(loaded, dict) and len(splits) > 1:
        values["split"] = [name for name, _ in places]
    return Listing(
        source=os.path.abspath(data.source) if os.path.isdir(data.source) else data.source,
        names=[f"{name}/{i}" for name, i in places],
        stamps=np.concatenate([np.tile(_stamp(part), (len(part), 1)) for part in splits.values()]),
        locate=locate,
        columns=columns_of(values, data, len(places), words),
    )


def _columns(parts: list[Any]) -> tuple[dict[str, list[Any]], dict[str, list[str]]]:
    """The values of simple columns that all parts have, and the words for those that are indices in all of them.

    Where parts have other words for a class, the values are the words themselves.
    """
    values: dict[str, list[Any]] = {}
    words: dict[str, list[str]] = {}
    for name in parts[0].features:
        kinds = [part.features.get(name) for part in parts]
        if any(type(kind).__name__ not in SIMPLE for kind in kinds):
            continue
        lists = [part[name] for part in parts]
        if all(_is(kind, "ClassLabel") for kind in kinds):
            if all(kind.names == kinds[0].names for kind in kinds):
                words[name] = kinds[0].names
            else:
                lists = [[_word(kind.names, v) for v in part] for kind, part in zip(kinds, lists, strict=True)]
        values[name] = [value for part in lists for value in part]
    return values, words


def _word(names: list[str], value: Any) -> str:
    return names[value] if value in range(len(names)) else "unknown"


def _load(datasets: Any, source: str) -> Any:
    try:
        if os.path.isdir(source):
            return datasets.load_from_disk(source)
        name, _, config = source.removeprefix("hf:").partition("@")
        return datasets.load_dataset(name, config or None)
    except Exception as error:  # a large library that reads files and the network
        reason = " ".join(str(error).split())[:160]
        raise LatentdialError(f"cannot load the data set {source} ({reason}): check its name and the network") from None


def _stamp(part: Any) -> np.ndarray:
    """Size and time of change of the files that hold a split."""
    status = [os.stat(file["filename"]) for file in part.cache_files]
    changed = max((found.st_mtime_ns for found in status), default=0)
    return np.array([sum(found.st_size for found in status), changed], np.int64)


def _is(feature: Any, name: str) -> bool:
    return type(feature).__name__ == name
