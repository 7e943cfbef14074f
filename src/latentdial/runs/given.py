"""Pictures as they are named on a command line: files, folders and other sets, read some at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path

import numpy as np

from latentdial.config import DataSettings
from latentdial.images import ImageSet, Pictures, open_for, open_images
from latentdial.images.geometry import SUFFIXES
from latentdial.latent.codec import CHUNK, Codec
from latentdial.progress import Show

Read = Callable[[int, int], np.ndarray]


@dataclass(frozen=True)
class Given:
    """Pictures with their names, in parts that are read as uint8 (n, H, W, C) from one number to another."""

    parts: list[tuple[list[str], Read]]

    def __len__(self) -> int:
        return sum(len(names) for names, _ in self.parts)

    def batches(self, size: int = CHUNK) -> Iterator[tuple[list[str], np.ndarray]]:
        """Names and pictures, at most `size` at a time."""
        for names, read in self.parts:
            for i in range(0, len(names), size):
                yield names[i : i + size], read(i, min(i + size, len(names)))


def is_picture_file(path: str) -> bool:
    """Whether a path is that of one picture, and not of a set of them."""
    return Path(path).suffix.lower() in SUFFIXES and not Path(path).is_dir()


def given_pictures(codec: Codec, given: str | Path | Sequence[str | Path], show: Show | None = None) -> Given:
    """Picture files, and sets as `train` takes them, fitted as the codec's pictures.

    Nothing but the names of single files is read before it is asked for; a set that is none is a LatentdialError.
    """
    paths = [str(given)] if isinstance(given, str | Path) else [str(path) for path in given]
    parts = []
    for single, group in groupby(paths, is_picture_file):
        some = list(group)
        parts += [_files(codec, some)] if single else [_set(codec, path, show or Show()) for path in some]
    return Given(parts)


def _files(codec: Codec, paths: list[str]) -> tuple[list[str], Read]:
    return [Path(path).name for path in paths], lambda start, end: codec.pictures(list(paths[start:end]))


def open_set(codec: Codec, source: str, show: Show | None = None) -> ImageSet:
    """All pictures of a set, opened as the run of the codec would; one that is none is a LatentdialError."""
    progress = (show or Show()).advance
    if codec.config is None:
        return open_images(DataSettings(source), codec.geometry, progress)
    return open_for(codec.config, progress, source)


def _set(codec: Codec, source: str, show: Show) -> tuple[list[str], Read]:
    images = open_set(codec, source, show)
    return images.names, partial(_rows, images.pixels)


def _rows(pixels: Pictures, start: int, end: int) -> np.ndarray:
    return pixels[start:end]
