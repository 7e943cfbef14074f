"""`latentdial average`: decode the mean code of groups of pictures."""

from __future__ import annotations

from jsonargparse import ArgumentParser, Namespace

from latentdial.cli.shared import json_option, load_run, run_argument, save_strip, say_codes
from latentdial.config import DataSettings


def add_options(parser: ArgumentParser) -> None:
    run_argument(parser)
    parser.add_argument("groups", type=str, nargs="+", help="folders of pictures, an average each")
    parser.add_argument("--out", type=str, default="average.png", help="PNG to write")
    json_option(parser)


def run(options: Namespace) -> None:
    import numpy as np

    from latentdial.images import open_images
    from latentdial.latent.paths import average

    codec = load_run(options.run)
    groups = [open_images(DataSettings(group), codec.geometry).pixels[:] for group in options.groups]
    codes = np.stack([average(codec, group) for group in groups])
    save_strip(codec.decode(codes), options.out)
    say_codes(options, codes)
