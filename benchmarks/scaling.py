"""Images/s of one and of two processes on one machine: fcn-ae, 64x64, global batch 512, one thread a process.

Command:  python benchmarks/scaling.py                (add --steps 10 --rounds 1 for a quick look)
Time:     about 4 minutes on 2 cores
Expected: two processes at least 1.5 times one on 2 free cores, with DDP; --shard is slower on a CPU

Both are started by torchrun and talk through gloo; the figure is the images/s that the run itself states.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]
SETTINGS = ["--batch", "512", "--checkpoint", "0", "--precision", "float32", "--device", "cpu"]
KINDS = {"1 process": (1, "false"), "2 processes, DDP": (2, "false"), "2 processes, --shard": (2, "true")}


def rate(data: Path, out: Path, processes: int, shard: str, steps: int) -> float:
    command = [*TORCHRUN, "--nproc-per-node", str(processes), "-m", "latentdial", "train", "fcn-ae", str(data)]
    more = ["--out", str(out), "--steps", str(steps), "--shard", shard, *SETTINGS]
    subprocess.run([*command, *more], check=True, capture_output=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    return json.loads((out / "summary.json").read_text())["images_per_second"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    rates: dict[str, list[float]] = {kind: [] for kind in KINDS}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        np.save(folder / "noise.npy", np.random.default_rng(0).integers(0, 256, (4000, 64, 64, 3), np.uint8))
        for i in range(args.rounds):
            for kind, (processes, shard) in KINDS.items():
                out = folder / f"{i}-{processes}-{shard}"
                rates[kind].append(rate(folder / "noise.npy", out, processes, shard, args.steps))
    one = statistics.median(rates["1 process"])
    for kind, values in rates.items():
        middle = statistics.median(values)
        span = f"{min(values):.0f} to {max(values):.0f}"
        print(f"{kind:22} {middle:6.0f} images/s ({span}), {middle / one:.2f} times one")


if __name__ == "__main__":
    main()
