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
    from latentdial.latent.relabelling import as_others
    from latentdial.report.strips import relabelled_sheet

    codec = load_run(options.run)
    labels = options.to or codec.label_names
    if len(labels) > MOST:
        raise LatentdialError(f"{codec.name} knows {len(labels)} labels: name up to {MOST} of them with --to")
    shown = [options.label] if options.label else codec.label_names[:MOST]
    known = {label: codec.given(label) for label in [*shown, *labels] or [0]}  # one that knows no label says so
    others = [known[label] for label in labels]
    found = _of_files(codec, options) if options.pictures else _of_test(codec, options, shown)
    made = [(label, pictures, as_others(known[label], others, pictures)) for label, pictures in found]
    save_picture(relabelled_sheet(made, labels, codec.name), options.out)
    if options.json:
        print_json({"run": options.run, "labels": [label for label, _ in found], "to": labels, "out": options.out})
        return
    say_written(options.out)


def _of_files(codec: Any, options: Namespace) -> list[tuple[str, Any]]:
    if options.label is None:
        raise LatentdialError("these pictures have a label that the run cannot know: name it with --label")
    return [(options.label, codec.pictures(list(options.pictures)))]


def _of_test(codec: Any, options: Namespace, shown: list[str]) -> list[tuple[str, Any]]:
    from latentdial.progress import show_progress
    from latentdial.runs.labelled import unseen_of

    with show_progress() as show:
        return unseen_of(codec, shown, options.n, show.advance)
