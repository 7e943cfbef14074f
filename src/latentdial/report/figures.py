"""PNG figures: pictures in rows and columns with headings, captions and effect bars."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from latentdial.images.montage import to_picture
from latentdial.latent.codec import Codec
from latentdial.latent.direction import Effect
from latentdial.latent.editing import EditSheet, Move
from latentdial.latent.effect import Dimension, DimensionTable, active_units, alike
from latentdial.latent.naming import code_shape, direction_of, said_of_code
from latentdial.latent.traversing import Strip, strip_of

PAPER, INK, SOFT, BAR, SAFE, EDGE = "#ffffff", "#1c2230", "#667085", "#2f6fed", "#2e9e5b", "#e3e7ef"
MARGIN, GAP, LINE, LABEL = 28, 10, 20, 150
HEAT_FULL = 128.0  # levels of 255
ACROSS = 5  # pictures of a strip
ENDS = ["lowest", "", "as is", "", "highest", "where"]


@dataclass(frozen=True)
class Cell:
    """A picture, uint8 (H, W, C), with sentences below it, or a line that says that it is among the data."""

    picture: np.ndarray
    caption: list[str] = field(default_factory=list)
    underlined: bool = False

    def lines(self, width: int) -> list[str]:
        """The caption in lines of at most `width` pixels."""
        return [line for sentence in self.caption for line in _wrapped(sentence, width, 13)]


@dataclass(frozen=True)
class Row:
    """Cells side by side behind a label, whose `bar` from 0 to 1 is drawn below the text."""

    cells: list[Cell]
    label: list[str] = field(default_factory=list)
    bar: float | None = None

    @property
    def label_width(self) -> int:
        """Pixels that the label takes, with a gap; none without one."""
        texts = [round(_font(size).getlength(line)) for line, size in zip(self.label, self.sizes, strict=True)]
        return max([LABEL, *(width + GAP for width in texts)]) if texts else 0

    @property
    def sizes(self) -> list[int]:
        """The sizes of the label's lines."""
        return [16, *[14] * (len(self.label) - 1)] if self.label else []


@dataclass(frozen=True)
class Sheet:
    """Rows of pictures under a title, a line below it and column headings, with sentences at the end."""

    rows: list[Row]
    title: str = ""
    subtitle: str = ""
    headings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def draw(self, side: int = 128) -> Image.Image:
        """Draw the sheet with pictures of about `side` pixels; joined edits part in a heading where they are joined."""
        label_width = max(row.label_width for row in self.rows)
        headings = [_wrapped(heading.replace(";", "; "), side, 15) for heading in self.headings]
        columns = max(len(row.cells) for row in self.rows)
        width = max(2 * MARGIN + label_width + columns * (side + GAP) - GAP, _width(self.title, 22))
        said = _wrapped(self.subtitle, width - 2 * MARGIN, 14) if self.subtitle else []
        top = MARGIN + LINE * (2 * bool(self.title) + len(said)) + 8 * bool(self.title)
        top += LINE * max(map(len, headings), default=0)
        heights = [side + LINE * max(len(cell.lines(side)) for cell in row.cells) + GAP for row in self.rows]
        notes = [line for note in self.notes for line in _wrapped(note, width - 2 * MARGIN, 14)]
        height = MARGIN + top + sum(heights) - GAP + len(notes) * LINE
        canvas = Image.new("RGB", (width, height), PAPER)
        pen = ImageDraw.Draw(canvas)
        pen.text((MARGIN, MARGIN - 4), self.title, INK, _font(22))
        for i, line in enumerate(said):
            pen.text((MARGIN, MARGIN + (2 * LINE - 8) * bool(self.title) + i * LINE), line, SOFT, _font(14))
        for i, lines in enumerate(headings):
            middle = MARGIN + label_width + i * (side + GAP) + side / 2
            for j, line in enumerate(reversed(lines)):
                pen.text((middle, top - 8 - j * LINE), line, INK, _font(15), anchor="ms")
        for row, height in zip(self.rows, heights, strict=True):
            _draw_row(canvas, pen, row, (MARGIN, top), label_width, side)
            top += height
        for i, line in enumerate(notes):
            pen.text((MARGIN, top + i * LINE), line, SOFT, _font(14))
        return canvas


def edit_sheet(sheet: EditSheet, side: int = 176) -> Image.Image:
    """Original, reconstruction, and a column for each edit with what changed below it; with and without its detail."""
    headings = ["original", "reconstruction"]
    cells = [Cell(sheet.source, _given(sheet)), Cell(sheet.reconstruction, ["decoded from its code"])]
    for column in sheet.columns:
        moves = map(_move_line, column.moves)
        change = f"{column.change.mean:.2f} levels on average, {column.change.share:.0%} of pixels"
        out = [f"outside the safe range: {column.out:.1f} times"] if column.picture_out else []
        out += ["beyond the training codes"] if any(move.beyond for move in column.moves) else []
        reads = [f"{name} reads {now}, before {then}" for name, (then, now) in column.reads.items()]
        caption = [*moves, change, *reads, *out]
        cells.append(Cell(column.picture if column.plain is None else column.plain, caption))
        headings.append(column.label)
        if column.plain is not None:
            cells.append(Cell(column.picture, ["with the detail of the original, moved along with the edit"]))
            headings.append("detail kept")
    return Sheet([Row(cells)], headings=headings).draw(side)


