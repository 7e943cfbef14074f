"""What commands share: arguments, and ways to write and print."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentParser, Namespace

from latentdial.errors import LatentdialError
from latentdial.texts import printable

if TYPE_CHECKING:
    from latentdial.latent.codec import Codec

FAILED, MISUSED, PREEMPTED, INTERRUPTED = 1, 2, 75, 130
DATA = "a folder of pictures, an array (.npy, .npz, IDX), a table of paths (.csv, .parquet), hf:NAME, or: avatars, lfw"


def run_argument(parser: ArgumentParser) -> None:
    parser.add_argument("run", type=str, help="directory of a trained run")


def cache_option(parser: ArgumentParser) -> None:
    parser.add_argument("--cache", type=str | None, default=None, help="where decoded pictures are kept")


def json_option(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON for machines")


def recipe_options(parser: ArgumentParser) -> None:
    parser.add_argument("--latent", type=int | None, default=None, help="latent dimensions; the recipe has a default")
    parser.add_argument("--set", type=str, nargs="+", default=[], help="recipe options, such as beta=4 widths=2048,512")


def load_run(run: str) -> Codec:
    from latentdial.runs.loading import load

    return load(run)


def save_picture(picture: Any, out: str) -> None:
    write_file(picture.save, out)


def save_strip(pictures: Any, out: str) -> None:
    """A strip of pictures as PNG, or one after the other and back as GIF or WebP."""
    from latentdial.report.figures import moving_picture, picture_grid

    if Path(out).suffix in {".gif", ".webp"}:
        frames = moving_picture(pictures)
        try:
            frames[0].save(out, save_all=True, append_images=frames[1:], duration=80, loop=0, lossless=True)
        except (OSError, ValueError) as error:
            raise LatentdialError(f"cannot write {out} ({error}): choose another --out") from None
    else:
        save_picture(picture_grid(pictures, columns=len(pictures)), out)


def write_file(write: Callable[[Path], Any], out: str) -> None:
    try:
        Path(out).parent.mkdir(parents=True, exist_ok=True)
        write(Path(out))
    except (OSError, ValueError) as error:
        raise LatentdialError(f"cannot write {out} ({error}): choose another --out ending in .png") from None


def say_codes(options: Namespace, codes: Any) -> None:
    if options.json:
        print_json({"run": options.run, "codes": codes.tolist(), "out": options.out})
    else:
        say_written(options.out)


def say_written(out: str | None) -> None:
    if out:
        say(f"wrote {out}")


def say(text: str) -> None:
    """Text on standard output, whatever names of files are in it."""
    print(printable(text))


def print_json(value: Any) -> None:
    print(json.dumps(value, indent=2))


def print_table(title: str, head: list[str], rows: list[list[Any]]) -> None:
    from rich.console import Console

    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 140)
    if title:
        console.print(printable(title))
    console.print(table(head, rows))


def table(head: list[str], rows: list[list[Any]]) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for i, name in enumerate(head):
        table.add_column(printable(name), justify="left" if i == 0 or not _numeric(rows, i) else "right")
    for row in rows:
        table.add_row(*(Text(printable(str(cell), lines=False)) for cell in row))
    return table


def _numeric(rows: list[list[Any]], column: int) -> bool:
    return all(str(row[column])[:1] in "0123456789-+" for row in rows)


def options_text(options: dict[str, Any]) -> str:
    return "  ".join(
        f"{name}={','.join(map(str, value)) if isinstance(value, list) else value}" for name, value in options.items()
    )


def yes(value: bool) -> str:
    return "yes" if value else "no"
