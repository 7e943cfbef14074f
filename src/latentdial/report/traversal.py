"""Traversals to look at: a strip for each direction as PNG, all of them moving, or a page."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from latentdial import outputs
from latentdial.latent.traversing import Strip, Traversal, strip_of
from latentdial.outputs import PAGE, STRIP
from latentdial.report.figures import Cell, Row, Sheet, with_ends
from latentdial.report.html import png, render

FRAMES, FRAME_MS, ACROSS = 17, 80, 4


def write_traversal(traversal: Traversal, out: str | Path) -> None:
    """Write strips (.png), all directions moving side by side (.gif, .webp), or a page with both (.html)."""
    out = outputs.check_file(out, (*STRIP, *PAGE))
    kind = out.suffix.lower()
    if kind in PAGE:
        render("traversal.html.j2", _content(traversal), out)
    elif kind == ".png":
        outputs.write(out, png(traversal_sheet(traversal)))
    else:
        first, *rest = moving_sheet(traversal)
        file = io.BytesIO()
        first.save(file, kind[1:], save_all=True, append_images=rest, duration=FRAME_MS, loop=0)
        outputs.write(out, file.getvalue())


def traversal_sheet(traversal: Traversal, side: int = 104) -> Image.Image:
    """A row for each direction; pictures among the data are underlined, the last shows where the ends differ."""
    rows = [Row([*_cells(strip), Cell(with_ends(strip)[-1])], _label(strip)) for strip in traversal.strips]
    middle = len(traversal.strips[0].sds) // 2
    headings = ["as is" if i == middle else "" for i in range(len(traversal.strips[0].sds))]
    headings[0], headings[-1] = "lowest", "highest"
    subtitle = "each goes as far as it takes to see a change; underlined: within the range of real pictures"
    title = f"One picture, turned along directions of {traversal.codec.name}"
    return Sheet(rows, title, subtitle, [*headings, "where"]).draw(side)


def moving_sheet(traversal: Traversal, side: int = 176) -> list[Image.Image]:
    """Frames, there and back, in which every direction moves in a picture of its own."""
    moving = [moving_pictures(traversal, strip) for strip in traversal.strips]
    there = []
    for t in range(FRAMES):
        cells = [
            Cell(pictures[t], [strip.direction.title, f"±{strip.reach:g} sd"])
            for pictures, strip in zip(moving, traversal.strips, strict=True)
        ]
        there.append(Sheet([Row(cells[i : i + ACROSS]) for i in range(0, len(cells), ACROSS)]).draw(side))
    return [frame.quantize(256) for frame in (*there, *there[-2:0:-1])]


def moving_pictures(traversal: Traversal, strip: Strip) -> np.ndarray:
    """The same strip in smaller steps, uint8 (T, H, W, C)."""
    code = traversal.codec.encode(traversal.source[None])[0].astype(np.float64)
    return strip_of(traversal.codec, code, strip.direction, FRAMES, strip.reach).pictures


def _cells(strip: Strip) -> list[Cell]:
    inside = [False] * len(strip.sds) if strip.outside is None else ~strip.outside
    return [Cell(picture, underlined=bool(among)) for picture, among in zip(strip.pictures, inside, strict=True)]


def _label(strip: Strip) -> list[str]:
    return [strip.direction.title, f"±{strip.reach:g} sd", f"{strip.levels:.1f} levels", *strip.direction.reads(2)]


def _content(traversal: Traversal) -> dict[str, Any]:
    return {
        "name": traversal.codec.name,
        "source": traversal.source,
        "strips": [
            {
                "strip": strip,
                "moving": moving_pictures(traversal, strip),
                "where": with_ends(strip)[-1],
            }
            for strip in traversal.strips
        ],
    }