def _given(sheet: EditSheet) -> list[str]:
    """What is said of the original."""
    if sheet.novelty is None:
        return ["what was given"]
    return [f"{'unlike the training pictures: ' if sheet.novelty.unlike else ''}{sheet.novelty.place}"]


def _move_line(move: Move) -> str:
    if move.read:
        return f"{move.name} reads {move.read[1]}, before {move.read[0]}"
    lies = "alike in all training codes" if move.still else f"{move.sds:+z.1f} sd"
    return f"{move.name}: {move.before:.2f} to {move.after:.2f} ({lies})"


def dimension_sheet(codec: Codec, table: DimensionTable, code: np.ndarray, top: int = 12) -> Image.Image:
    """The strongest coordinates, a row each: effect bar, and the picture of `code` turned until that can be seen."""
    strongest = max(row.effect for row in table.rows)
    rows = []
    for row in table.rows[:top]:
        strip = strip_of(codec, code, direction_of(codec, row.name), ACROSS)
        label = [row_title(row), f"{row.effect:.1f} levels for 1 sd", f"±{strip.reach:g} sd"]
        label += [] if row.share is None else [f"{row.share:.0%} so far"]
        label += [] if row.kl is None else [f"KL {row.kl:.2f} nats"]
        label += [", ".join(row.reads[:2])] if row.reads else []
        rows.append(Row([Cell(picture) for picture in with_ends(strip)], label, row.effect / max(strongest, 1e-9)))
    return Sheet(
        rows,
        title=f"What the dimensions of {codec.name} do",
        subtitle=f"{said_of(codec, table)}. Each row turns one of a picture, until it can be seen; "
        f"where: change between the ends, white at {HEAT_FULL:.0f} levels",
        headings=ENDS,
    ).draw(104)


def with_ends(strip: Strip) -> list[np.ndarray]:
    """The pictures of a strip, then where its ends differ."""
    return [*strip.pictures, heat_map(strip.pictures[0], strip.pictures[-1])]


def row_title(row: Dimension) -> str:
    """`c0` as it is, and a bare number as what it is."""
    return f"dimension {row.name}" if row.name.isdigit() else row.name


def said_of(codec: Codec, table: DimensionTable) -> str:
    """What a table of dimensions says in a line."""
    if said := alike(codec):
        return said
    if not any(row.share is not None for row in table.rows):
        places = code_shape(codec)[1:]
        over = f"{said_of_code(codec)}, " if places else ""
        snaps = "; steps that end nearest to the same word change nothing" if codec.quantiser else ""
        what = "numbers" if places else "raw dimensions"
        return f"{over}{active_units(codec)} of {codec.latent} {what} active{snaps}"
    count = codec.canonical.needed(0.95)
    return f"{'the first makes' if count == 1 else f'the first {count} make'} up 95% of what decoded pictures vary by"


def heat_map(before: np.ndarray, after: np.ndarray, full: float = HEAT_FULL) -> np.ndarray:
    """Where two pictures (H, W, C) differ, uint8 (H, W, 3): black for no change, white from `full` levels on."""
    from matplotlib import colormaps

    difference = np.abs(after.astype(float) - before.astype(float)).max(-1)
    return (colormaps["inferno"](np.clip(difference / full, 0, 1))[..., :3] * 255).round().astype(np.uint8)


def acts_map(effect: Effect) -> np.ndarray:
    """Where a direction acts, by the mean change that it makes: uint8 (H, W, 3), white where that is largest."""
    heat = effect.heat[..., None]
    return heat_map(np.zeros_like(heat), heat, max(float(heat.max()), 1e-6))


def _draw_row(
    canvas: Image.Image, pen: ImageDraw.ImageDraw, row: Row, corner: tuple[int, int], label_width: int, side: int
) -> None:
    left, top = corner
    for i, (line, size) in enumerate(zip(row.label, row.sizes, strict=True)):
        pen.text((left, top + 14 + i * LINE), line, SOFT if i else INK, _font(size))
    if row.bar is not None:
        below = top + 20 + len(row.label) * LINE
        pen.rectangle((left, below, left + label_width - 30, below + 5), "#e6eaf2")
        pen.rectangle((left, below, left + round((label_width - 30) * row.bar), below + 5), BAR)
    for i, cell in enumerate(row.cells):
        x = left + label_width + i * (side + GAP)
        if cell.picture.min() < 255:  # a white one without anything on it holds a place
            pen.rectangle((x - 1, top - 1, x + side, top + side), outline=EDGE)
        canvas.paste(to_picture(cell.picture).convert("RGB").resize((side, side), Image.Resampling.BICUBIC), (x, top))
        if cell.underlined:
            pen.rectangle((x, top + side + 3, x + side, top + side + 5), SAFE)
        for j, line in enumerate(cell.lines(side)):
            pen.text((x + side / 2, top + side + 3 + j * LINE), line, SOFT, _font(13), anchor="ma")


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)  # type: ignore[return-value]


def _width(text: str, size: int) -> int:
    return 2 * MARGIN + round(_font(size).getlength(text)) if text else 0


def _wrapped(text: str, width: int, size: int) -> list[str]:
    """Lines as long as fit into `width` pixels; words too long for one are broken."""
    for letters in range(len(text), 0, -1):
        lines = textwrap.wrap(text, letters)
        if max(map(_font(size).getlength, lines), default=0) <= width:
            return lines
    return list(text)
