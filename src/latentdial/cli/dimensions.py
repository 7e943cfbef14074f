"""`latentdial dimensions`: rank every dimension by what it does to the picture."""

from __future__ import annotations

from jsonargparse import ArgumentParser, Namespace

from latentdial.cli.shared import (
    json_option,
    load_run,
    print_json,
    print_table,
    run_argument,
    save_picture,
    say_written,
    yes,
)


def add_options(parser: ArgumentParser) -> None:
    run_argument(parser)
    parser.add_argument("--out", type=str | None, default=None, help="PNG with a traversal strip of the strongest")
    parser.add_argument("--top", type=int, default=12, help="rows in the table and the picture")
    parser.add_argument(
        "--picture", type=str | None, default=None, help="the picture to turn; default: a training code"
    )
    json_option(parser)


def run(options: Namespace) -> None:
    from latentdial.latent.effect import dimensions, real_codes
    from latentdial.progress import show_progress
    from latentdial.report.figures import dimension_sheet

    codec = load_run(options.run)
    with show_progress() as show:
        table = dimensions(codec, progress=lambda done, total: show.advance("measuring dimensions", done, total))
    if options.out:
        code = real_codes(codec, 2)[0] if options.picture is None else codec.encode(options.picture)[0]
        save_picture(dimension_sheet(codec, table, code, options.top), options.out)
    if options.json:
        print_json({"run": options.run, "codes": table.codes, "active": table.active, "dimensions": table.as_dicts()})
        return
    reads = any(row.reads for row in table.rows)
    print_table(
        f"{options.run}: {table.active} of {codec.latent} dimensions active; effect over {table.codes} real codes",
        [
            "dimension",
            "effect (levels for +-1 sd)",
            "sd",
            "KL (nats)",
            "active",
            *(["+1 sd reads (sd)"] if reads else []),
        ],
        [
            [
                row.dimension,
                f"{row.effect:.2f}",
                f"{row.sd:.3f}",
                "-" if row.kl is None else f"{row.kl:.2f}",
                yes(row.active),
                *([", ".join(row.reads)] if reads else []),
            ]
            for row in table.rows[: options.top]
        ],
    )
    say_written(options.out)
