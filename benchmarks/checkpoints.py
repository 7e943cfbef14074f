"""What checkpoints cost: fcn-ae, 52.6 million parameters, trained with and without them in turns.

Command:  python benchmarks/checkpoints.py            (add --steps 40 for a quick look)
Time:     about 3 minutes on 2 cores
Expected: at the default of one in 5 minutes, at most 2% of the time

Every round trains the same steps without a checkpoint and with one in the middle, written in the background while the
steps go on, and waits for it at the end. What it costs is the difference: the copy, which training waits for, and
the writing, which takes some of the processor from it.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch

from latentdial.config import ModelSettings, TrainSettings
from latentdial.machine.precision import choose_device, choose_precision
from latentdial.recipes import build
from latentdial.training.checkpoint import Checkpoints, State
from latentdial.training.loop import Loop

EVERY = 300.0  # seconds between checkpoints by default


def make_loop(pixels: torch.Tensor, steps: int) -> Loop:
    device = choose_device("auto")
    recipe = build(ModelSettings("fcn-ae"), (3, 64, 64))
    recipe.model.to(device)
    settings = TrainSettings(steps=steps, batch=128)
    return Loop(recipe, settings, pixels.to(device), pixels[:1].to(device), device, choose_precision("auto", device))


def trained(pixels: torch.Tensor, steps: int, folder: Path | None) -> tuple[float, float]:
    """Seconds in all, and seconds that the call for a checkpoint took."""
    loop, waited = make_loop(pixels, steps), 0.0
    checkpoints = Checkpoints(folder) if folder else None

    def after_step() -> None:
        nonlocal waited
        if checkpoints and loop.step == steps // 2:
            start = time.perf_counter()
            checkpoints.save(loop.state(), State(loop.step), None)
            waited = time.perf_counter() - start

    start = time.perf_counter()
    loop.run(lambda record: None, lambda: False, after_step)
    if checkpoints:
        checkpoints.wait()
    return time.perf_counter() - start, waited


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    pixels = torch.randint(0, 256, (2000, 64, 64, 3), dtype=torch.uint8)
    more, waits = [], []
    for _ in range(args.rounds):
        plain, _ = trained(pixels, args.steps, None)
        with tempfile.TemporaryDirectory() as folder:
            saved, waited = trained(pixels, args.steps, Path(folder))
        more.append(saved - plain)
        waits.append(waited)
        print(f"without {plain:.2f} s, with one checkpoint {saved:.2f} s, of which training stood still {waited:.3f} s")
    cost = statistics.median(more)
    print(f"a checkpoint costs {cost:.2f} s (median): {100 * cost / EVERY:.2f}% at one in {EVERY / 60:.0f} minutes")


if __name__ == "__main__":
    main()
