"""Pictures with attributes: from the image set's own factors or labels, or from a CSV file."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import torch

from latentdial.attributes.known import Attributes
from latentdial.attributes.reader import part_of, train_reader, truth_of
from latentdial.attributes.writer import train_writer
from latentdial.discovery.finding import attribute_direction
from latentdial.errors import LatentdialError
from latentdial.images import ImageSet
from latentdial.latent.codec import Codec
from latentdial.latent.direction import NAME, Direction
from latentdial.latent.naming import CANONICAL, CHANNEL
from latentdial.progress import Progress, quiet

MAX_CATEGORIES = 24
BLOCK = 512  # pictures between two signs of life
LONGEST = 50  # letters of a name, which may get some more
MIN_SHARE = 0.01  # of the pictures that must have a value for it to get a direction


@dataclass(frozen=True, eq=False)
class Attribute:
    """One attribute of N pictures: its columns (N, C) by name, one for a number or yes/no, else one a category."""

    name: str
    columns: dict[str, np.ndarray]

    @property
    def varies(self) -> bool:
        """Every column has more than one value."""
        return all(len(np.unique(values)) > 1 for values in self.columns.values())

    @property
    def matrix(self) -> np.ndarray:
        """The columns (N, C), one left out where they add up to one."""
        columns = list(self.columns.values())
        return np.stack(columns[1:] if len(columns) > 1 else columns, axis=1)


def attributes_of(images: ImageSet) -> list[Attribute]:
    """The factors of an image set, or the labels of its sub-folders; without either a LatentdialError."""
    if images.factors:
        words = images.columns.categories
        return [make_attribute(name, values, words.get(name)) for name, values in images.factors.items()]
    if images.labels is None:
        raise LatentdialError("these pictures have no labels: put them in sub-folders or give --labels FILE.csv")
    return [make_attribute("label", images.labels, images.label_names)]


def read_labels(path: Path, names: list[str]) -> tuple[np.ndarray, list[Attribute]]:
    """Read a CSV whose first column names pictures and whose others are attributes.

    Returns the indices into `names` of the pictures found, by whole name or else by file name, and their attributes.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise LatentdialError(f"{path} cannot be read as CSV ({error}): give a text file with a header") from None
    if len(rows) < 2 or len(rows[0]) < 2 or any(len(row) != len(rows[0]) for row in rows):
        raise LatentdialError(f"{path} is no table: give a header with file,attribute,... and as many cells a row")
    where = {Path(name).name: i for i, name in enumerate(names)} | {name: i for i, name in enumerate(names)}
    rows_of = [(where.get(row[0], where.get(Path(row[0]).name)), row[1:]) for row in rows[1:]]
    found = [(i, cells) for i, cells in rows_of if i is not None]
    if len(found) < 4:
        raise LatentdialError(
            f"{path} names {len(found)} of the pictures: its first column must hold their file names, as {names[0]}"
        )
    index = np.array([i for i, _ in found])
    columns = np.array([cells for _, cells in found])
    return index, [make_attribute(name, _values(columns[:, i])) for i, name in enumerate(rows[0][1:])]


def make_attribute(name: str, values: np.ndarray, words: Sequence[str] | None = None) -> Attribute:
    """An attribute from numbers, yes/no, or categories: whole numbers of at most 24 kinds, or texts.

    `words` are the names of categories that are given as indices.
    """
    kinds, counts = np.unique(values, return_counts=True)
    categories = values.dtype.kind in "OUS" or (values.dtype.kind in "iub" and len(kinds) <= MAX_CATEGORIES)
    if not categories or len(kinds) < 2:
        return Attribute(name, {name: values.astype(np.float64)})
    if len(kinds) > MAX_CATEGORIES:
        raise LatentdialError(f"attribute {name} has {len(kinds)} values: give numbers or at most {MAX_CATEGORIES}")
    titles = {kind: f"{name}.{_word(kind if words is None else words[kind])}" for kind in kinds.tolist()}
    if len(kinds) == 2:
        title = name if words is None and values.dtype.kind in "iub" else titles[kinds[1].item()]
        return Attribute(name, {title: (values == kinds[1]).astype(np.float64)})
    often = [kind for kind, count in zip(kinds.tolist(), counts, strict=True) if count >= MIN_SHARE * len(values)]
    return Attribute(name, {titles[kind]: (values == kind).astype(np.float64) for kind in often})


