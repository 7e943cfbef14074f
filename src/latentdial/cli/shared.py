"""What commands share: arguments, and ways to write and print."""

from __future__ import annotations

import io
import json
import sys
from argparse import Action
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentParser, Namespace

from latentdial import outputs
from latentdial.errors import LatentdialError
from latentdial.outputs import PICTURE
from latentdial.texts import command, printable

if TYPE_CHECKING:
    from latentdial.config import RunConfig
    from latentdial.latent.codec import Codec
    from latentdial.progress import Show

FAILED, MISUSED, PREEMPTED, INTERRUPTED = 1, 2, 75, 130
DATA = "a folder of pictures, an array (.npy, .npz, IDX), a table of paths (.csv, .parquet), hf:NAME, or: avatars, lfw"


def run_argument(parser: ArgumentParser) -> None:
    checked(
        parser.add_argument("run", type=str, help="directory of a trained run, or hub:user/name[@revision]"), check_run
    )


def checked(action: Action, check: Callable[[Any, str], object]) -> None:
    """Let every value of an argument be looked at before any work; `check` gets the value and the option's name."""
    action.check = check  # type: ignore[attr-defined]


def out_option(
    parser: ArgumentParser,
    about: str,
    endings: Sequence[str] = PICTURE,
    name: str = "--out",
    default: str | None = None,
) -> None:
    """An option that names a file to write, with the endings that it may have."""
    action = parser.add_argument(name, type=str | None, default=default, help=about)
    checked(action, lambda out, option: outputs.check_file(out, endings, option))


def out_folder(parser: ArgumentParser, about: str) -> None:
    """The option --out where it names a folder, which must be given."""
    checked(parser.add_argument("--out", type=str, required=True, help=about), outputs.check_folder)


def number_option(parser: ArgumentParser, name: str, default: float, least: float, most: float, about: str) -> None:
    """An option that takes a number within bounds, whole where its default is."""

    def check(value: float, option: str) -> None:
        if not least <= value <= most:
            raise LatentdialError(f"{option} must be from {least:,} to {most:,}")

    checked(parser.add_argument(name, type=type(default), default=default, help=about), check)


def check_run(run: str, option: str) -> None:
    """A directory of a run must be there; whether a hub has one is seen when it is fetched."""
    if run.startswith("hub:"):
        from latentdial.runs.hub import parse_address

        parse_address(run)
    elif not Path(run).is_dir():
        raise LatentdialError(
            f"there is no run at {run}: train one with {command('train', 'RECIPE', 'DATA', '--out', run)}"
        )


def called(run: str) -> str:
    """What a run is called above a table: as it was written, and a copy from a hub by its name."""
    from latentdial.runs.hub import name_of

    folder = Path(run)
    return run if name_of(folder) == folder.name else name_of(folder)


def check_exists(path: str, option: str) -> None:
    """A file or folder that is read must be there."""
    if not Path(path).exists():
        raise LatentdialError(f"there is nothing at {path}: check the path that {option} names")


def check_labels(labels: str, option: str) -> None:
    """A table of labels must be there, unless the pictures' own are meant."""
    if labels != "data":
        check_exists(labels, option)


def check_source(source: str, option: str) -> None:
    """A source of pictures must be there."""
    from latentdial.images.sources import need_source

    need_source(source)


def with_local_runs(options: Namespace) -> None:
    """Put the folders of runs in the place of addresses of a hub."""
    given = {name: options[name] for name in ("run", "runs") if name in options}
    if "hub:" not in str(given):
        return
    from latentdial.runs.hub import run_folder

    for name, runs in given.items():
        options[name] = [str(run_folder(one)) for one in runs] if isinstance(runs, list) else str(run_folder(runs))


def check_pictures(path: str, option: str) -> None:
    """A picture, or a source of pictures, must be there."""
    check_exists(path, option) if Path(path).suffix else check_source(path, option)


def cache_option(parser: ArgumentParser) -> None:
    parser.add_argument("--cache", type=str | None, default=None, help="where decoded pictures are kept")


def json_option(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON for machines")


def recipe_options(parser: ArgumentParser) -> None:
    parser.add_argument("--latent", type=int | None, default=None, help="latent dimensions; the recipe has a default")
    parser.add_argument("--set", type=str, nargs="+", default=[], help="recipe options, such as beta=4 widths=2048,512")


def config_of(options: Namespace) -> RunConfig:
    """The configuration that the options of a training command say; a recipe that there is not is said first."""
    from latentdial.config import make_config
    from latentdial.images.sources import lasting_source
    from latentdial.recipes import options_of, parse_options

    options_of(options.recipe)
    return make_config(
        options.recipe, lasting_source(options.data), parse_options(options.set, options.latent), vars(options)
    )


def load_run(run: str, given: str | None = None, show: Show | None = None) -> Codec:
    """The codec of a run, given a label where one is named; with `show`, one that tells which pictures are unlike."""
    from latentdial.runs.loading import load

    codec = load(run)
    if show is not None:
        from latentdial.runs.unseen import with_losses

        codec = with_losses(codec, Path(run), show)
    return codec if given is None else codec.given(given)


def given_option(parser: ArgumentParser) -> None:
    parser.add_argument("--given", type=str | None, default=None, help="a label, for a model that learnt from labels")


def save_picture(picture: Any, out: str) -> None:
    """Write a Pillow picture in the format that the name's ending says."""
    file = io.BytesIO()
    picture.save(file, Path(out).suffix[1:])
    outputs.write(out, file.getvalue())


def save_moving(pictures: Any, out: str) -> None:
    """Pictures one after the other and back, as GIF or WebP."""
    from latentdial.images.montage import moving_picture

    first, *rest = moving_picture(pictures)
    file = io.BytesIO()
    kind = Path(out).suffix[1:]
    first.save(file, kind, save_all=True, append_images=rest, duration=80, loop=0, lossless=True)
    outputs.write(out, file.getvalue())


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
