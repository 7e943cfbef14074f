"""Pictures/s of latentdial's training loop beside pythae, a notebook-style loop and a bare loop, and the roofline.

Command:  python benchmarks/train_loop.py --net mlp-vae --pythae /path/to/pythae/bin/python
          (also fcn-ae, conv-vae; and fcn-ae-subspace, without pythae)
Time:     2 to 4 minutes a net on 2 cores
Expected: latentdial / bare at least 0.97 for every net, and latentdial / pythae, on two cores of
          an Intel Xeon with AMX:                      mlp-vae 1.5 to 1.7, fcn-ae 3.1, conv-vae 2.2
          an AMD EPYC with AVX512-BF16 and no AMX:     mlp-vae 1.7 to 1.8, fcn-ae 2.4, conv-vae 1.6 to 1.8
          an AMD EPYC without bfloat16, in float32:    mlp-vae 1.5 to 1.8, fcn-ae 1.3, conv-vae 1.1

All contenders train the same layers on the same random pictures in batches of the same size, with Adam. They take
turns, an epoch each round after one epoch to warm up; the table shows medians over the rounds, and the ratios are
medians of the rounds' ratios. Many short rounds bear a busy machine better than few long ones.

The notebook-style loop is what people write: a Dataset that gives one float picture at a time, a DataLoader, float32,
Adam, `.item()` each step. The bare loop is the limit: the same model and objective, uint8 pictures in memory, a fused
Adam, the precision that latentdial chose, freed memory kept as latentdial keeps it, and nothing around. "By hand" is
that loop with the loss written out for this one net, which shows what the general form of models and objectives costs.
"fcn-ae-subspace" is fcn-ae as `latentdial train` has it learn, its outer layers in 512 components: the bare loop and
the loop by hand train the same narrowed net, which nobody writes in a notebook.

pythae runs in a process of its own (see pythae_worker.py) and has no reduced precision on processors. The roofline is
the best measured rate of a matrix product, square or of the net's own sizes, in the precision used; the fraction is
pictures/s x FLOP a picture / that.
"""

from __future__ import annotations

import argparse
import datetime
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from latentdial.config import TrainSettings
from latentdial.machine.precision import autocast, choose_device, choose_precision
from latentdial.parts.objectives import total
from latentdial.training.loop import Loop
from latentdial.training.memory import kept_memory
from latentdial.training.subspace import round_bases
from nets import NETS, Net, flops_a_picture, parameters
from pythae_worker import Contender

SQUARES = (1024, 2048, 3072)  # sides of the square products for the roofline


class OneByOne(Dataset):
    """Gives one float picture at a time, as notebooks do."""

    def __init__(self, pixels: torch.Tensor, low: float):
        self.pixels, self.low = pixels, low

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.pixels[index].permute(2, 0, 1).float() / 255 * (1 - self.low) + self.low


class PlainNet(nn.Module):
    """The net with its loss, in nats a picture, as one would write it by hand."""

    def __init__(self, net: Net):
        super().__init__()
        model = net.build().model
        self.encoder, self.decoder = model.encoder, model.decoder
        self.binary, self.variational = model.likelihood.range[0] == 0, net.variational

    def forward(self, x: torch.Tensor, precision: str, device: str) -> torch.Tensor:
        with autocast(precision, device):
            code, kl = self.encoder(x).float(), 0.0
            if self.variational:
                mean, log_variance = code.chunk(2, dim=-1)
                kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum()
                code = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
            output = self.decoder(code).float()
        if self.binary:
            return (F.binary_cross_entropy_with_logits(output, x, reduction="sum") + kl) / len(x)
        return (0.5 * (output.tanh() - x).square().sum() + kl) / len(x)


def notebook_epochs(net: Net, pixels: torch.Tensor, device: str, _precision: str) -> Iterator[float]:
    model = PlainNet(net).to(device)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    loader = DataLoader(OneByOne(pixels, 0.0 if model.binary else -1.0), batch_size=net.batch, shuffle=True)
    while True:
        start = time.perf_counter()
        for x in loader:
            loss = model(x.to(device), "float32", device)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            loss.item()
        yield time.perf_counter() - start


def bare_epochs(net: Net, pixels: torch.Tensor, device: str, precision: str) -> Iterator[float]:
    """The same model and objective, with nothing around."""
    recipe = net.build()
    model = recipe.model.to(device)
    round_bases(model, precision)

    def loss_of(x: torch.Tensor) -> torch.Tensor:
        batch = model.batch(x)
        with autocast(precision, device):
            run = model(batch)
        return total(recipe.objective, run, batch)[0]

    return shortest_loop(model, loss_of, net, pixels.to(device))


def by_hand_epochs(net: Net, pixels: torch.Tensor, device: str, precision: str) -> Iterator[float]:
    """The loss written for this one net, with nothing around."""
    model = PlainNet(net).to(device)
    return shortest_loop(model, lambda x: model(x, precision, device), net, pixels.to(device))


