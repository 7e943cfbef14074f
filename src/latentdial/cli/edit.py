"""`latentdial edit`: change chosen dimensions of a picture's code and see what happens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace

from latentdial.cli.shared import (
    cache_option,
    check_exists,
    check_pictures,
    checked,
    given_option,
    json_option,
    load_run,
    out_option,
    print_json,
    run_argument,
    save_picture,
    say,
    say_written,
)
from latentdial.errors import LatentdialError
from latentdial.outputs import check_folder

EXAMPLES = [
    'latentdial edit runs/vae face.jpg "c0+=2" "1*=2" --out sheet.png      # what each does, side by side',
    'latentdial edit runs/vae face.jpg "c0+=2" --save edited.png           # the edited picture alone',
    'latentdial edit runs/vae PICTURES "c0+=2" --out-dir edited/           # a whole set, and changes.csv',
]


def add_options(parser: ArgumentParser) -> None:
    run_argument(parser)
    given_option(parser)
    about = "the picture to edit; or several, or sets of pictures such as folders"
    checked(parser.add_argument("picture", type=str, help=about), check_pictures)
    parser.add_argument("edits", type=str, nargs="+", help="such as c0+=2, 1*=2, 5=0 or 3+=2s; several joined by ;")
    parser.add_argument("--keep", type=str, nargs="+", default=[], help="directions to hold where they are")
    about = "JSON files that Make a direction of the explorer saved"
    checked(parser.add_argument("--direction", type=str, nargs="+", default=[], help=about), check_exists)
    parser.add_argument("--preserve-detail", action="store_true", help="carry over what the codec blurs")
    out_option(parser, "PNG: original, reconstruction, a column per edit")
    out_option(parser, "PNG of the picture alone, after all edits together", name="--save")
    about = "folder for many: each picture alone, and changes.csv"
    checked(parser.add_argument("--out-dir", type=str | None, default=None, help=about), check_folder)
    parser.add_argument("--sheets", action="store_true", help="in --out-dir, sheets in place of pictures alone")
    cache_option(parser)
    json_option(parser)


def run(options: Namespace) -> None:
    from latentdial.discovery.file import read_direction
    from latentdial.latent.grammar import is_edit
    from latentdial.latent.stored import merged
    from latentdial.progress import show_progress

    given = [options.picture, *options.edits]
    first = next((i for i, text in enumerate(given) if i and (is_edit(text) or not Path(text).exists())), len(given))
    files, edits = given[:first], given[first:]
    _check(options, files)
    how = {"keep": options.keep, "preserve_detail": options.preserve_detail}
    with show_progress() as show:
        codec = load_run(options.run, options.given, show)
        made = [read_direction(path, codec) for path in options.direction]
        codec = replace(codec, directions=tuple(merged(codec.directions, made)))
        if options.out_dir:
            _into_folder(codec, files, edits, how, options, show)
        else:
            _said(list(_sheets(codec, files, edits, how, show)), options)


def _check(options: Namespace, files: list[str]) -> None:
    """Refuse ways of writing that do not go together, before any work."""
    from latentdial.runs.given import is_picture_file

    several = len(files) > 1 or not is_picture_file(files[0])
    one = options.out or options.save
    if several and one:
        raise LatentdialError(f"{one} is one file, and there may be many pictures: name a folder with --out-dir")
    if options.sheets and not options.out_dir:
        raise LatentdialError("--sheets goes with --out-dir: name the folder that they go to")


def _into_folder(
    codec: Any, files: list[str], edits: list[str], how: dict[str, Any], options: Namespace, show: Any
) -> None:
    from latentdial.report.many import edit_many

    done = edit_many(codec, files, *edits, out_dir=options.out_dir, sheets=options.sheets, **how, show=show)
    if options.json:
        paths = {"out_dir": str(done.out_dir), "table": str(done.table)}
        print_json({"run": options.run, **asdict(done), **paths})
        return
    say(done.sentence())
    say(f"{'sheets' if options.sheets else 'pictures'} in {done.out_dir}, changes in {done.table}")


def _sheets(
    codec: Any, files: list[str], edits: list[str], how: dict[str, Any], show: Any
) -> Iterator[tuple[str, Any]]:
    """Names and sheets of all pictures."""
    from latentdial.latent.editing import edit
    from latentdial.runs.given import given_pictures

    for names, pixels in given_pictures(codec, files, show).batches():
        yield from zip(names, edit(codec, pixels, *edits, **how), strict=True)


def _said(found: list[tuple[str, Any]], options: Namespace) -> None:
    from latentdial.images.montage import to_picture
    from latentdial.report.figures import edit_sheet

    several = len(found) > 1
    if options.out:
        save_picture(edit_sheet(found[0][1]), options.out)
    if options.save:
        save_picture(to_picture(found[0][1].columns[-1].picture), options.save)
    if options.json:
        told = [
            {"picture": name, "novelty": sheet.novelty and asdict(sheet.novelty), "edits": _record(sheet)}
            for name, sheet in found
        ]
        print_json({"run": options.run, **({"pictures": told} if several else told[0])})
        return
    for name, sheet in found:
        if several:
            say(f"{name}:")
        for sentence in sheet.sentences():
            say(f"{'  ' if several else ''}{sentence}")
    if several:
        say("no picture was written: name a folder for them with --out-dir")
    say_written(options.out)
    say_written(options.save)


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
