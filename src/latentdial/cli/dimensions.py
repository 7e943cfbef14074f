"""`latentdial dimensions`: rank every dimension by what it does to the picture."""

from __future__ import annotations

from typing import Any

from jsonargparse import ArgumentParser, Namespace

from latentdial.cli.shared import (
    called,
    check_exists,
    checked,
    given_option,
    json_option,
    load_run,
    number_option,
    out_option,
    print_json,
    print_table,
    run_argument,
    save_picture,
    say_written,
    yes,
)
from latentdial.texts import counted


def add_options(parser: ArgumentParser) -> None:
    run_argument(parser)
    given_option(parser)
    parser.add_argument("--raw", action="store_true", help="the net's own dimensions in place of c0, c1, ...")
    out_option(parser, "PNG with a traversal strip of the strongest")
    number_option(parser, "--top", 12, 1, 512, "rows in the table and the picture")
    about = "the picture to turn; default: a training code"
    checked(parser.add_argument("--picture", type=str | None, default=None, help=about), check_exists)
    json_option(parser)


def run(options: Namespace) -> None:
    from latentdial.latent.effect import active_units, dimensions, real_codes
    from latentdial.progress import show_progress
    from latentdial.report.figures import dimension_sheet, said_of

    codec = load_run(options.run, options.given)
    with show_progress() as show:
        table = dimensions(codec, options.raw, lambda done, total: show.advance("measuring dimensions", done, total))
    if options.out:
        code = real_codes(codec, 2)[0] if options.picture is None else codec.encode(options.picture)[0]
        save_picture(dimension_sheet(codec, table, code, options.top), options.out)
    if options.json:
        about = {"run": options.run, "codes": table.codes, "active": active_units(codec)}
        print_json({**about, "dimensions": table.as_dicts()})
        return
    columns = [column for column in COLUMNS if any(column[1](row) not in (None, "") for row in table.rows)]
    rows = [[cell(row) or "-" for _, cell in columns] for row in table.rows[: options.top]]
    print_table(
        f"{called(options.run)}: {said_of(codec, table)}; effect over {counted(table.codes, 'real code')}",
        [c[0] for c in columns],
        rows,
    )
    say_written(options.out)


COLUMNS: list[tuple[str, Any]] = [
    ("dimension", lambda row: row.name),
    ("effect (levels for +-1 sd)", lambda row: f"{row.effect:.2f}"),
    ("share so far", lambda row: None if row.share is None else f"{row.share:.1%}"),
    ("sd", lambda row: f"{row.sd:.3f}"),
    ("KL (nats)", lambda row: None if row.kl is None else f"{row.kl:.2f}"),
    ("active", lambda row: None if row.active is None else yes(row.active)),
    ("+1 sd reads (sd)", lambda row: ", ".join(row.reads)),
]
