"""`latentdial interpolate`: go from one picture to another through the code space, or between pairs by label."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from jsonargparse import ArgumentParser, Namespace

from latentdial.cli.shared import (
    cache_option,
    check_exists,
    check_pictures,
    checked,
    given_option,
    json_option,
    load_run,
    number_option,
    out_option,
    print_json,
    run_argument,
    save_moving,
    save_picture,
    say,
    say_written,
)
from latentdial.errors import LatentdialError
from latentdial.outputs import STRIP
from latentdial.texts import counted

EXAMPLES = [
    "latentdial interpolate runs/vae first.jpg last.jpg --out path.gif",
    "latentdial interpolate runs/vae avatars --grid same --by glasses --out grid.png",
    "latentdial interpolate runs/vae PICTURES --grid different --out grid.png",
]


def add_options(parser: ArgumentParser) -> None:
    run_argument(parser)
    given_option(parser)
    about = "the picture file to start from; with --grid, labelled pictures"
    checked(parser.add_argument("first", type=str, help=about), check_pictures)
    about = "the picture file to end at"
    checked(parser.add_argument("last", type=str | None, nargs="?", default=None, help=about), check_exists)
    parser.add_argument(
        "--path", type=Literal["linear", "spherical", "density"], default="linear", help="density: along real codes"
    )
    number_option(parser, "-n", 9, 2, 1000, "pictures, both ends included")
    parser.add_argument(
        "--grid",
        type=Literal["same", "different"] | None,
        default=None,
        help="a row for each of several pairs of pictures of the same label, or of different ones",
    )
    parser.add_argument(
        "--by", type=str | None, default=None, help="the attribute that is the label; default: the first"
    )
    number_option(parser, "--rows", 10, 1, 100, "pairs in a grid")
    parser.add_argument("--seed", type=int, default=0, help="seed of the choice of pairs")
    out_option(parser, "a strip as .png, or moving as .gif or .webp; a grid as .png", STRIP, default="path.png")
    cache_option(parser)
    json_option(parser)


def run(options: Namespace) -> None:
    from latentdial.latent.paths import interpolate
    from latentdial.report.strips import path_sheet

    if options.grid:
        _grid(options)
        return
    if options.last is None:
        raise LatentdialError("LAST is missing: the picture file to end at, or --grid same for pairs by label")
    codec = load_run(options.run, options.given)
    ends = codec.encode([options.first, options.last])
    codes = interpolate(codec, ends[0], ends[1], options.n, options.path)
    out = codec.support.score(codec, codes).tolist()
    pictures = codec.decode(codes)
    if Path(options.out).suffix.lower() == ".png":
        names = options.first, options.last
        save_picture(path_sheet(pictures, names, options.path, out, codec.name), options.out)
    else:
        save_moving(pictures, options.out)
    if options.json:
        print_json({"run": options.run, "path": options.path, "codes": codes.tolist(), "out": out})
        return
    say(f"{options.path} path of {len(codes)} pictures; furthest out of the data: {max(out):.2f} (1 is the border)")
    say_written(options.out)


def _grid(options: Namespace) -> None:
    from latentdial.progress import show_progress
    from latentdial.report.grids import interpolation_grid

    if options.last is not None:
        raise LatentdialError(f"{options.last} is one too many: --grid takes one set of labelled pictures")
    if Path(options.out).suffix.lower() != ".png":
        raise LatentdialError(f"cannot write {options.out}: a grid is a .png")
    how = {"by": options.by, "rows": options.rows, "n": options.n, "path": options.path, "seed": options.seed}
    with show_progress() as show:
        found = interpolation_grid(
            load_run(options.run, options.given), options.first, options.grid == "same", **how, show=show
        )
    save_picture(found.sheet(), options.out)
    if options.json:
        rows = [{"first": row.first, "last": row.last, "names": list(row.names)} for row in found.rows]
        print_json({"run": options.run, "by": found.by, "path": options.path, "rows": rows, "out": options.out})
        return
    alike = "alike in" if options.grid == "same" else "that differ in"
    say(f"{counted(len(found.rows), 'pair')} {alike} {found.by}, {options.n} pictures each")
    say_written(options.out)
