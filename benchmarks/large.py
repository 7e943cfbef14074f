"""Resident memory while training on an array that is larger than memory.

Command:  python benchmarks/large.py --gb 30 --steps 300 --room FOLDER
Time:     about 2 minutes on one core (half of it hashes the 30 GB once)
Expected: resident memory of the process stays flat over the steps: its own within 20 MB after the first fifth, some 400
          bytes a picture for names, hashes and orders; pages of the mapped file at most 20 MB more than at the start

The array is made in FOLDER and removed again: a .npy of uint8 pictures 64x64 RGB of the stated size, sparse, so that it
takes no room on disk; every 1,000th picture is drawn. It is mapped and read page by page as any other file.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from latentdial import train

SIZE = 64
KINDS = ("RssAnon", "RssFile")


def make_array(path: Path, gb: float) -> int:
    """Write a sparse .npy of about `gb` GB; returns how many pictures it holds."""
    count = int(gb * 1e9 / (SIZE * SIZE * 3))
    pictures = np.lib.format.open_memmap(path, "w+", np.uint8, (count, SIZE, SIZE, 3))
    rng = np.random.default_rng(0)
    for i in range(0, count, 1000):
        pictures[i] = rng.integers(0, 256, (8, 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    del pictures
    return count


def resident() -> dict[str, float]:
    """MB of this process that are its own and that belong to mapped files."""
    lines = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return {kind: int(lines[kind].split()[0]) / 1000 for kind in KINDS}


def watch(records: list[tuple[float, float, float]], done: threading.Event) -> None:
    start = time.perf_counter()
    while not done.wait(0.5):
        records.append((time.perf_counter() - start, *resident().values()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gb", type=float, default=30.0)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--room", type=Path, help="a folder for the array")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.room) as room:
        os.environ["LATENTDIAL_CACHE"] = f"{room}/cache"
        path = Path(room, "large.npy")
        count = make_array(path, options.gb)
        print(
            f"{count:,} pictures, {path.stat().st_size / 1e9:.1f} GB ({path.stat().st_blocks * 512 / 1e9:.2f} on disk)"
        )
        net = {"latent": 32, "widths": [256]}
        for steps in (1, options.steps):  # the first reads and hashes all pictures once
            start = time.perf_counter()
            records: list[tuple[float, float, float]] = []
            done = threading.Event()
            watcher = threading.Thread(target=watch, args=(records, done))
            watcher.start()
            train("fcn-ae", path, Path(room, f"run{steps}"), options=net, steps=steps, memory="stream", checkpoint=0)
            done.set()
            watcher.join()
            show(records, f"{steps} steps in {time.perf_counter() - start:.0f} s")


def show(records: list[tuple[float, float, float]], title: str) -> None:
    print(title)
    for seconds, anonymous, mapped in records[:: max(1, len(records) // 12)]:
        print(f"  {seconds:6.1f} s: own {anonymous:6.0f} MB, mapped files {mapped:6.0f} MB")
    middle = np.array(records)[len(records) // 5 : -max(1, len(records) // 20)]
    for column, kind in enumerate(("own", "mapped"), 1):
        low, high = middle[:, column].min(), middle[:, column].max()
        print(f"  without the first fifth and the end, {kind}: {low:.0f} to {high:.0f} MB")


if __name__ == "__main__":
    main()
