"""`latentdial edit`: change chosen dimensions of a picture's code and see what happens."""

from __future__ import annotations

from dataclasses import replace

from jsonargparse import ArgumentParser, Namespace

from latentdial.cli.shared import json_option, load_run, print_json, run_argument, save_picture, say, say_written


def add_options(parser: ArgumentParser) -> None:
    run_argument(parser)
    parser.add_argument("picture", type=str, help="the picture file to edit")
    parser.add_argument("edits", type=str, nargs="+", help="such as 1*=2, 0+=3, 5=0 or smile+=2s; several joined by ;")
    parser.add_argument("--keep", type=str, nargs="+", default=[], help="directions to hold where they are")
    parser.add_argument(
        "--direction", type=str, nargs="+", default=[], help="JSON files that Make a direction of the explorer saved"
    )
    parser.add_argument("--preserve-detail", action="store_true", help="keep what the codec blurs, away from the edit")
    parser.add_argument("--out", type=str | None, default=None, help="PNG: original, reconstruction, a column per edit")
    json_option(parser)


def run(options: Namespace) -> None:
    from latentdial.directions.file import read_direction
    from latentdial.latent.editing import edit
    from latentdial.latent.stored import merged
    from latentdial.report.figures import edit_sheet

    codec = load_run(options.run)
    made = [read_direction(path, codec) for path in options.direction]
    codec = replace(codec, directions=tuple(merged(codec.directions, made)))
    sheet = edit(codec, options.picture, *options.edits, keep=options.keep, preserve_detail=options.preserve_detail)
    if options.out:
        save_picture(edit_sheet(sheet), options.out)
    if options.json:
        from dataclasses import asdict

        print_json(
            {
                "run": options.run,
                "picture": options.picture,
                "edits": [
                    {
                        "label": column.label,
                        "change": asdict(column.change),
                        "out": column.out,
                        "warning": column.warning,
                        "moves": [asdict(move) for move in column.moves],
                        "reads": column.reads,
                        "code": column.code.tolist(),
                    }
                    for column in sheet.columns
                ],
            }
        )
        return
    for sentence in sheet.sentences():
        say(sentence)
    say_written(options.out)
