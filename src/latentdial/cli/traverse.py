"""`latentdial traverse`: turn dimensions and directions of a picture as far as can be seen."""

from __future__ import annotations

from jsonargparse import ArgumentParser, Namespace

from latentdial.cli.shared import (
    check_exists,
    checked,
    json_option,
    load_run,
    out_option,
    print_json,
    run_argument,
    say,
    say_written,
)
from latentdial.outputs import PAGE, STRIP

EXAMPLES = [
    "latentdial traverse runs/vae face.jpg --out strips.png            # the first six canonical coordinates",
    "latentdial traverse runs/vae face.jpg c0 c1 0 1 --out moving.gif",
]
FOREMOST = 6


def add_options(parser: ArgumentParser) -> None:
    run_argument(parser)
    checked(parser.add_argument("picture", type=str, help="the picture file to turn"), check_exists)
    parser.add_argument(
        "names", type=str, nargs="*", help="such as c0, c1, 17 or a direction's name; default: c0 to c5"
    )
    parser.add_argument("-n", type=int, default=7, help="pictures in a strip")
    parser.add_argument("--reach", type=float | None, default=None, help="sd either way; default: until it can be seen")
    about = "strips as .png, moving as .gif or .webp, both as .html"
    out_option(parser, about, (*STRIP, *PAGE), default="strip.png")
    json_option(parser)


def run(options: Namespace) -> None:
    from latentdial.latent.traversing import traverse
    from latentdial.report.traversal import write_traversal

    codec = load_run(options.run)
    names = options.names or [f"c{i}" for i in range(min(FOREMOST, len(codec.canonical.steps)))]
    found = traverse(codec, options.picture, *names, n=options.n, reach=options.reach)
    write_traversal(found, options.out)
    if options.json:
        strips = [
            {"direction": one.direction.name, "reach": one.reach, "levels": one.levels, "seen": one.seen}
            for one in found.strips
        ]
        print_json({"run": options.run, "strips": strips, "out": options.out})
        return
    for sentence in found.sentences():
        say(sentence)
    say_written(options.out)
