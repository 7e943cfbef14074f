"""`latentdial report`: what runs do on the same pictures, in one page."""

from __future__ import annotations

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from latentdial.cli.shared import (
    cache_option,
    check_exists,
    check_run,
    check_source,
    checked,
    json_option,
    out_option,
    print_json,
    print_table,
    say,
)
from latentdial.outputs import REPORT


def add_options(parser: ArgumentParser) -> None:
    about = "directories of runs, such as an AE and a VAE"
    checked(parser.add_argument("runs", type=str, nargs="+", help=about), check_run)
    about = "one HTML file, or .md with a folder of pictures beside it"
    out_option(parser, about, REPORT, default="report.html")
    about = "pictures, where the runs' own are gone"
    checked(parser.add_argument("--data", type=str | None, default=None, help=about), check_source)
    parser.add_argument(
        "--edits", type=str, nargs="+", default=[], help="shown on one picture; default: 1*=2 0*=10 c1*=2 c0*=10"
    )
    about = "the picture to edit; default: a test picture"
    checked(parser.add_argument("--picture", type=str | None, default=None, help=about), check_exists)
    parser.add_argument("--explorer", type=str | None, default=None, help="address of a page of explore to link")
    cache_option(parser)
    json_option(parser)


def run(options: Namespace) -> None:
    from latentdial.progress import show_progress
    from latentdial.report.compare import compare

    with show_progress() as show:
        comparison = compare(
            options.runs,
            options.out,
            data=options.data,
            edits=options.edits or None,
            picture=options.picture,
            explorer=options.explorer,
            show=show,
        )
    if options.json:
        print_json(comparison.as_dict())
        return
    names, rows = comparison.table()
    print_table(f"on the same {len(comparison.test)} test pictures", ["", *names], rows)
    for claim in comparison.claims():
        mean, interval = claim.numbers()
        say(f"{claim.text}: {claim.answer} ({mean}, 95% {interval})")
    for sentence in [*comparison.conclusion(), *comparison.notes]:
        say(sentence)
    say(f"report: {Path(options.out).resolve()}")
