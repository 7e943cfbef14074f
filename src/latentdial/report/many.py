"""Edits of any number of pictures as files: each picture alone or as a sheet, and a table of what changed."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from latentdial import outputs
from latentdial.errors import LatentdialError
from latentdial.latent.codec import Codec
from latentdial.latent.editing import Edited, EditSheet, edit
from latentdial.latent.grammar import parse_edits
from latentdial.latent.naming import direction_of
from latentdial.progress import Show
from latentdial.report.figures import edit_sheet
from latentdial.report.html import encoded, png
from latentdial.runs.given import given_pictures
from latentdial.storage import explained, write, writing
from latentdial.texts import FileNames, counted

TABLE = "changes.csv"
VISIBLE = 2.0  # levels of 255 on average, from which an edit counts as seen


@dataclass(frozen=True)
class EditedMany:
    """What was done to many pictures: how many, how much they changed by all edits together, and where it is."""

    out_dir: Path
    table: Path
    pictures: int
    levels: float  # mean change, of 255
    seen: int  # pictures that changed by `VISIBLE` levels or more
    left: int  # pictures that the edits took out of the data

    def sentence(self) -> str:
        return (
            f"edited {counted(self.pictures, 'picture')}: {self.levels:.1f} levels of 255 on average, "
            f"{self.seen:,} of them visibly, {self.left:,} taken out of the range of real pictures"
        )


def edit_many(
    codec: Codec,
    given: str | Path | Sequence[str | Path],
    *edits: str,
    out_dir: str | Path,
    sheets: bool = False,
    keep: Sequence[str] = (),
    preserve_detail: bool = False,
    show: Show | None = None,
) -> EditedMany:
    """Edit every picture of files, folders and other sets, some at a time, and write what comes out into a folder.

    Each picture is written after all edits together, as PNG under its own name; with `sheets` as a sheet with a column
    for each edit. `changes.csv` has a row for every picture and edit. Errors are those of `edit`, before any work.

    >>> edit_many(codec, "faces/", "c0+=2", out_dir="edited/")  # doctest: +SKIP
    """
    show, out = show or Show(), outputs.check_folder(out_dir, "--out-dir")
    _check(codec, edits, keep)
    pictures = given_pictures(codec, given, show)
    with explained(out):
        out.mkdir(parents=True, exist_ok=True)
    names, changes = FileNames(), []
    with writing(out / TABLE) as file:
        table = _Table(io.TextIOWrapper(file, "utf-8", newline="", write_through=True))
        for some, pixels in pictures.batches():
            for name, sheet in zip(
                some, edit(codec, pixels, *edits, keep=keep, preserve_detail=preserve_detail), strict=True
            ):
                saved = names.of(name)
                write(out / saved, png(edit_sheet(sheet)) if sheets else encoded(sheet.columns[-1].picture), out)
                table.add(name, saved, sheet)
                changes.append((sheet.columns[-1].change.mean, sheet.columns[-1].flagged))
            show.advance("editing", len(changes), len(pictures))
        table.file.detach()
    levels = np.array([mean for mean, _ in changes])
    left = sum(flagged for _, flagged in changes)
    return EditedMany(out, out / TABLE, len(changes), float(levels.mean()), int((levels >= VISIBLE).sum()), left)


def _check(codec: Codec, edits: Sequence[str], keep: Sequence[str]) -> None:
    """Whether all edits can be read and name what the code has, before any picture is."""
    if not edits:
        raise LatentdialError("there is nothing to edit: give edits such as c0+=2, 1*=2 or 3+=2s")
    names = [*keep, *(one.target for text in edits for one in parse_edits(text))]
    for name in names if codec.training_codes is not None else []:
        direction_of(codec, name)


class _Table:
    """Rows of changes, written as they come: what every edit moved, and what the picture did."""

    def __init__(self, file: io.TextIOWrapper) -> None:
        self.file, self._writer = file, csv.writer(file)
        self._moved: list[str] = []

    def add(self, name: str, saved: str, sheet: EditSheet) -> None:
        if not self._moved:
            self._moved = list(dict.fromkeys(move.edit.target for one in sheet.columns for move in one.moves))
            numbers = (f"{target} {what}" for target in self._moved for what in ("before", "after", "sd"))
            self._writer.writerow(["picture", "saved", "edit", "levels", "largest", "share", "where", "out", *numbers,
                                   "also reads", "warning"])  # fmt: skip
        self._writer.writerows(self._rows(name, saved, sheet))

    def _rows(self, name: str, saved: str, sheet: EditSheet) -> Iterator[list[Any]]:
        for one in sheet.columns:
            change, also = one.change, "; ".join(f"{k} {now}, before {then}" for k, (then, now) in one.reads.items())
            yield [name, saved, one.label, f"{change.mean:.3f}", f"{change.largest:.1f}", f"{change.share:.4f}",
                   change.where, "" if one.out is None else f"{one.out:.3f}", *self._numbers(one), also,
                   one.warning or ""]  # fmt: skip

    def _numbers(self, one: Edited) -> list[str]:
        moves = {move.edit.target: move for move in one.moves}
        found = [moves.get(target) for target in self._moved]
        return [t for m in found for t in (("", "", "") if m is None else _said(m.before, m.after, m.sds))]


def _said(*numbers: float) -> tuple[str, ...]:
    return tuple(f"{number:.6g}" for number in numbers)
