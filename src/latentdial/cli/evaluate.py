"""`latentdial evaluate`: figures of reconstruction, samples, likelihood and codes, beside PCA."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace

from latentdial import outputs
from latentdial.cli.shared import (
    DATA,
    cache_option,
    called,
    check_source,
    checked,
    json_option,
    number_option,
    out_option,
    print_json,
    print_table,
    run_argument,
    say,
    say_written,
)

ENDINGS = (".html", ".json", ".csv")
FEATURES = (
    "the net in whose features pictures are compared: efficientnet-lite0 (extra features), pixels-pca, own (the "
    "run's encoder), or the directory of a run; auto: the first that is installed"
)


def add_options(parser: ArgumentParser) -> None:
    run_argument(parser)
    about = f"default: its test pictures; {DATA}"
    checked(parser.add_argument("data", type=str | None, nargs="?", default=None, help=about), check_source)
    parser.add_argument("--features", type=str, default="auto", help=FEATURES)
    number_option(parser, "-n", 500, 2, 1_000_000, "how many pictures of each kind are compared")
    number_option(parser, "--samples", 32, 1, 100_000, "codes drawn for a picture to find its likelihood")
    number_option(parser, "--seed", 0, 0, 2**31 - 1, "seed of all that is drawn")
    out_option(parser, "a file to write: .html, .json or .csv", ENDINGS)
    cache_option(parser)
    json_option(parser)


def run(options: Namespace) -> None:
    from latentdial.progress import show_progress
    from latentdial.report.evaluate import evaluate

    with show_progress() as show:
        found = evaluate(
            options.run,
            options.data,
            features=options.features,
            n=options.n,
            samples=options.samples,
            seed=options.seed,
            show=show,
        )
    if options.out:
        _write(found, options.out)
    if options.json:
        print_json(found.as_dict())
        return
    print_table(
        f"{called(options.run)}: {found.test:,} test pictures, distances to {found.reference:,} others", *found.table()
    )
    for note in found.notes:
        say(f"- {note}")
    say_written(options.out)


def _write(found: Any, out: str) -> None:
    from latentdial.report.evaluation_page import write_evaluation

    kind = Path(out).suffix.lower()
    if kind == ".html":
        write_evaluation(found, Path(out))
        return
    text = found.to_csv() if kind == ".csv" else json.dumps(found.as_dict(), indent=2) + "\n"
    outputs.write(out, text)
