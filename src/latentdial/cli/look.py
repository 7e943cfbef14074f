"""`latentdial look`: see what a set of pictures holds: sizes, labels, duplicates, skipped files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from latentdial.cli.shared import (
    DATA,
    cache_option,
    check_source,
    checked,
    json_option,
    out_option,
    print_json,
    save_picture,
    say,
)
from latentdial.config import DataSettings, Geometry, settings_in
from latentdial.outputs import PAGE
from latentdial.texts import counted


def add_options(parser: ArgumentParser) -> None:
    checked(parser.add_argument("data", type=str, help=DATA), check_source)
    out_option(parser, "the page, one HTML file", PAGE, default="look.html")
    out_option(parser, "PNG with pictures from all over the set", name="--sheet", default="look.png")
    parser.add_class_arguments(Geometry)
    parser.add_class_arguments(DataSettings, skip={"source"})
    cache_option(parser)
    json_option(parser)


def run(options: Namespace) -> None:
    from latentdial.images import open_images
    from latentdial.images.survey import survey
    from latentdial.progress import show_progress
    from latentdial.report.look import look_sheet, write_look

    data = replace(settings_in(DataSettings, vars(options)), source=options.data)
    with show_progress() as show:
        images = open_images(data, settings_in(Geometry, vars(options)), show.advance)
        found = survey(images, data)
    write_look(found, options.data, Path(options.out))
    save_picture(look_sheet(found), options.sheet)
    if options.json:
        print_json(found.as_dict())
        return
    say(f"{counted(len(images), 'picture')}, {counted(len(images.skipped), 'file')} left out")
    for sentence in found.findings():
        say(f"- {sentence}")
    for reason, names in found.reasons[:8]:
        say(f"- left out {len(names):,}: {reason}, such as {names[0]}")
    say(f"wrote {options.sheet} and {Path(options.out).resolve()}")
