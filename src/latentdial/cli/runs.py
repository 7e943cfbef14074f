"""`latentdial runs`: list the runs below a directory with their settings and results, or follow them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace

from latentdial.cli.shared import json_option, print_json, print_table, say, table
from latentdial.texts import counted

RUN_COLUMNS = ["run", "state", "recipe", "data", "net", "batch", "lr", "epochs", "step", "validation", "speed", "when"]


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("folder", type=str, help="a run, or a directory with runs anywhere in it")
    parser.add_argument(
        "--sort", type=str, default="time", help="time, or a column or validation term such as lr or loss"
    )
    parser.add_argument("--watch", action="store_true", help="follow until Ctrl-C, or until no run is running any more")
    json_option(parser)


def run(options: Namespace) -> None:
    from latentdial.runs.listing import list_runs, watch_runs

    if not options.watch:
        rows = list_runs(options.folder, options.sort)
        if options.json:
            print_json([row.as_dict() for row in rows])
        else:
            print_table(
                f"{options.folder}: {counted(len(rows), 'run')}", RUN_COLUMNS, [_run_cells(row) for row in rows]
            )
        return
    try:
        _follow(watch_runs(options.folder, options.sort), options.json)
    except KeyboardInterrupt:
        return


def _follow(snapshots: Any, as_json: bool) -> None:
    """A table that changes in place on a terminal; elsewhere a line for each run that has changed."""
    if sys.stdout.isatty() and not as_json:
        from rich.console import Console
        from rich.live import Live

        with Live(console=Console(highlight=False, markup=False), auto_refresh=False) as live:
            for rows in snapshots:
                live.update(table(RUN_COLUMNS, [_run_cells(row) for row in rows]), refresh=True)
        return
    shown: dict[str, Any] = {}
    for rows in snapshots:
        for row in rows:
            if shown.get(row.run) != row:
                shown[row.run] = row
                say(json.dumps(row.as_dict()) if as_json else "  ".join(_run_cells(row)))


def _run_cells(row: Any) -> list[str]:
    import time

    when = time.strftime("%m-%d %H:%M", time.localtime(row.when))
    if row.state == "broken":
        return [row.run, row.state, *[""] * 7, row.reason, "", when]
    terms = "  ".join(f"{name} {value:.5g}" for name, value in row.validation.items())
    speed = "" if row.seconds is None else f"{row.seconds:,.0f} s, {row.images_per_second or 0:,.0f}/s"
    return [
        row.run,
        row.state,
        row.recipe,
        Path(row.data).name or row.data,
        f"{row.size} px, {row.latent or '?'} dims, {row.precision}",
        str(row.batch),
        f"{row.lr:g}",
        f"{row.epochs:g}",
        f"{row.step:,}" + (f" of {row.steps:,}" if row.steps else ""),
        terms,
        speed,
        when,
    ]
