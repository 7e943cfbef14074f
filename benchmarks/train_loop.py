"""Images/s of latentdial's training loop against a notebook-style loop and a bare loop: fcn-ae, 64x64, batch 400.

Command:  python benchmarks/train_loop.py            (add --pictures 2000 --rounds 2 for a quick look)
Time:     about 4 minutes on 2 cores
Expected: latentdial / notebook at least 1.15 in float32, and at least 2.5 where the processor has bfloat16
          latentdial / bare at least 0.97

The notebook-style loop is what people write: a Dataset that gives one float picture at a time, a DataLoader, float32,
Adam, `.item()` each step. The bare loop is the limit: uint8 pictures in memory and a fused Adam, in the precision that
latentdial chose, with nothing around. The loops take turns and every round trains one epoch; the table shows medians
over the rounds and the ratios round by round.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from itertools import pairwise

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from latentdial.config import ModelSettings, TrainSettings
from latentdial.recipes import build
from latentdial.training.loop import Loop
from latentdial.training.precision import autocast, choose_device, choose_precision


class OneByOne(Dataset):
    """Gives one float picture at a time, as notebooks do."""

    def __init__(self, pixels: torch.Tensor):
        self.pixels = pixels

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.pixels[index].permute(2, 0, 1).float() / 127.5 - 1


def plain_net(device: str) -> nn.Sequential:
    widths = [12288, 2048, 512, 128, 512, 2048, 12288]
    layers: list[nn.Module] = [nn.Flatten()]
    for i, (before, after) in enumerate(pairwise(widths)):
        layers += [nn.Linear(before, after)] + [nn.ReLU()] * (i not in (2, 5))
    return nn.Sequential(*layers, nn.Tanh()).to(device)


def notebook_epoch(pixels: torch.Tensor, batch: int, device: str, _precision: str) -> float:
    model = plain_net(device)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    loader = DataLoader(OneByOne(pixels), batch_size=batch, shuffle=True)
    start = time.perf_counter()
    for x in loader:
        x = x.to(device)
        loss = nn.functional.mse_loss(model(x), x.flatten(1))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        loss.item()
    return time.perf_counter() - start


def bare_epoch(pixels: torch.Tensor, batch: int, device: str, precision: str) -> float:
    model = plain_net(device)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    on_device = pixels.to(device)
    start = time.perf_counter()
    for index in torch.randperm(len(on_device), device=device).split(batch):
        x = on_device[index].permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
        x = x.div_(127.5).sub_(1)
        with autocast(precision, device):
            output = model(x)
        loss = (output.float() - x.flatten(1)).square().sum() / (2 * len(x))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
    loss.item()
    return time.perf_counter() - start


def latentdial_epoch(pixels: torch.Tensor, batch: int, device: str, precision: str) -> float:
    recipe = build(ModelSettings("fcn-ae"), (3, 64, 64))
    recipe.model.to(device)
    settings = TrainSettings(batch=batch, epochs=1)
    loop = Loop(recipe, settings, pixels.to(device), pixels[:1].to(device), device, precision)
    start = time.perf_counter()
    loop.run(lambda record: None, lambda: False)
    return time.perf_counter() - start


LOOPS = {"notebook": notebook_epoch, "bare": bare_epoch, "latentdial": latentdial_epoch}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=4000)
    parser.add_argument("--batch", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--precision", default="auto", choices=["auto", "bf16", "float32"])
    args = parser.parse_args()
    device = choose_device("auto")
    precision = choose_precision(args.precision, device)
    pixels = torch.randint(0, 256, (args.pictures, 64, 64, 3), dtype=torch.uint8)
    print(f"{platform.processor() or platform.machine()}, torch {torch.__version__}, {torch.get_num_threads()} threads")
    print(f"{device}, notebook in float32, the others in {precision}; {args.pictures} pictures, batch {args.batch}")
    rates: dict[str, list[float]] = {name: [] for name in LOOPS}
    for _ in range(args.rounds):
        for name, epoch in LOOPS.items():
            rates[name].append(args.pictures / epoch(pixels, args.batch, device, precision))
    for name, values in rates.items():
        print(f"{name:11} {statistics.median(values):8.0f} images/s  (from {min(values):.0f} to {max(values):.0f})")
    for other in ("notebook", "bare"):
        ratios = [ours / theirs for ours, theirs in zip(rates["latentdial"], rates[other], strict=True)]
        print(f"latentdial / {other:8} {statistics.median(ratios):.2f}  (from {min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
