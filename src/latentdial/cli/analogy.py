"""`latentdial analogy`: make D so that A : B :: C : D."""

from __future__ import annotations

from jsonargparse import ArgumentParser, Namespace

from latentdial.cli.shared import json_option, load_run, run_argument, save_strip, say_codes


def add_options(parser: ArgumentParser) -> None:
    run_argument(parser)
    parser.add_argument("pictures", type=str, nargs=3, help="A, B and C: D is to C as B is to A")
    parser.add_argument("--out", type=str, default="analogy.png", help="PNG with A, B, C and D")
    json_option(parser)


def run(options: Namespace) -> None:
    import numpy as np

    from latentdial.latent.paths import analogy

    codec = load_run(options.run)
    given = codec.encode(list(options.pictures))
    codes = np.stack([*given, analogy(*given)])
    save_strip(codec.decode(codes), options.out)
    say_codes(options, codes)
