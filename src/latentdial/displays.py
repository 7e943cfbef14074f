"""How codecs, edits, dimensions, anomalies and the like are shown: with pictures in notebooks, as text by `print`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, singledispatch

import numpy as np

from latentdial.anomaly.detecting import Anomalies
from latentdial.latent.codec import Codec
from latentdial.latent.direction import Directions, foremost
from latentdial.latent.editing import EditSheet
from latentdial.latent.effect import Dimension, DimensionTable, real_codes
from latentdial.latent.naming import direction_of
from latentdial.latent.traversing import strip_of
from latentdial.report.anomalies import coloured, heat_scale
from latentdial.report.comparison import Comparison
from latentdial.report.evaluation import Evaluation
from latentdial.report.figures import ACROSS, acts_map, row_title, with_ends
from latentdial.report.html import filled
from latentdial.texts import counted, printable

PICTURES, ROWS, SIDE = 8, 6, 96


@dataclass(frozen=True)
class Strip:
    """Pictures side by side, uint8 (H, W, C), each with a caption, behind a name."""

    pictures: list[tuple[np.ndarray, str]]
    name: str = ""
    about: str = ""


@dataclass(frozen=True)
class Table:
    """A head and lines of texts; as text itself, its columns one below the other."""

    head: Sequence[str]
    lines: Sequence[Sequence[str]]

    @property
    def kinds(self) -> list[str]:
        """Of each column, whether it holds a number in every cell, or words."""
        columns = zip(*self.lines, strict=True)
        return ["number" if all(cell[:1] in "0123456789-+" for cell in cells) else "words" for cells in columns]

    def __str__(self) -> str:
        cells = list(zip(self.head, *self.lines, strict=True))
        wide = [max(map(len, column)) for column in cells]
        right = [kind == "number" and i > 0 for i, kind in enumerate(self.kinds)]
        placed = [
            [one.rjust(w) if r else one.ljust(w) for one in c] for c, w, r in zip(cells, wide, right, strict=True)
        ]
        return "\n".join("  ".join(line).rstrip() for line in zip(*placed, strict=True))


@dataclass(frozen=True)
class Display:
    """What is shown of a value; its pictures are made when they are asked for."""

    title: str
    said: list[str] = field(default_factory=list)
    draw: Callable[[], list[Strip]] = list
    table: Table | None = None

    @cached_property
    def rows(self) -> list[Strip]:
        return self.draw()

    def __str__(self) -> str:
        return "\n".join([self.title, *self.said, *([str(self.table)] if self.table else [])])


def html_of(value: object) -> str:
    """The HTML that a notebook shows of a value; pictures are in it."""
    found = display_of(value)
    return filled("display.html.j2", {**vars(found), "rows": found.rows, "side": SIDE})


def text_of(value: object) -> str:
    """What `print` shows of a value."""
    return printable(str(display_of(value)))


@singledispatch
def display_of(value: object) -> Display:
    """What is shown of a value, by its type."""
    raise TypeError(f"there is no display of {type(value).__name__}")


@display_of.register
def _(codec: Codec) -> Display:
    recipe = "wrapped nets" if codec.config is None else codec.config.model.recipe
    size, colour = codec.geometry.size, "grey" if codec.geometry.channels == 1 else "colour"
    said = [f"{recipe}: {size}x{size} {colour} pictures"]
    if codec.training_codes is None:
        return Display(codec.name, [*said, "no training codes: codec.fit(pictures) finds them"])
    said[0] += f" in {counted(codec.latent, 'number')}, {counted(len(codec.codes), 'training code')}"

    def draw() -> list[Strip]:
        some = codec.decode(real_codes(codec, PICTURES))
        return [Strip([(picture, "") for picture in some], "decoded", "from training codes")]

    return Display(codec.name, said, draw)


@display_of.register
def _(sheet: EditSheet) -> Display:
    first = [(sheet.source, "what was given"), (sheet.reconstruction, "decoded from its code")]
    edited = [(column.picture, column.label) for column in sheet.columns]
    return Display("Edit", sheet.sentences(), lambda: [Strip([*first, *edited])])


@display_of.register
def _(table: DimensionTable) -> Display:
    head = ["dimension", "levels for 1 sd", "share so far", "sd", "also"]
    lines = [
        [row_title(row), f"{row.effect:.1f}", _percent(row.share), f"{row.sd:.3g}", _also(row)] for row in table.rows
    ]
    said = [
        f"effects over {counted(table.codes, 'real code')}; the strongest {min(len(lines), PICTURES)} of {len(lines)}"
    ]
    codec, some = table.codec, table.rows[:ROWS]
    draw = list if codec is None else lambda: [_strip(codec, row) for row in some]
    return Display("Dimensions", said, draw, Table(head, lines[:PICTURES]))


@display_of.register
def _(found: Directions) -> Display:
    head = ["direction", "kind", "levels for 1 sd", "95% interval", "safe, sd", "for +1 sd"]
    some = foremost([one for one in found if one.effect is not None], PICTURES)
    measured = [(one, one.effect) for one in some if one.effect is not None]
    lines = [
        [
            one.title,
            one.kind,
            f"{effect.levels:.1f}",
            f"{effect.low:.1f} to {effect.high:.1f}",
            "" if one.safe is None else f"{one.safe[0]:+.1f} to {one.safe[1]:+.1f}",
            ", ".join(one.reads()),
        ]
        for one, effect in measured
    ]

    def draw() -> list[Strip]:
        where = [(acts_map(effect), one.title) for one, effect in measured]
        return [Strip(where[i : i + PICTURES]) for i in range(0, len(where), PICTURES)]

    said = [f"where each acts; {len(lines)} of {counted(len(found), 'direction')}, .to_frame() has all"]
    return Display("Directions", said, draw, Table(head, lines))


@display_of.register
def _(compared: Comparison) -> Display:
    def draw() -> list[Strip]:
        test = compared.test[:PICTURES]
        rows = [Strip([(picture, "") for picture in test], "test pictures")]
        for run in compared.runs:
            again = run.codec.decode(run.codec.encode(test))
            rows.append(Strip([(picture, "") for picture in again], run.name, f"{run.decibels.mean():.1f} dB"))
        return rows

    names, lines = compared.table()
    said = [*compared.conclusion(), *compared.notes]
    return Display("Comparison", said, draw, Table(["", *names], lines))


@display_of.register
def _(found: Evaluation) -> Display:
    def draw() -> list[Strip]:
        samples = found.samples.items()
        return [Strip([(one, "") for one in pictures[:PICTURES]], name, "samples") for name, pictures in samples]

    return Display(f"Evaluation of {found.run}", found.notes, draw, Table(*found.table()))


@display_of.register
def _(found: Anomalies) -> Display:
    first = found.order[:PICTURES]

    def draw() -> list[Strip]:
        captions = [f"{found.score[i]:.1f} {found.names[i]}" for i in first]
        rows = []
        if found.pictures is not None:
            rows.append(Strip(list(zip(found.pictures, captions, strict=True)), "oddest", "score and name"))
        if found.heat is not None and found.heat.size:
            full = heat_scale(found.heat)
            rows.append(Strip([(coloured(one / full), "") for one in found.heat], "where", f"0 to {full:.2g}"))
        return rows

    lines = [
        [found.names[i], f"{found.score[i]:.2f}", f"{found.percentile[i]:.1f}", found.reason[i], found.where[i]]
        for i in first
    ]
    said = [found.sentence(), *found.notes]
    return Display("Anomalies", said, draw, Table(["picture", "score", "percentile", "by", "where"], lines))


def _strip(codec: Codec, row: Dimension) -> Strip:
    strip = strip_of(codec, codec.codes.mean(0), direction_of(codec, row.name), ACROSS)
    return Strip([(one, "") for one in with_ends(strip)], row_title(row), f"mean ±{strip.reach:g} sd, and where")


def _also(row: Dimension) -> str:
    kl = [] if row.kl is None else [f"KL {row.kl:.2f} nats"]
    return ", ".join([*kl, *row.reads])


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}"
