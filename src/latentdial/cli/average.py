"""`latentdial average`: decode the mean code of groups of pictures."""

from __future__ import annotations

from jsonargparse import ArgumentParser, Namespace

from latentdial.cli.shared import (
    check_source,
    checked,
    json_option,
    load_run,
    out_option,
    run_argument,
    save_picture,
    say_codes,
)
from latentdial.config import DataSettings


def add_options(parser: ArgumentParser) -> None:
    run_argument(parser)
    checked(
        parser.add_argument("groups", type=str, nargs="+", help="folders of pictures, an average each"), check_source
    )
    out_option(parser, "PNG to write", default="average.png")
    json_option(parser)


def run(options: Namespace) -> None:
    import numpy as np

    from latentdial.images import open_images
    from latentdial.latent.paths import average
    from latentdial.report.strips import average_sheet

    codec = load_run(options.run)
    groups = [open_images(DataSettings(group), codec.geometry).pixels[:] for group in options.groups]
    codes = np.stack([average(codec, group) for group in groups])
    counts = [len(group) for group in groups]
    save_picture(average_sheet(codec.decode(codes), options.groups, counts, codec.name), options.out)
    say_codes(options, codes)
