"""`latentdial analogy`: make D so that A : B :: C : D."""

from __future__ import annotations

from jsonargparse import ArgumentParser, Namespace

from latentdial.cli.shared import (
    check_exists,
    checked,
    json_option,
    load_run,
    out_option,
    run_argument,
    save_picture,
    say_codes,
)


def add_options(parser: ArgumentParser) -> None:
    run_argument(parser)
    checked(parser.add_argument("pictures", type=str, nargs=3, help="A, B and C: D is to C as B is to A"), check_exists)
    out_option(parser, "PNG with A, B and C as given, and all four decoded", default="analogy.png")
    json_option(parser)


def run(options: Namespace) -> None:
    import numpy as np

    from latentdial.latent.paths import analogy
    from latentdial.report.strips import analogy_sheet

    codec = load_run(options.run)
    given = codec.pictures(list(options.pictures))
    found = codec.encode(given)
    codes = np.stack([*found, analogy(*found)])
    save_picture(analogy_sheet(given, codec.decode(codes), options.pictures, codec.name), options.out)
    say_codes(options, codes)
