"""Papers made again: what was measured, beside what is published, as one table of all reproductions.

Command:  python benchmarks/reproduce.py --data MNIST [NAME ...] [--budget 15m]
Time:     some fifteen core-minutes a reproduction; those that are there already are only read
Expected: benchmarks/results/reproduce.json

`latentdial reproduce NAME` does the work and tells more: curves, pictures and all figures.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch

from latentdial import storage
from latentdial.progress import show_progress
from latentdial.reproduction.page import write_reproduction
from latentdial.reproduction.protocol import names, read_protocol
from latentdial.reproduction.reproducing import RECORD, reproduce

SHOWN = 4  # figures of a run


def rows_of(record: dict[str, Any]) -> list[list[Any]]:
    """Runs with their foremost figures, then what is held against the paper."""
    name, protocol = record["reproduction"], read_protocol(record["reproduction"])
    rows: list[list[Any]] = []
    for run, figures in record["figures"].items():
        shown = [f"{figure} {figures[figure]:.4g}" for figure in protocol.figures if figure in figures][:SHOWN]
        rows.append([name, run, "; ".join(shown), None, record["core_seconds"].get(run)])
    for one in record["published"]:
        if one["measured"] is not None:
            held = f"{one['value']:g} +-{one['tolerance']:g}: {one['verdict']}"
            rows.append([name, f"{one['row']}: {one['figure']}", f"{one['measured']:.4g}", held, None])
    for one in record["orders"]:
        if one["holds"] is not None:
            rows.append([name, one["says"], f"{one['better']:.4g} against {one['worse']:.4g}", one["holds"], None])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=names())
    parser.add_argument("--data", help="a folder with MNIST's four files")
    parser.add_argument("--budget", default="15m")
    parser.add_argument("--folder", type=Path, default=Path("reproductions"))
    parser.add_argument("--out", default="benchmarks/results/reproduce.json")
    options = parser.parse_args()
    rows, notes = [], []
    for name in options.names:
        folder = options.folder / f"{name}-{options.budget}"
        if not (folder / RECORD).exists():
            with show_progress() as show:
                found = reproduce(name, folder, budget=options.budget, data=options.data, show=show)
            write_reproduction(found, folder / "index.html")
        record = storage.read_json(folder / RECORD)
        rows += rows_of(record)
        notes += [f"{name}: {note}" for note in record["notes"][:1]]
    result = {
        "question": f"What comes of papers' figures in {options.budget} of one core?",
        "topic": "Papers made again",
        "command": f"python benchmarks/reproduce.py --data MNIST --budget {options.budget}",
        "date": time.strftime("%Y-%m-%d"),
        "machine": "2 virtual cores, Intel Xeon with AMX, shared; one thread, float32",
        "versions": {"torch": torch.__version__.split("+")[0]},
        "columns": ["reproduction", "run, or what the paper says", "measured", "published, or so here", "core-seconds"],
        "rows": rows,
        "notes": ["Runs with their figures, then what is held against the paper.", *notes],
    }
    Path(options.out).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
