"""`latentdial directions`: find, measure and name directions that change one thing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from jsonargparse import ArgumentParser, Namespace

from latentdial.cli.shared import (
    called,
    check_labels,
    check_source,
    checked,
    json_option,
    load_run,
    number_option,
    out_option,
    print_json,
    print_table,
    run_argument,
    save_picture,
    say,
    say_written,
)
from latentdial.texts import counted


def add_options(parser: ArgumentParser) -> None:
    run_argument(parser)
    about = "a CSV of file,attribute,...; or data: its own"
    checked(parser.add_argument("--labels", type=str | None, default=None, help=about), check_labels)
    about = "the labelled pictures; default: the run's"
    checked(parser.add_argument("--data", type=str | None, default=None, help=about), check_source)
    parser.add_argument(
        "--method", type=Literal["mean", "ridge", "svm"], default="mean", help="how directions come from labels"
    )
    about = "a folder of pictures that have something"
    checked(parser.add_argument("--these", type=str | None, default=None, help=about), check_source)
    about = "a folder of pictures that have not"
    checked(parser.add_argument("--those", type=str | None, default=None, help=about), check_source)
    parser.add_argument("--name", type=str | None, default=None, help="what --these have and --those have not")
    parser.add_argument("--without", type=str, nargs="+", default=[], help="directions to take out of the new ones")
    out_option(parser, "PNG with a sheet of the first directions")
    number_option(parser, "--top", 8, 1, 512, "of the strongest, and of those with a name, that are shown")
    parser.add_argument("--show", type=str, nargs="+", default=[], help="names to show instead, such as c3 17 smile")
    parser.add_argument("--again", action="store_true", help="measure again what the run holds already")
    json_option(parser)


def run(options: Namespace) -> None:
    from latentdial.discovery.study import Request, study
    from latentdial.latent.direction import NAMED
    from latentdial.progress import show_progress

    request = Request(
        options.labels, options.data, options.method, options.these, options.those, options.name, options.without
    )
    with show_progress() as show:
        stored = study(options.run, request, options.again, show.advance, show.say)
    shown = _shown(stored.directions, options)
    if options.out:
        from latentdial.report.direction_sheet import direction_sheet

        save_picture(direction_sheet(load_run(options.run), shown), options.out)
    if options.json:
        from latentdial.latent.stored import pack

        print_json({"run": options.run, **pack(stored)[0]})
        return
    count = min(8, len(stored.shares))
    foremost = f"the first {count} explain" if count > 1 else "the first explains"
    weak = stored.attributes.weak if stored.attributes else set()
    print_table(
        f"{called(options.run)}: {counted(len(stored.directions), 'direction')}; "
        f"{foremost} {stored.shares[count - 1]:.0%} of the decoded variance",
        ["direction", "kind", "levels for 1 sd", "95% interval", "sd", "linear", "safe range (sd)", "+1 sd reads (sd)"],
        [_direction_row(direction, weak) for direction in shown],
    )
    more = [one.name for one in stored.directions if one.kind in NAMED and one not in shown]
    if more and not options.show:
        say(f"more names (see them with --top {options.top + len(more)}): {', '.join(more)}")
    say_written(options.out)


def _shown(ranked: Sequence[Any], options: Namespace) -> list[Any]:
    """The directions asked for by name; else the foremost, and the one that is new."""
    from latentdial.latent.direction import foremost

    by_name = {direction.name: direction for direction in ranked}
    if options.show:
        from latentdial.discovery.measuring import measure
        from latentdial.latent.naming import direction_of

        codec = load_run(options.run)
        asked = [direction_of(codec, name) for name in options.show]
        fresh = {one.name: one for one in measure(codec, [one for one in asked if one.name not in by_name])}
        return [fresh.get(one.name) or by_name[one.name] for one in asked]
    shown = foremost(ranked, options.top)
    return shown if options.name is None or by_name[options.name] in shown else [*shown, by_name[options.name]]


def _direction_row(direction: Any, weak: set[str]) -> list[str]:
    effect, (low, high) = direction.effect, direction.safe
    return [
        direction.name,
        f"{direction.kind}, read weakly" if direction.name in weak else direction.kind,
        f"{effect.levels:.2f}",
        f"{effect.low:.2f} to {effect.high:.2f}",
        f"{direction.sd:.3f}",
        f"{effect.linearity:.0%}",
        f"{low:+.1f} to {high:+.1f}",
        ", ".join(direction.reads(2)),
    ]
