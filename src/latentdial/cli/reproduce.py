"""`latentdial reproduce`: a paper's table or figure made again, measured beside published."""

from __future__ import annotations

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from latentdial import outputs
from latentdial.cli.shared import (
    cache_option,
    check_source,
    checked,
    json_option,
    print_json,
    print_table,
    say,
    say_written,
)

NAMES = "which: aevb, iwae, rae, sigma-vae, vae-mnist or vq-vae; without one, all are listed"


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("name", type=str | None, nargs="?", default=None, help=NAMES)
    parser.add_argument(
        "--budget",
        type=str,
        default="15m",
        help="how long is trained: 15m and 1h of one core, full as in the paper; tiny only checks that all runs",
    )
    about = "a folder with MNIST's four IDX files, or any set of pictures; default: avatars stand in"
    checked(parser.add_argument("--data", type=str | None, default=None, help=about), check_source)
    about = "directory; default: reproductions/NAME-BUDGET"
    checked(parser.add_argument("--out", type=str | None, default=None, help=about), outputs.check_folder)
    parser.add_argument("--rows", type=str, nargs="+", default=None, help="only these rows of the table, by name")
    cache_option(parser)
    json_option(parser)


def run(options: Namespace) -> None:
    from latentdial.progress import show_progress
    from latentdial.reproduction.page import write_reproduction
    from latentdial.reproduction.protocol import names, read_protocol
    from latentdial.reproduction.reproducing import RECORD, reproduce

    if options.name is None:
        rows = [[name, read_protocol(name).title, ", ".join(read_protocol(name).budgets)] for name in names()]
        print_table("", ["reproduction", "what is made again", "budgets"], rows)
        return
    out = Path(options.out or f"reproductions/{options.name}-{options.budget}")
    with show_progress() as show:
        found = reproduce(options.name, out, budget=options.budget, data=options.data, rows=options.rows, show=show)
    write_reproduction(found, out / "index.html")
    if options.json:
        print_json(found.as_dict())
        return
    print_table(f"{found.protocol.title} (budget {found.budget}, pictures: {found.data})", *found.table())
    if found.compared:
        print_table("", *found.against())
    for one in found.ordered:
        say(f"{one.order.says}: {one.words()}")
    for note in found.notes:
        say(f"- {note}")
    say_written(f"{out / RECORD} and {out / 'index.html'}")
