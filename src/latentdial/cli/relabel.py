"""`latentdial relabel`: see pictures of one label as pictures of the others."""

from __future__ import annotations

from jsonargparse import ArgumentParser, Namespace

from latentdial.cli.shared import (
    check_exists,
    checked,
    json_option,
    load_run,
    out_option,
    print_json,
    run_argument,
    save_picture,
    say_written,
)
from latentdial.errors import LatentdialError

MOST = 24  # labels beside each other
EXAMPLES = ["latentdial relabel runs/digits three.png --label 3 --to 5 8 --out as_others.png"]


def add_options(parser: ArgumentParser) -> None:
    run_argument(parser)
    checked(parser.add_argument("pictures", type=str, nargs="+", help="picture files of one label"), check_exists)
    parser.add_argument("--label", type=str, required=True, help="the label that they have")
    parser.add_argument("--to", type=str, nargs="+", default=[], help="other labels; default: all")
    out_option(parser, "PNG: pictures as given, and as pictures of every label", default="relabelled.png")
    json_option(parser)


def run(options: Namespace) -> None:
    from latentdial.latent.relabelling import relabel
    from latentdial.report.strips import relabelled_sheet

    codec = load_run(options.run)
    codec.given(options.label)  # a label that it does not know is said first
    labels = options.to or codec.label_names
    if len(labels) > MOST:
        raise LatentdialError(f"{codec.name} knows {len(labels)} labels: name up to {MOST} of them with --to")
    given = codec.pictures(list(options.pictures))
    made = relabel(codec, given, options.label, labels)
    save_picture(relabelled_sheet(given, made, options.label, labels, codec.name), options.out)
    if options.json:
        print_json({"run": options.run, "label": options.label, "to": labels, "out": options.out})
        return
    say_written(options.out)
