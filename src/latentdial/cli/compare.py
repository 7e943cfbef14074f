"""`latentdial compare`: compare runs in one HTML report."""

from __future__ import annotations

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from latentdial.cli.shared import cache_option, json_option, print_json, print_table, say


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("runs", type=str, nargs="+", help="directories of runs, such as an AE and a VAE")
    parser.add_argument("--out", type=str, default="compare.html", help="the report, one HTML file")
    parser.add_argument("--data", type=str | None, default=None, help="pictures, where the runs' own are gone")
    parser.add_argument("--edits", type=str, nargs="+", default=["1*=2", "0*=10"], help="edits shown on one picture")
    parser.add_argument("--picture", type=str | None, default=None, help="the picture to edit; default: a test picture")
    cache_option(parser)
    json_option(parser)


def run(options: Namespace) -> None:
    from latentdial.progress import show_progress
    from latentdial.report.compare import compare

    with show_progress() as show:
        comparison = compare(
            options.runs, options.out, data=options.data, edits=options.edits, picture=options.picture, show=show
        )
    if options.json:
        print_json(comparison.as_dict())
        return
    names, rows = comparison.table()
    print_table("on the same test pictures", ["", *names], rows)
    say(f"report: {Path(options.out).resolve()}")
