"""`latentdial reorder`: a run with the same pictures whose own dimensions are in order."""

from __future__ import annotations

from jsonargparse import ArgumentParser, Namespace

from latentdial.cli.shared import json_option, out_folder, print_json, run_argument, say
from latentdial.texts import command


def add_options(parser: ArgumentParser) -> None:
    run_argument(parser)
    out_folder(parser, "directory of the run to make")
    json_option(parser)


def run(options: Namespace) -> None:
    from latentdial.runs.reordering import reorder

    codec = reorder(options.run, options.out)
    if options.json:
        print_json({"run": options.out, "reordered": options.run, "latent": codec.latent})
        return
    say(f"wrote {options.out}: the pictures of {options.run}, and dimensions 0, 1, ... in order of what they do")
    anew = " and ".join(command(name, options.out) for name in ("directions", "fit-prior"))
    say(f"directions and priors of its code are not carried over: {anew} find them anew")
