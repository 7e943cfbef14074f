"""`latentdial interpolate`: go from one picture to another through the code space."""

from __future__ import annotations

from typing import Literal

from jsonargparse import ArgumentParser, Namespace

from latentdial.cli.shared import json_option, load_run, print_json, run_argument, save_strip, say, say_written


def add_options(parser: ArgumentParser) -> None:
    run_argument(parser)
    parser.add_argument("first", type=str, help="the picture file to start from")
    parser.add_argument("last", type=str, help="the picture file to end at")
    parser.add_argument(
        "--path", type=Literal["linear", "spherical", "density"], default="linear", help="density: along real codes"
    )
    parser.add_argument("-n", type=int, default=9, help="pictures, both ends included")
    parser.add_argument("--out", type=str, default="path.png", help="a strip as .png, or moving as .gif or .webp")
    json_option(parser)


def run(options: Namespace) -> None:
    from latentdial.latent.paths import interpolate

    codec = load_run(options.run)
    ends = codec.encode([options.first, options.last])
    codes = interpolate(codec, ends[0], ends[1], options.n, options.path)
    save_strip(codec.decode(codes), options.out)
    out = codec.support.score(codec, codes).tolist()
    if options.json:
        print_json({"run": options.run, "path": options.path, "codes": codes.tolist(), "out": out})
        return
    say(f"{options.path} path of {len(codes)} pictures; furthest out of the data: {max(out):.2f} (1 is the border)")
    say_written(options.out)
