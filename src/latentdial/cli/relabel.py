"""`latentdial relabel`: see pictures of one label as pictures of the others."""

from __future__ import annotations

from typing import Any

from jsonargparse import ArgumentParser, Namespace

from latentdial.cli.shared import (
    cache_option,
    check_exists,
    checked,
    json_option,
    load_run,
    number_option,
    out_option,
    print_json,
    run_argument,
    save_picture,
    say_written,
)
from latentdial.errors import LatentdialError

MOST = 24  # labels beside and below each other
EXAMPLES = [
    "latentdial relabel runs/digits --out all.png       # unseen pictures of every label as all others",
    "latentdial relabel runs/digits three.png --label 3 --to 5 8 --out others.png",
]


def add_options(parser: ArgumentParser) -> None:
    run_argument(parser)
    about = "picture files of one label; default: test pictures of the run"
    checked(parser.add_argument("pictures", type=str, nargs="*", help=about), check_exists)
    about = "the label that they have; default, for test pictures: every label in turn"
    parser.add_argument("--label", type=str | None, default=None, help=about)
    parser.add_argument("--to", type=str, nargs="+", default=[], help="what to show them as; default: all labels")
    number_option(parser, "-n", 1, 1, 100, "test pictures of each label")
    out_option(parser, "PNG: a row for each picture, as given and as every label", default="relabelled.png")
    cache_option(parser)
    json_option(parser)


def run(options: Namespace) -> None:
    from latentdial.report.strips import relabelled_sheet

    codec = load_run(options.run)
    labels = options.to or codec.label_names
    for label in [options.label or 0, *labels]:
        codec.given(label)  # one that it does not know is said before any work
    if len(labels) > MOST:
        raise LatentdialError(f"{codec.name} knows {len(labels)} labels: name up to {MOST} of them with --to")
    made = _of_files(codec, options, labels) if options.pictures else _of_test(codec, options, labels)
    save_picture(relabelled_sheet(made, labels, codec.name), options.out)
    if options.json:
        print_json({"run": options.run, "labels": [one.label for one in made], "to": labels, "out": options.out})
        return
    say_written(options.out)


def _of_files(codec: Any, options: Namespace, labels: list[str]) -> list[Any]:
    from latentdial.latent.relabelling import relabelled

    if options.label is None:
        raise LatentdialError("these pictures have a label that the run cannot know: name it with --label")
    return [relabelled(codec, codec.pictures(list(options.pictures)), options.label, labels)]


def _of_test(codec: Any, options: Namespace, labels: list[str]) -> list[Any]:
    from latentdial.latent.relabelling import relabelled
    from latentdial.progress import show_progress
    from latentdial.runs.labelled import unseen_of

    with show_progress() as show:
        shown = [options.label] if options.label else codec.label_names[:MOST]
        found = unseen_of(codec, shown, options.n, show.advance)
    return [relabelled(codec, pictures, label, labels) for label, pictures in found]
