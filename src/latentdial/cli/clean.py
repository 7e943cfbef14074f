"""`latentdial clean`: remove what finished runs do not need any more."""

from __future__ import annotations

from jsonargparse import ArgumentParser, Namespace

from latentdial.cli.shared import json_option, print_json, print_table, say


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("folder", type=str, help="a run, or a directory with runs anywhere in it")
    parser.add_argument("--yes", action="store_true", help="remove it; without, it is only said what would go")
    json_option(parser)


def run(options: Namespace) -> None:
    from latentdial.runs.cleaning import remove_waste, waste

    found = waste(options.folder)
    total = sum(one.bytes for one in found)
    if options.yes:
        remove_waste(found)
    if options.json:
        rows = [{"run": one.run, "path": str(one.path), "what": one.what, "bytes": one.bytes} for one in found]
        print_json({"removed": options.yes, "bytes": total, "found": rows})
    elif not found:
        say(f"nothing in {options.folder} can go: checkpoints stay where --resume needs them")
    else:
        print_table("", ["run", "what", "MB"], [[one.run, one.what, f"{one.bytes / 1e6:,.1f}"] for one in found])
        done = "removed" if options.yes else "nothing was removed yet: add --yes to remove"
        say(f"{done} {total / 1e6:,.1f} MB")
