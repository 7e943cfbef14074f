"""`latentdial encode`: write the codes of a whole set of pictures, resumable, shared by processes."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Literal

from jsonargparse import ArgumentParser, Namespace

from latentdial.cli.shared import (
    DATA,
    cache_option,
    check_source,
    checked,
    json_option,
    number_option,
    out_folder,
    print_json,
    run_argument,
    say,
)
from latentdial.config import DataSettings, settings_in
from latentdial.texts import counted


def add_options(parser: ArgumentParser) -> None:
    run_argument(parser)
    checked(parser.add_argument("data", type=str, help=DATA), check_source)
    out_folder(parser, "folder of the codes; whole shards in it are kept")
    number_option(parser, "--shard-rows", 65_536, 1, 10**8, "pictures a shard")
    parser.add_argument("--device", type=str, default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--precision", type=Literal["auto", "bf16", "float32"], default="float32", help="of the net")
    parser.add_class_arguments(DataSettings, skip={"source", "holdout", "split"})
    cache_option(parser)
    json_option(parser)


def run(options: Namespace) -> None:
    from dataclasses import asdict

    from latentdial.codes.writing import encode_pictures
    from latentdial.progress import Show, show_progress

    data = replace(settings_in(DataSettings, vars(options)), source=options.data)
    first = os.environ.get("RANK", "0") == "0"
    with show_progress() as bars:
        show = bars if first else Show()
        done = encode_pictures(
            options.run, data, options.out, options.shard_rows, options.device, options.precision, show
        )
    if options.json:
        if first:
            print_json(asdict(done))
        return
    who = f"process {done.rank + 1} of {done.processes}: " if done.processes > 1 else ""
    kept = f", kept {done.kept:,} that were there" if done.kept else ""
    speed = f"{done.seconds:.1f} s, {done.images_per_second:.0f} images/s"
    say(f"{who}encoded {counted(done.encoded, 'picture')} in {speed}{kept}")
    if done.complete:
        codes = f"{counted(done.rows, 'code')} of {counted(done.latent, 'dimension')}"
        say(f"{done.out} is complete: {codes} in {counted(done.shards, 'shard')}")