def named(attributes: Sequence[Attribute], say: Callable[[str], None] = quiet) -> list[Attribute]:
    """The attributes with names that edits can have; what is called otherwise now is said."""
    taken: set[str] = set()
    found, renamed = [], {}
    for attribute in attributes:
        columns = {}
        for name, values in attribute.columns.items():
            fresh = _usable(name, taken)
            taken.add(fresh)
            columns[fresh] = values
            if fresh != name:
                renamed[name] = fresh
        found.append(replace(attribute, columns=columns))
    if renamed:
        say("in edits these attributes are called otherwise: " + ", ".join(f"{a} is {b}" for a, b in renamed.items()))
    return found


def _usable(name: str, taken: Collection[str]) -> str:
    """A name as a direction may have it, and no other direction has."""
    word = _word(name)[:LONGEST] or "_"
    if not NAME.fullmatch(word) or CANONICAL.fullmatch(word) or CHANNEL.fullmatch(word):
        word = f"_{word}"
    return word if word not in taken else next(f"{word}_{i}" for i in count(2) if f"{word}_{i}" not in taken)


def attribute_directions(
    codec: Codec, codes: np.ndarray, attributes: list[Attribute], method: str = "mean"
) -> list[Direction]:
    """A direction for every attribute of pictures with codes (N, D), balanced over the others."""
    found = []
    for attribute in attributes:
        others = [other.matrix for other in attributes if other is not attribute]
        rest = np.concatenate(others, axis=1) if others else None
        found += [
            attribute_direction(codec, name, codes, values, rest, method)
            for name, values in attribute.columns.items()
            if len(np.unique(values)) > 1
        ]
    if not found:
        raise LatentdialError("no attribute has two values that occur often enough: give more labelled pictures")
    return found


def learn_attributes(
    codec: Codec,
    codes: np.ndarray,
    columns: Sequence[dict[str, np.ndarray]],
    seed: int = 0,
    progress: Progress = quiet,
) -> Attributes:
    """What the codes (N, D) of N pictures say of attributes, each given as its columns (N,) by name."""
    parts = [part_of(one) for one in columns]
    truth = np.concatenate([truth_of(part, one) for part, one in zip(parts, columns, strict=True)], axis=1)
    blocks = range(0, len(codes), BLOCK)
    parts_again = []
    for start in blocks:
        parts_again.append(codec.encode(codec.decode(codes[start : start + BLOCK])))
        progress("reading labelled pictures", min(start + BLOCK, len(codes)), len(codes))
    again = np.concatenate(parts_again)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        reader = train_reader(parts, codes, again, truth, partial(progress, "learning to read attributes"))
        writer = train_writer(truth, codes, partial(progress, "learning to write attributes"))
        return Attributes(reader, writer).eval()


def _word(text: object) -> str:
    """A text as the second part of a name: of a colour its digits alone."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", str(text).removeprefix("#"))


def _values(cells: np.ndarray) -> np.ndarray:
    try:
        numbers = cells.astype(np.float64)
    except ValueError:
        return np.array([_word(cell.strip()) for cell in cells])
    if not np.isfinite(numbers).all():
        raise LatentdialError("the labels hold numbers that are not finite: remove them")
    whole = (numbers == numbers.round()).all() and len(np.unique(numbers)) <= MAX_CATEGORIES
    return numbers.astype(np.int64) if whole and len(np.unique(numbers)) <= 2 else numbers
