"""PNG figures of made pictures: samples, averages of groups, analogies, and paths from one picture to another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from latentdial.latent.sampling import Fit
from latentdial.report.figures import Cell, Row, Sheet
from latentdial.texts import counted, printable

SIDE = 128
LETTERS = 44  # of a name, below which it is shown whole
MAX_COLUMNS = 12


def sample_sheet(pictures: np.ndarray, name: str, fit: Fit, temperature: float = 1.0, seed: int = 0) -> Image.Image:
    """Pictures (N, H, W, C) drawn by the codec `name`, and what they were drawn from."""
    columns = int(np.ceil(np.sqrt(len(pictures))))
    rows = [Row([Cell(one) for one in pictures[i : i + columns]]) for i in range(0, len(pictures), columns)]
    count = f"{len(pictures)} new pictures" if len(pictures) > 1 else "A new picture"
    spread = "" if temperature == 1 else f", temperature {temperature:g}"
    said = f"drawn from the prior {fit.prior}{spread}, seed {seed}"
    return Sheet(rows, f"{count} by {printable(name)}", said, notes=[fit.sentence()]).draw(112)


def average_sheet(pictures: np.ndarray, groups: Sequence[str], counts: Sequence[int], name: str) -> Image.Image:
    """The decoded mean code of each group of pictures, (N, H, W, C), with the group's name and size below it."""
    cells = [
        Cell(one, [short(group), counted(count, "picture")])
        for one, group, count in zip(pictures, groups, counts, strict=True)
    ]
    rows = [Row(cells[i : i + MAX_COLUMNS]) for i in range(0, len(cells), MAX_COLUMNS)]
    return Sheet(rows, f"Averages by {printable(name)}", "each is the decoded mean code of a group").draw(SIDE)


def analogy_sheet(given: np.ndarray, decoded: np.ndarray, names: Sequence[str], name: str) -> Image.Image:
    """A, B and C as given, (3, H, W, C), and below them A, B, C and D as decoded, (4, H, W, C)."""
    blank = np.full_like(given[0], 255)
    rows = [
        Row([*(Cell(one, [short(text)]) for one, text in zip(given, names, strict=True)), Cell(blank)], ["as given"]),
        Row([Cell(one) for one in decoded], ["decoded", "from its code"]),
    ]
    title = f"D is to C as B is to A, by {printable(name)}"
    return Sheet(rows, title, "code of D: C + B - A", ["A", "B", "C", "D"]).draw(SIDE)


def relabelled_sheet(
    found: Sequence[tuple[str, np.ndarray, np.ndarray]], labels: Sequence[str], name: str
) -> Image.Image:
    """Of every label, pictures as given, (N, H, W, C), and as pictures of other labels, (N, L, H, W, C)."""
    rows = [
        Row([Cell(one), *map(Cell, others)], [short(label)])
        for label, given, made in found
        for one, others in zip(given, made, strict=True)
    ]
    heads = ["as given", *map(short, labels)]
    said = "each encoded with the label before its row, and decoded with the others"
    return Sheet(rows, f"Pictures as other labels, by {printable(name)}", said, heads).draw(SIDE)


def path_sheet(pictures: np.ndarray, ends: Sequence[str], path: str, out: Sequence[float], name: str) -> Image.Image:
    """Pictures (N, H, W, C) on the way from one to another, and which of them lie outside the safe range."""
    shares = np.linspace(0, 1, len(pictures))
    cells = [
        Cell(one, [f"{share:.0%}", *([f"{score:.1f} times the safe range"] if score > 1 else [])])
        for one, share, score in zip(pictures, shares, out, strict=True)
    ]
    rows = [Row(cells[i : i + MAX_COLUMNS]) for i in range(0, len(cells), MAX_COLUMNS)]
    first, last = map(short, ends)
    return Sheet(rows, f"From {first} to {last}", f"the {path} path, decoded by {printable(name)}").draw(SIDE)


def short(path: str) -> str:
    """The last part of a path, for a caption."""
    name = printable(path.rstrip("/").rpartition("/")[2] or path, lines=False)
    return name if len(name) <= LETTERS else f"{name[: LETTERS // 2]}...{name[-LETTERS // 2 + 3 :]}"
