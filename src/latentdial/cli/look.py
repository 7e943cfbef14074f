"""`latentdial look`: see what a set of pictures holds: sizes, labels, duplicates, skipped files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from latentdial.cli.shared import DATA, cache_option, json_option, print_json, say, write_file
from latentdial.config import DataSettings, Geometry, settings_in


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("data", type=str, help=DATA)
    parser.add_argument("--out", type=str, default="look.html", help="the page, one HTML file")
    parser.add_argument("--sheet", type=str, default="look.png", help="PNG with pictures from all over the set")
    parser.add_class_arguments(Geometry)
    parser.add_class_arguments(DataSettings, skip={"source"})
    cache_option(parser)
    json_option(parser)


def run(options: Namespace) -> None:
    from latentdial.images import open_images
    from latentdial.images.survey import survey
    from latentdial.progress import show_progress
    from latentdial.report.look import save_sheet, write_look

    data = replace(settings_in(DataSettings, vars(options)), source=options.data)
    with show_progress() as show:
        images = open_images(data, settings_in(Geometry, vars(options)), show.advance)
        found = survey(images, data)
    write_look(found, options.data, Path(options.out))
    write_file(lambda path: save_sheet(found, path), options.sheet)
    if options.json:
        print_json(found.as_dict())
        return
    say(f"{len(images):,} pictures, {len(images.skipped):,} files left out")
    for sentence in found.findings():
        say(f"- {sentence}")
    for reason, names in found.reasons[:8]:
        say(f"- left out {len(names):,}: {reason}, such as {names[0]}")
    say(f"wrote {options.sheet} and {Path(options.out).resolve()}")
