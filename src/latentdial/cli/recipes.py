"""`latentdial recipes`: list what can be trained, with its paper."""

from __future__ import annotations

from jsonargparse import ArgumentParser, Namespace

from latentdial.cli.shared import json_option, options_text, print_json, print_table


def add_options(parser: ArgumentParser) -> None:
    json_option(parser)


def run(options: Namespace) -> None:
    from latentdial.recipes import builder_of, names, options_of

    about = {name: " ".join((builder_of(name).__doc__ or "").split()) for name in names()}
    if options.json:
        print_json({name: {"about": about[name], "options": options_of(name)} for name in about})
        return
    rows = [[name, about[name], options_text(options_of(name))] for name in about]
    print_table("", ["recipe", "what it is", "options for --set"], rows)
