"""`latentdial cache`: list or clear the decoded pictures."""

from __future__ import annotations

from typing import Literal

from jsonargparse import ArgumentParser, Namespace

from latentdial.cli.shared import cache_option, json_option, print_json, print_table, say


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("action", type=Literal["list", "clear"], help="list what is decoded, or remove it")
    cache_option(parser)
    json_option(parser)


def run(options: Namespace) -> None:
    from dataclasses import asdict

    from latentdial.images.cache import cache_entries, cache_folder, clear_cache

    if options.action == "clear":
        count, size = clear_cache()
        if options.json:
            print_json({"removed": count, "bytes": size})
        else:
            say(f"removed {count} decoded sets ({size / 1e6:,.0f} MB) from {cache_folder()}")
        return
    entries = cache_entries()
    if options.json:
        print_json([asdict(entry) | {"folder": str(entry.folder)} for entry in entries])
        return
    rows = [
        [
            entry.source,
            f"{entry.pictures:,}",
            f"{entry.skipped:,}",
            f"{entry.size} {entry.colour}",
            f"{entry.bytes / 1e6:,.0f}",
            entry.written,
        ]
        for entry in entries
    ]
    title = f"{cache_folder()}: {sum(entry.bytes for entry in entries) / 1e6:,.0f} MB"
    print_table(title, ["source", "pictures", "skipped", "geometry", "MB", "written"], rows)
