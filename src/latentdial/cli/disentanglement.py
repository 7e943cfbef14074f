"""`latentdial disentanglement`: score how far each dimension carries one known factor."""

from __future__ import annotations

from jsonargparse import ArgumentParser, Namespace

from latentdial.cli.shared import json_option, print_json, print_table, run_argument


def add_options(parser: ArgumentParser) -> None:
    run_argument(parser)
    json_option(parser)


def run(options: Namespace) -> None:
    from latentdial.discovery.study import disentanglement
    from latentdial.progress import show_progress

    with show_progress() as show:
        found = disentanglement(options.run, show.advance)
    if options.json:
        print_json({"run": options.run, **found})
        return
    print_table(f"{options.run}: 1 is best", ["score", ""], [[name, f"{value:.3f}"] for name, value in found.items()])
