"""`latentdial interpolate`: go from one picture to another through the code space."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from jsonargparse import ArgumentParser, Namespace

from latentdial.cli.shared import (
    check_exists,
    checked,
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
from latentdial.outputs import STRIP


def add_options(parser: ArgumentParser) -> None:
    run_argument(parser)
    checked(parser.add_argument("first", type=str, help="the picture file to start from"), check_exists)
    checked(parser.add_argument("last", type=str, help="the picture file to end at"), check_exists)
    parser.add_argument(
        "--path", type=Literal["linear", "spherical", "density"], default="linear", help="density: along real codes"
    )
    number_option(parser, "-n", 9, 2, 1000, "pictures, both ends included")
    out_option(parser, "a strip as .png, or moving as .gif or .webp", STRIP, default="path.png")
    json_option(parser)


def run(options: Namespace) -> None:
    from latentdial.latent.paths import interpolate
    from latentdial.report.strips import path_sheet

    codec = load_run(options.run)
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
