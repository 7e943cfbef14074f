"""Does an edit change its target and nothing else? Faces whose factors are known, read by independent probes.

Command:  python benchmarks/selectivity.py RUN        (RUN: fcn-ae on avatars, 20 epochs)
Time:     not yet measured to the end; about 15 minutes on 2 cores by the parts that ran
Status:   not yet run to the end (docs/log.md). What it prints is worth nothing unless the judge's line, its first, is
          near 0.9 for every attribute.
Expected: (the targets, not figures) at the same target change, side effects of "keep" at least 30% below the best of
          raw axis, PCA and plain mean difference; selectivity at least 0.90 at 1 sd and 0.80 at 3 sd

Every seed trains two probes on real pictures, never on the codec's: one steers, one judges, with their own weights and
their own half of the pictures. A change is the total variation between the judge's class probabilities before and
after, or the share of its range for a number. Selectivity is the target's change in the sum of all changes; all are
means over held-out pictures that do not have the attribute. Interval: the smallest and the largest of the seeds.
"""

import argparse
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from latentdial.latent.codec import Codec
from latentdial.latent.direction import Direction
from latentdial.latent.finding import attribute_direction, axis_directions, pca_directions
from latentdial.latent.labelled import Attribute, attributes_of, run_pictures
from latentdial.latent.steering import optimise
from latentdial.run import load

TARGETS = ["beard", "glasses.2", "mouth.3", "hair.6", "background.2", "x"]
AMOUNTS = [1.0, 2.0, 3.0, 4.5, 6.0]
LEVELS = [0.3, 0.5]
PICTURES, EPOCHS = 20, 40


class Probe(nn.Module):
    """Reads every attribute from pictures in [-1, 1]: class probabilities, or a number in 0..1."""

    def __init__(self, sizes: list[int], channels: int):
        super().__init__()
        widths = [3, channels, 2 * channels, 4 * channels]
        layers = [
            nn.Sequential(nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU(), nn.MaxPool2d(2))
            for a, b in pairwise(widths)
        ]
        self.body = nn.Sequential(nn.AvgPool2d(2), *layers, nn.Flatten(), nn.Linear(64 * channels, 128), nn.ReLU())
        self.head, self.sizes = nn.Linear(128, sum(sizes)), sizes

    def logits(self, x: Tensor) -> list[Tensor]:
        return list(self.head(self.body(x)).split(self.sizes, dim=1))

    def forward(self, x: Tensor) -> Tensor:
        read = [part if part.shape[1] == 1 else part.softmax(1) for part in self.logits(x)]
        return torch.cat(read, dim=1)


def targets_of(attributes: list[Attribute]) -> list[np.ndarray]:
    """(N,) class indices, or numbers in 0..1, of every attribute."""
    found = []
    for attribute in attributes:
        columns = np.stack(list(attribute.columns.values()), axis=1)
        if columns.shape[1] > 1:
            found.append(columns.argmax(1))
        elif len(np.unique(columns)) == 2:
            found.append(columns[:, 0].astype(int))
        else:
            found.append((columns[:, 0] - columns.min()) / np.ptp(columns))
    return found


def train_probe(pixels: np.ndarray, targets: list[np.ndarray], channels: int, seed: int) -> Probe:
    torch.manual_seed(seed)
    probe = Probe([int(t.max()) + 1 if t.dtype.kind == "i" else 1 for t in targets], channels)
    optimiser = torch.optim.Adam(probe.parameters(), lr=2e-3)
    pictures = torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2)
    wanted = [torch.as_tensor(t if t.dtype.kind == "i" else t[:, None], dtype=None).clone() for t in targets]
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(pictures)).split(64):
            x = pictures[batch].float() / 127.5 - 1
            if torch.rand(()) < 0.5:  # decoded pictures are soft
                x = functional.interpolate(functional.avg_pool2d(x, 2), scale_factor=2, mode="bilinear")
            parts = probe.logits(x)
            losses = [
                functional.cross_entropy(part, w[batch])
                if part.shape[1] > 1
                else 20 * functional.mse_loss(part, w[batch].float())
                for part, w in zip(parts, wanted, strict=True)
            ]
            optimiser.zero_grad()
            sum(losses).backward()
            optimiser.step()
    return probe.eval().requires_grad_(False)


def changes(probe: Probe, before: Tensor, after: Tensor) -> np.ndarray:
    """(N, A) change of every attribute."""
    with torch.no_grad():
        pairs = zip(before.split(probe.sizes, 1), probe(after).split(probe.sizes, 1), strict=True)
        each = [(b - a).abs().sum(1) / (2 if b.shape[1] > 1 else 1) for b, a in pairs]
    return torch.stack(each, 1).numpy()


