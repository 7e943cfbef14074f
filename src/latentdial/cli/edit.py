"""`latentdial edit`: change chosen dimensions of a picture's code and see what happens."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace

from latentdial import outputs
from latentdial.cli.shared import (
    check_exists,
    checked,
    json_option,
    load_run,
    print_json,
    run_argument,
    save_picture,
    say,
    say_written,
)
from latentdial.errors import LatentdialError


def add_options(parser: ArgumentParser) -> None:
    run_argument(parser)
    about = "the picture file to edit; or several, or folders of pictures"
    checked(parser.add_argument("picture", type=str, help=about), check_exists)
    parser.add_argument("edits", type=str, nargs="+", help="such as c0+=2, 1*=2, 5=0 or smile+=2s; several joined by ;")
    parser.add_argument("--keep", type=str, nargs="+", default=[], help="directions to hold where they are")
    about = "JSON files that Make a direction of the explorer saved"
    checked(parser.add_argument("--direction", type=str, nargs="+", default=[], help=about), check_exists)
    parser.add_argument("--preserve-detail", action="store_true", help="keep what the codec blurs, away from the edit")
    parser.add_argument(
        "--out", type=str | None, default=None, help="PNG: original, reconstruction, a column per edit; or a folder"
    )
    json_option(parser)


def run(options: Namespace) -> None:
    from latentdial.discovery.file import read_direction
    from latentdial.latent.editing import edit
    from latentdial.latent.grammar import is_edit
    from latentdial.latent.stored import merged

    given = [options.picture, *options.edits]
    first = next((i for i, text in enumerate(given) if i and (is_edit(text) or not Path(text).exists())), len(given))
    files, edits = [file for path in given[:first] for file in _files(path)], given[first:]
    several = len(given[:first]) > 1 or Path(given[0]).is_dir()
    outs = _outs(options.out, files, several)
    codec = load_run(options.run)
    made = [read_direction(path, codec) for path in options.direction]
    codec = replace(codec, directions=tuple(merged(codec.directions, made)))
    sheets = edit(codec, list(files), *edits, keep=options.keep, preserve_detail=options.preserve_detail)
    if outs:
        from latentdial.report.figures import edit_sheet

        for sheet, out in zip(sheets, outs, strict=True):
            save_picture(edit_sheet(sheet), out)
    if options.json:
        found = [{"picture": file, "edits": _record(sheet)} for file, sheet in zip(files, sheets, strict=True)]
        print_json({"run": options.run, **({"pictures": found} if several else found[0])})
        return
    for file, sheet in zip(files, sheets, strict=True):
        if several:
            say(f"{file}:")
        for sentence in sheet.sentences():
            say(f"{'  ' if several else ''}{sentence}")
    say_written(options.out)


def _files(path: str) -> list[str]:
    """A picture file, or those of a folder."""
    if not Path(path).is_dir():
        return [path]
    from latentdial.images.folder import list_folder

    listing = list_folder(Path(path))
    return [str(Path(path) / name) for name in listing.names]


def _outs(out: str | None, files: list[str], several: bool) -> list[str]:
    """Where the sheets go: one file, or in a folder one named after each picture."""
    if out is None or not several:
        return [] if out is None else [str(outputs.check_file(out, outputs.PICTURE))]
    if Path(out).suffix:
        raise LatentdialError(f"--out {out} is one file, and there are {len(files)} pictures: name a folder")
    outputs.check_folder(out)
    names = [Path(file).stem for file in files]
    again = [names[:i].count(name) for i, name in enumerate(names)]
    return [str(Path(out) / f"{n}{f'-{k + 1}' if k else ''}.png") for n, k in zip(names, again, strict=True)]


def _record(sheet: Any) -> list[dict[str, Any]]:
    return [
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
    ]
