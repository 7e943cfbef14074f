"""Seconds of training until the best validation loss that pythae reaches in some epochs: latentdial beside pythae.

Command:  python benchmarks/time_to_quality.py --pythae /path/to/pythae/bin/python      (--net fcn-ae: add --epochs 6)
Time:     about 3 minutes on 2 cores once the avatars are rendered
Expected: latentdial is there in at most 1/1.8 of pythae's seconds on mlp-vae

Both train the same layers from the same weights on the same avatars with the same batch and Adam at the same learning
rate, an epoch in turns; latentdial with its defaults (warm-up, cosine to zero over the epochs), pythae with its own
(constant). After every epoch the weights of both are judged by latentdial's own evaluation, on the same held-out
pictures, in nats a picture; neither that nor pythae's own evaluation is in the seconds. pythae is credited with the
seconds up to its best epoch; as its last epochs may gain little, both also with those up to within 1% of that loss.
"""

from __future__ import annotations

import argparse
import datetime
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import load_file

from latentdial.config import DataSettings, Geometry, TrainSettings
from latentdial.images import open_images, split_images
from latentdial.machine.precision import choose_device, choose_precision
from latentdial.training.loop import Loop
from nets import NETS, Net
from pythae_worker import Contender

Curve = list[tuple[float, float]]  # after every epoch: seconds of training so far, validation loss in nats a picture


def avatars(net: Net, limit: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Training and validation pictures at the net's size, uint8 (N, H, W, C)."""
    geometry = Geometry(size=net.shape[1], colour="rgb" if net.shape[0] == 3 else "grey")
    images = open_images(DataSettings(source="avatars", limit=limit), geometry, lambda *_: None)
    parts = split_images(images, 0.2, 0)
    return torch.from_numpy(images.pixels[parts.train]), torch.from_numpy(images.pixels[parts.validation])


def make_loop(net: Net, pictures: tuple[torch.Tensor, torch.Tensor], epochs: int, lr: float, seed: int) -> Loop:
    device = choose_device("auto")
    recipe = net.build(seed)
    recipe.model.to(device)
    settings = TrainSettings(batch=net.batch, epochs=epochs, lr=lr, seed=seed)
    train, validation = (part.to(device) for part in pictures)
    return Loop(recipe, settings, train, validation, device, choose_precision("auto", device))


def ours(loop: Loop, epochs: int) -> Iterator[tuple[float, float]]:
    for epoch in range(1, epochs + 1):
        loop.run(lambda record: None, lambda goal=epoch * loop.batches: loop.step >= goal)
        yield loop.seconds, loop.evaluate(loop.validation)["loss"]


def theirs(pythae: Contender, judge: Loop) -> Iterator[tuple[float, float]]:
    spent = 0.0
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "weights.safetensors"
        for seconds in pythae.epochs(weights):
            spent += seconds
            judge.recipe.model.load_state_dict(load_file(weights))
            yield spent, judge.evaluate(judge.validation)["loss"]


def race(python: str, name: str, pictures: tuple[torch.Tensor, torch.Tensor], epochs: int, lr: float, seed: int):
    """Train both, an epoch in turns; the curve of each."""
    pythae = Contender(python, name, pictures[0].numpy(), lr, seed)
    loop, judge = (make_loop(NETS[name], pictures, epochs, lr, seed) for _ in range(2))
    turns = zip(ours(loop, epochs), theirs(pythae, judge), strict=False)
    curves = list(zip(*turns, strict=True))
    pythae.close()
    return curves


def seconds_to(curve: Curve, target: float) -> float:
    """The seconds after the first epoch with a loss of at most `target`; infinite where there is none."""
    return next((seconds for seconds, loss in curve if loss <= target), float("inf"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", default="mlp-vae", choices=["mlp-vae", "fcn-ae"])
    parser.add_argument("--pythae", metavar="PYTHON", required=True)
    parser.add_argument("--pictures", type=int, default=5000)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    pictures = avatars(NETS[args.net], args.pictures)
    print(f"{datetime.date.today()}, torch {torch.__version__}, {torch.get_num_threads()} threads")
    print(f"{args.net}: {len(pictures[0])} avatars, {len(pictures[1])} held out, {args.epochs} epochs, lr {args.lr:g}")
    ratios: dict[str, list[float]] = {"its best": [], "within 1%": []}
    for seed in range(args.seeds):
        mine, other = race(args.pythae, args.net, pictures, args.epochs, args.lr, seed)
        best = min(loss for _, loss in other)
        print(f"seed {seed}: pythae's best loss {best:.1f}; latentdial ends at {mine[-1][1]:.1f}")
        for name, target in (("its best", best), ("within 1%", best * 1.01)):
            there, taken = seconds_to(other, target), seconds_to(mine, target)
            ratios[name].append(there / taken)
            print(f"  {name}: pythae {there:.2f} s, latentdial {taken:.2f} s, {there / taken:.2f} times as fast")
    for name, values in ratios.items():
        print(f"{name}: median {statistics.median(values):.2f} (from {min(values):.2f} to {max(values):.2f})")


if __name__ == "__main__":
    main()