def closest(found: list[Direction], codes: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The direction of a list whose coordinate correlates most with the attribute, turned to increase it."""
    correlations = [np.corrcoef(codes @ d.vector, values)[0, 1] for d in found]
    best = int(np.argmax(np.abs(correlations)))
    return found[best].step * np.sign(correlations[best])


@dataclass(frozen=True)
class Setting:
    """All that the edits of one seed are made and judged with."""

    codec: Codec
    codes: np.ndarray
    attributes: list[Attribute]
    held_out: np.ndarray
    held_out_attributes: list[Attribute]
    axes: list[Direction]
    components: list[Direction]
    steering: Probe
    judge: Probe
    seed: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    codec = load(options.run)
    training, held_out = run_pictures(codec)
    attributes, there = attributes_of(training), attributes_of(held_out)
    truth = targets_of(attributes)
    codes = codec.encode(training.pixels)
    axes, components = axis_directions(codec), pca_directions(codec, 64)
    table: dict[tuple[str, str], list[float]] = {}
    for seed in range(options.seeds):
        order = np.random.default_rng(seed).permutation(len(training))
        halves = order[: len(order) // 2], order[len(order) // 2 :]
        steering = train_probe(training.pixels[halves[0]], [t[halves[0]] for t in truth], 12, 10 + seed)
        judge = train_probe(training.pixels[halves[1]], [t[halves[1]] for t in truth], 16, 20 + seed)
        read = judge(torch.from_numpy(held_out.pixels).permute(0, 3, 1, 2).float() / 127.5 - 1).split(judge.sizes, 1)
        right = [
            float((part.argmax(1).numpy() == t).mean())
            if t.dtype.kind == "i"
            else float(np.corrcoef(part[:, 0], t)[0, 1])
            for part, t in zip(read, targets_of(there), strict=True)
        ]
        print(f"seed {seed}: the judge reads held-out pictures right: {np.round(right, 2)}", flush=True)
        known = (codec, codes, attributes, held_out.pixels, there, axes, components, steering, judge, seed)
        setting = Setting(*known)
        results = [one for name in TARGETS for one in run_target(name, setting)]
        for method in {one[0] for one in results}:
            rows = np.array([one[1] for one in results if one[0] == method])  # (targets, amounts, 2)
            report(table, method, rows)
        show(table, seed + 1)


def run_target(name: str, known: Setting) -> list[tuple[str, np.ndarray]]:
    """Per method, the (amounts, 2) mean change of the target and the sum of the other changes."""
    codec, codes, judge, steering = known.codec, known.codes, known.judge, known.steering
    attributes = known.attributes
    place = next(i for i, a in enumerate(attributes) if name in a.columns)
    values = attributes[place].columns[name]
    others = np.concatenate([a.matrix for i, a in enumerate(attributes) if i != place], axis=1)
    absent = np.flatnonzero(known.held_out_attributes[place].columns[name] <= np.median(values))[:200]
    rng = np.random.default_rng(known.seed)
    start = codec.encode(known.held_out[rng.choice(absent, PICTURES, replace=False)]).astype(np.float64)
    plain = attribute_direction(codec, name, codes, values)
    balanced = attribute_direction(codec, name, codes, values, others)
    steps = {
        "raw axis": closest(known.axes, codes, values),
        "PCA": closest(known.components, codes, values),
        "mean difference": plain.step,
        "balanced": balanced.step,
    }
    with torch.no_grad():
        decoded = codec.decoder(torch.as_tensor(start, dtype=torch.float32))
        before, aim = judge(decoded), steering(decoded)
    found = {method: [] for method in [*steps, "keep"]}
    for amount in AMOUNTS:
        for method, step in steps.items():
            found[method].append(_measured(codec, judge, before, start + amount * step, place))
        moved = start + amount * balanced.step
        with torch.no_grad():
            reading = steering(codec.decoder(torch.as_tensor(moved, dtype=torch.float32)))
        columns = np.cumsum([0, *steering.sizes])
        wanted = aim.clone()
        wanted[:, columns[place] : columns[place + 1]] = reading[:, columns[place] : columns[place + 1]]
        kept = optimise(codec, moved, steering, wanted)
        found["keep"].append(_measured(codec, judge, before, kept, place))
    return [(method, np.array(rows)) for method, rows in found.items()]


def _measured(codec, judge, before, codes, place) -> tuple[float, float]:
    with torch.no_grad():
        after = codec.decoder(torch.as_tensor(codes, dtype=torch.float32))
    each = changes(judge, before, after).mean(0)
    return float(each[place]), float(each.sum() - each[place])


def report(table: dict, method: str, rows: np.ndarray) -> None:
    selectivity = rows[:, :, 0] / rows.sum(2)
    for name, value in [
        ("selectivity at 1 sd", selectivity[:, AMOUNTS.index(1.0)].mean()),
        ("selectivity at 3 sd", selectivity[:, AMOUNTS.index(3.0)].mean()),
        ("target change at 3 sd", rows[:, AMOUNTS.index(3.0), 0].mean()),
        *((f"side effects at {level} target change", _at(rows, level)) for level in LEVELS),
    ]:
        table.setdefault((name, method), []).append(float(value))


def _at(rows: np.ndarray, level: float) -> float:
    """Mean over targets of the side effects where the target's change reaches the level, interpolated; nan if never."""
    found = []
    for changes_of_target in rows:
        path = np.concatenate([[[0.0, 0.0]], changes_of_target])
        reached = np.flatnonzero(path[:, 0] >= level)
        if not len(reached):
            return float("nan")
        (t0, s0), (t1, s1) = path[reached[0] - 1], path[reached[0]]
        found.append(s0 + (s1 - s0) * (level - t0) / (t1 - t0))
    return float(np.mean(found))


def show(table: dict, seeds: int) -> None:
    print(f"\n{seeds} seeds, {len(TARGETS)} targets, {PICTURES} pictures each: mean (smallest to largest)")
    for (name, method), values in sorted(table.items()):
        print(f"  {name:34s} {method:16s} {np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})", flush=True)


if __name__ == "__main__":
    main()
