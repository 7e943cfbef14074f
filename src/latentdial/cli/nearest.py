"""`latentdial nearest`: find the pictures of a set that are most like one."""

from __future__ import annotations

from jsonargparse import ArgumentParser, Namespace

from latentdial.cli.shared import (
    DATA,
    cache_option,
    check_exists,
    check_source,
    checked,
    json_option,
    load_run,
    out_option,
    print_json,
    print_table,
    run_argument,
    save_picture,
    say,
    say_written,
)
from latentdial.texts import counted

EXAMPLES = [
    "latentdial nearest runs/vae face.jpg --out nearest.png           # among the pictures it was trained on",
    "latentdial nearest runs/vae face.jpg PICTURES -n 12 --out nearest.png",
]


def add_options(parser: ArgumentParser) -> None:
    run_argument(parser)
    checked(parser.add_argument("picture", type=str, help="the picture file to find neighbours of"), check_exists)
    about = f"default: its training pictures; {DATA}"
    checked(parser.add_argument("data", type=str | None, nargs="?", default=None, help=about), check_source)
    parser.add_argument("-n", type=int, default=8, help="how many are found each way")
    out_option(parser, "PNG: the nearest by code and by pixels")
    cache_option(parser)
    json_option(parser)


def run(options: Namespace) -> None:
    from latentdial.progress import show_progress
    from latentdial.report.neighbours import nearest

    with show_progress() as show:
        found = nearest(load_run(options.run), options.picture, options.data, n=options.n, show=show)
    if options.out:
        save_picture(found.sheet(), options.out)
    if options.json:
        pairs = {"by_code": found.by_code, "by_pixels": found.by_pixels}
        about = {"run": options.run, "pictures": found.total, "copies": found.copies, "shared": found.shared}
        print_json({**about, **{name: [one.as_dict() for one in several] for name, several in pairs.items()}})
        return
    labelled = any(one.label for one in [*found.by_code, *found.by_pixels])
    for title, several in (("by code", found.by_code), ("by pixels", found.by_pixels)):
        labels = [[one.label or "-"] if labelled else [] for one in several]
        rows = [
            [one.name, *label, f"{one.code:.3f}", f"{one.pixels:.1f}"]
            for one, label in zip(several, labels, strict=True)
        ]
        head = [*(["label"] if labelled else []), "code (1: two pictures at random)", "pixels (levels)"]
        print_table("", [f"nearest {title}", *head], rows)
    both = f"{found.shared} of {len(found.by_code)} {'is' if found.shared == 1 else 'are'} nearest both ways"
    say(f"{both}, among {counted(found.total, 'picture')}")
    if found.copies:
        say(f"{counted(found.copies, 'exact copy', 'exact copies')} of the picture left out")
    say_written(options.out)