def shortest_loop(
    model: nn.Module, loss_of: Callable[[torch.Tensor], torch.Tensor], net: Net, pixels: torch.Tensor
) -> Iterator[float]:
    optimiser = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-3, fused=True)
    low = 0.0 if net.recipe == "binary-vae" else -1.0
    while True:
        start = time.perf_counter()
        with kept_memory():
            for index in torch.randperm(len(pixels), device=pixels.device).split(net.batch):
                x = pixels.index_select(0, index).permute(0, 3, 1, 2)
                x = x.to(torch.float32, memory_format=torch.contiguous_format).mul_((1 - low) / 255).add_(low)
                loss = loss_of(x)
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                optimiser.step()
            loss.item()
        yield time.perf_counter() - start


def latentdial_epochs(
    net: Net, pixels: torch.Tensor, device: str, precision: str, compiled: bool = False
) -> Iterator[float]:
    recipe = net.build()
    recipe.model.to(device)
    settings = TrainSettings(batch=net.batch, epochs=1000, compile=compiled)
    loop = Loop(recipe, settings, pixels.to(device), pixels[:1].to(device), device, precision)
    while True:
        goal = loop.step + loop.batches
        start = time.perf_counter()
        loop.run(ignore, lambda goal=goal: loop.step >= goal)
        next(recipe.model.parameters()).sum().item()
        yield time.perf_counter() - start


def ignore(_record: object) -> None:
    pass


LOOPS = {
    "notebook": notebook_epochs,
    "by hand": by_hand_epochs,
    "bare": bare_epochs,
    "latentdial": latentdial_epochs,
}


def gemm_rate(net: Net, device: str, precision: str) -> float:
    """The best FLOP/s of a matrix product: large squares, and the three products of every linear layer of the net."""
    sizes = {(side, side, side) for side in SQUARES}
    for layer in PlainNet(net).modules():
        if isinstance(layer, nn.Linear):
            wide, narrow, batch = layer.in_features, layer.out_features, net.batch
            sizes |= {(batch, wide, narrow), (batch, narrow, wide), (narrow, batch, wide)}
    return max(_rate(*size, device, torch.bfloat16 if precision == "bf16" else torch.float32) for size in sizes)


def _rate(m: int, k: int, n: int, device: str, dtype: torch.dtype) -> float:
    a, b = torch.randn(m, k, device=device, dtype=dtype), torch.randn(k, n, device=device, dtype=dtype)
    out = a @ b
    best, began = float("inf"), time.perf_counter()
    while time.perf_counter() - began < 1:
        start = time.perf_counter()
        torch.mm(a, b, out=out)
        if device == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return 2 * m * k * n / best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", default="fcn-ae", choices=NETS)
    parser.add_argument("--pythae", metavar="PYTHON", help="the interpreter of an environment with pythae 0.1.2")
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--precision", default="auto", choices=["auto", "bf16", "float32"])
    parser.add_argument("--compile", action="store_true", help="latentdial with --compile true as well")
    args = parser.parse_args()
    net, device = NETS[args.net], choose_device("auto")
    precision = choose_precision(args.precision, device)
    pixels = net.pixels(args.pictures)
    weights = parameters(net.build())
    print(f"{datetime.date.today()}, {device}, torch {torch.__version__}, {torch.get_num_threads()} threads")
    print(f"{args.net}, {weights:,} parameters, {args.pictures} pictures an epoch, batch {net.batch}")
    print(f"notebook and pythae in float32, the others in {precision}")
    loops = {name: loop for name, loop in LOOPS.items() if not (net.subspace and name == "notebook")}
    epochs = {name: partial(loop, net, pixels, device, precision)() for name, loop in loops.items()}
    if args.compile:
        epochs["compiled"] = latentdial_epochs(net, pixels, device, precision, compiled=True)
    if args.pythae:
        pythae = Contender(args.pythae, args.net, pixels.numpy())
        assert pythae.parameters == weights, "pythae trains another net"
        epochs = {"pythae": pythae.epochs(), **epochs}
    for each in epochs.values():
        next(each)
    rates: dict[str, list[float]] = {name: [] for name in epochs}
    for _ in range(args.rounds):
        for name, each in epochs.items():
            rates[name].append(args.pictures / next(each))
    if args.pythae:
        pythae.close()
    report(rates)
    peak, reached = gemm_rate(net, device, precision), statistics.median(rates["latentdial"]) * flops_a_picture(net)
    print(f"best matrix product {peak / 1e9:.0f} GFLOP/s; latentdial {reached / 1e9:.0f}, {reached / peak:.0%} of it")


def report(rates: dict[str, list[float]]) -> None:
    for name, values in rates.items():
        print(f"{name:11} {statistics.median(values):8.0f} pictures/s  (from {min(values):.0f} to {max(values):.0f})")
    for other in [name for name in rates if name != "latentdial"]:
        ratios = [ours / theirs for ours, theirs in zip(rates["latentdial"], rates[other], strict=True)]
        print(f"latentdial / {other:8} {statistics.median(ratios):.2f}  (from {min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
