"""Does an edit change its target and nothing else? Faces whose factors are known, read by an independent net.

Command:  python benchmarks/selectivity.py RUN --seeds 3
          (RUN: latentdial train conv-vae avatars --limit 10000 --epochs 12 --batch 64 --out RUN)
Time:     12 minutes for the first three targets of a seed on a busy machine; a whole seed was not timed
Expected: benchmarks/RESULTS.md, "Selectivity"

The judge is a convolutional net trained on other avatars, drawn for it, with their factor vectors; it never sees the
codec, and half of what it sees are fades between two avatars that differ in one factor, labelled by their share.
Steering uses what is learnt of the codes of the run's own pictures. Attributes that the judge does not read
from at least 80% of the reconstructions (r of 0.8 for numbers) are not in the codec and not counted.

A reading is a class probability or a number; its change is stated in sd of the attribute over the data (half the sum
of the changed probabilities; the target's is that of the category asked for). "Side effects" are the sum over the
other attributes of the change of the mean reading over 48 pictures; its sign is taken from one half of the pictures
and its size from the other, so that noise of the judge adds nothing. "In each picture" is the sum of absolute changes
of single pictures, noise and all; "exact edit", the avatar drawn again with that one factor changed and put through
the codec, says how much of it is noise. Selectivity is target / (target + side effects); dependency (AD) is the mean
side effect over the target (StyleSpace, arXiv 2011.12799, with readings for logits). All are read off where the mean
target change is 1 sd, and 3 sd or 80% of the way to the attribute's end, which is nearer for all of them.
"""

import argparse
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from latentdial.images import ImageSet
from latentdial.images.avatars import CHOICES, RANGES, render
from latentdial.latent.attributes import Attributes, learn_attributes
from latentdial.latent.codec import Codec
from latentdial.latent.direction import make_direction
from latentdial.latent.finding import attribute_direction, axis_directions, linear_reader, pca_directions
from latentdial.latent.labelled import Attribute, attributes_of, run_pictures
from latentdial.latent.steering import conditioned, refined
from latentdial.run import load

TARGETS = {"skin": 4, "hair": 4, "hair_colour": 4, "glasses": 2, "beard": 1, "clothes": 1, "background": 2, "x": None}
AMOUNTS = np.array([0.5, 1, 1.5, 2, 3, 4, 6, 8])  # sd of the codes along a direction
PICTURES, JUDGE_PICTURES, EPOCHS, BATCH = 48, 6000, 10, 64
CARRIED, FAR, FAR_SD = 0.8, 0.8, 3.0
NAMES = [*CHOICES, *RANGES]
SIZES = [len(CHOICES[name]) if name in CHOICES else 1 for name in NAMES]


class Judge(nn.Module):
    """Class logits and standardised numbers of every factor, from pictures in [-1, 1]."""

    def __init__(self, channels: int = 24):
        super().__init__()
        widths = [3, channels, 2 * channels, 4 * channels, 4 * channels]
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            layers += [nn.Conv2d(before, after, 3, 2, 1), nn.BatchNorm2d(after), nn.ReLU()]
        self.features = nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * channels, 256), nn.ReLU())
        self.head = nn.Linear(256, sum(SIZES))

    def forward(self, x: Tensor) -> list[Tensor]:
        return list(self.head(self.features(x)).split(SIZES, dim=1))

    def read(self, x: Tensor) -> list[Tensor]:
        return [part.softmax(1) if part.shape[1] > 1 else part for part in self(x)]


def truth_of(factors: dict[str, np.ndarray]) -> list[Tensor]:
    """One-hot classes (N, K), or numbers (N, 1) in sd of their uniform range, of every factor."""
    found = []
    for name, size in zip(NAMES, SIZES, strict=True):
        values = torch.as_tensor(factors[name])
        if name in CHOICES:
            found.append(functional.one_hot(values.long(), size).float())
        else:
            middle, sd = np.mean(RANGES[name]), np.ptp(RANGES[name]) / np.sqrt(12)
            found.append(((values - middle) / sd).float()[:, None])
    return found


def neighbours(factors: dict[str, np.ndarray], size: int, seed: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The same avatars, each with one factor, drawn at random, changed."""
    rng = np.random.default_rng(seed)
    changed = {name: values.copy() for name, values in factors.items()}
    for i, place in enumerate(rng.integers(0, len(NAMES), len(changed[NAMES[0]]))):
        name = NAMES[place]
        if name in CHOICES:
            changed[name][i] = (factors[name][i] + rng.integers(1, SIZES[place])) % SIZES[place]
        else:
            changed[name][i] = rng.uniform(*RANGES[name])
    return redrawn(changed, size), changed


def redrawn(factors: dict[str, np.ndarray], size: int) -> np.ndarray:
    from latentdial.images.drawing import _draw

    count = len(factors[NAMES[0]])
    return np.stack([_draw({name: v[i].item() for name, v in factors.items()}, size) for i in range(count)])


def train_judge(size: int, seed: int) -> Judge:
    """Trained on sharp and softened pictures with some noise, as decoded pictures are soft, and on fades.

    Half the batches fade each avatar into one that differs in one factor: the judge is to read such a picture as what
    the share of it says, from a quarter to three quarters, so that its reading of an edit half done means something.
    """
    torch.manual_seed(seed)
    pixels, factors = render(JUDGE_PICTURES, size, seed=100 + seed)
    near, changed = neighbours(factors, size, seed)
    pixels, truth, other = np.asarray(pixels), truth_of(factors), truth_of(changed)
    judge, total = Judge(), EPOCHS * (len(pixels) // BATCH)
    optimiser = torch.optim.AdamW(judge.parameters(), 2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total)
    for _ in range(EPOCHS):
        for index in torch.randperm(len(pixels)).split(BATCH)[: len(pixels) // BATCH]:
            share = torch.rand(BATCH, 1) if torch.rand(()) < 0.5 else torch.zeros(BATCH, 1)
            x, y = (to_input(some[index.numpy()]) for some in (pixels, near))
            x = softened(x + share[:, :, None, None] * (y - x))
            part = (2 * share - 0.5).clamp(0, 1)
            aims = [a[index] + part * (b[index] - a[index]) for a, b in zip(truth, other, strict=True)]
            losses = [
                functional.cross_entropy(read, aim) if read.shape[1] > 1 else functional.mse_loss(read, aim)
                for read, aim in zip(judge(x), aims, strict=True)
            ]
            optimiser.zero_grad()
            torch.stack(losses).sum().backward()
            optimiser.step()
            schedule.step()
    return judge.eval().requires_grad_(False)


def softened(x: Tensor) -> Tensor:
    """Blurred by a random share, with random noise."""
    share = (1.6 * torch.rand(()) - 0.3).clamp(0, 1)
    soft = functional.interpolate(functional.avg_pool2d(x, 2), scale_factor=2, mode="bilinear")
    return x + share * (soft - x) + 0.08 * torch.rand(()) * torch.randn_like(x)


def to_input(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).float() / 127.5 - 1


def accuracy(judge: Judge, x: Tensor, truth: list[Tensor]) -> np.ndarray:
    """Share read right, or the correlation of numbers, of every factor."""
    with torch.no_grad():
        return np.array(
            [
                float((part.argmax(1) == t.argmax(1)).float().mean())
                if part.shape[1] > 1
                else float(np.corrcoef(part[:, 0], t[:, 0])[0, 1])
                for part, t in zip(judge(x), truth, strict=True)
            ]
        )


@dataclass(frozen=True)
class Point:
    """An edit as judged: change of the target, and side effects by both measures, in sd; features kept."""

    target: float
    side: float
    single: float
    identity: float


@dataclass(frozen=True)
class Setting:
    """All that the edits of one seed are made and judged with."""

    codec: Codec
    judge: Judge
    learnt: Attributes
    codes: np.ndarray
    attributes: list[Attribute]
    held_out: ImageSet
    sds: np.ndarray
    carried: np.ndarray

    def judged(self, start: np.ndarray, edited: np.ndarray, place: int, column: int) -> Point:
        with torch.no_grad():
            x, y = (self.codec.decoder(torch.as_tensor(z, dtype=torch.float32)) for z in (start, edited))
            pairs = zip(self.judge.read(x), self.judge.read(y), strict=True)
            changes = [((b - a).numpy() / sd) for (a, b), sd in zip(pairs, self.sds, strict=True)]
            same = functional.cosine_similarity(self.judge.features(x), self.judge.features(y)).mean()
        others = [d / (2 if d.shape[1] > 1 else 1) for i, d in enumerate(changes) if i != place and self.carried[i]]
        single = sum(float(np.abs(d).sum(1).mean()) for d in others)
        return Point(float(changes[place][:, column].mean()), sum(map(crossed, others)), single, float(same))


def crossed(change: np.ndarray) -> float:
    """Size of the mean change of (N, K): signs from one half of the pictures, sizes from the other."""
    one, two = change[::2].mean(0), change[1::2].mean(0)
    return max(0.0, float((np.sign(one) * two + np.sign(two) * one).sum() / 2))


def prepare(run: str, seed: int) -> Setting:
    codec = load(run)
    training, held_out = run_pictures(codec)
    attributes = attributes_of(training)
    judge = train_judge(codec.geometry.size, seed)
    codes = codec.encode(training.pixels[:]).astype(np.float64)
    truth = truth_of(held_out.factors)
    real = accuracy(judge, to_input(held_out.pixels[:]), truth)
    decoded = accuracy(judge, to_input(codec.reconstruct(held_out.pixels[:])), truth)
    shares = [np.bincount(training.factors[name]) / len(training) if name in CHOICES else None for name in NAMES]
    sds = np.array([1.0 if share is None else np.sqrt((1 - np.square(share).sum()) / 2) for share in shares])
    learnt = learn_attributes(codec, codes.astype(np.float32), [one.columns for one in attributes], seed)
    for title, values in (("pictures", real), ("reconstructions", decoded)):
        print(f"seed {seed}: held-out {title} read right:", dict(zip(NAMES, values.round(2).tolist(), strict=True)))
    return Setting(codec, judge, learnt, codes, attributes, held_out, sds, decoded >= CARRIED)


def edits(name: str, category: int | None, known: Setting, seed: int) -> Iterator[tuple[str, list[Point]]]:
    """The points of every method for one target."""
    codec, codes, column = known.codec, known.codes, category or 0
    place = NAMES.index(name)
    attribute = next(one for one in known.attributes if one.name == name)
    title = name if len(attribute.columns) == 1 else f"{name}.{category}"
    values = attribute.columns[title]
    others = [one for one in known.attributes if one is not attribute]
    rest = np.concatenate([one.matrix for one in others], axis=1)
    there = known.held_out.factors[name]
    without = there < np.median(there) if category is None else there != category
    picks = np.random.default_rng(seed).choice(np.flatnonzero(without), PICTURES, replace=False)
    start = codec.encode(known.held_out.pixels[picks]).astype(np.float64)

    def judged(edited: np.ndarray) -> Point:
        return known.judged(start, edited, place, column)

    plain = attribute_direction(codec, title, codes, values)
    balanced = attribute_direction(codec, title, codes, values, rest)
    readers = [linear_reader(codes, values) for one in others for values in one.columns.values()]
    held = conditioned(balanced.step, np.cov(codes.T), readers, balanced.normal)
    steps = {
        "raw axis": closest(axis_directions(codec), codes, values),
        "PCA": closest(pca_directions(codec, 64), codes, values),
        "mean difference": plain.step,
        "ridge normal": attribute_direction(codec, title, codes, values, method="ridge").step,
        "balanced difference": balanced.step,
        "conditioned": make_direction(codec, "held", "attribute", held).step,
    }
    for method, step in steps.items():
        yield method, [judged(start + amount * step) for amount in AMOUNTS]
    stack = np.stack([balanced.normal, *readers])
    yield "keep, linear readers", [judged(refined(codec, start, start + a * held, stack)) for a in AMOUNTS[1::2]]
    vector, began = (torch.as_tensor(a, dtype=torch.float32) for a in (balanced.vector, start))
    moved = [known.learnt.moved(began, title, vector, float(a * balanced.sd)) for a in AMOUNTS]
    yield "keep, attributes", [judged(edited.double().numpy()) for edited in moved]
    yield "exact edit", [known.judged(start, codec.encode(drawn(known, picks, name, category)), place, column)]


def end_of(name: str, place: int, known: Setting, values: np.ndarray) -> float:
    """Sd from where the pictures start to the end of the attribute."""
    if name in CHOICES:
        return float(1 / known.sds[place])
    return float((RANGES[name][1] - values.mean()) / (np.ptp(RANGES[name]) / np.sqrt(12)))


def drawn(known: Setting, picks: np.ndarray, name: str, category: int | None) -> np.ndarray:
    """The same avatars with one factor changed."""
    people = {key: values[picks].copy() for key, values in known.held_out.factors.items()}
    people[name][:] = RANGES[name][1] if category is None else category
    return redrawn(people, known.codec.geometry.size)


def closest(found, codes: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The step along the direction whose coordinate correlates most with the attribute, turned to increase it."""
    correlations = [np.corrcoef(codes @ d.vector, values)[0, 1] for d in found]
    best = int(np.argmax(np.abs(correlations)))
    return found[best].step * np.sign(correlations[best])


def at(points: list[Point], level: float) -> np.ndarray | None:
    """Target, side effects, single changes and identity where the target's change reaches the level; None if never."""
    path = np.array([[0, 0, 0, 1], *([p.target, p.side, p.single, p.identity] for p in points)])
    for before, after in itertools.pairwise(path):
        if before[0] < level <= after[0]:
            return before + (after - before) * (level - before[0]) / (after[0] - before[0])
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    found: dict[tuple[str, str], list[dict[str, np.ndarray | None]]] = {}
    for seed in range(options.seeds):
        known = prepare(options.run, seed)
        for name, category in TARGETS.items():
            if not known.carried[NAMES.index(name)]:
                continue
            there = known.held_out.factors[name]
            far = end_of(name, NAMES.index(name), known, there[there < np.median(there)])
            curves = dict(edits(name, category, known, seed))
            (exact,) = curves.pop("exact edit")
            row = np.array([exact.target, exact.side, exact.single, exact.identity])
            for title, level in (("1 sd", 1.0), ("far", min(FAR_SD, FAR * far))):
                at_level = {method: at(points, level) for method, points in curves.items()}
                found.setdefault((title, name), []).append(at_level | {"exact edit": row})
                print(f"seed {seed} {name:12s}{title:5s}", summary(at_level), flush=True)
        show(found, int(known.carried.sum()) - 1)


def summary(rows: dict[str, np.ndarray | None]) -> str:
    return "  ".join(f"{m} {'-' if row is None else f'{row[0] / (row[0] + row[1]):.2f}'}" for m, row in rows.items())


def show(found: dict, others: int) -> None:
    """Means over targets and seeds with the 95% interval of the mean; methods compared where both reach the level."""
    methods = list(next(iter(found.values()))[0])
    for title in ("1 sd", "far"):
        cases = [case for (level, _), some in found.items() if level == title for case in some]
        print(f"\nat {title}: {len(cases)} cases; selectivity, dependency (AD), in each picture, identity, reached")
        for method in methods:
            rows = np.array([case[method] for case in cases if case[method] is not None])
            if not len(rows):
                print(f"  {method:22s} never reached")
                continue
            scores = [rows[:, 0] / (rows[:, 0] + rows[:, 1]), rows[:, 1] / rows[:, 0] / others]
            scores += [rows[:, 0] / (rows[:, 0] + rows[:, 2]), rows[:, 3]]
            text = "  ".join(f"{s.mean():.3f} +-{1.96 * s.std() / np.sqrt(len(s)):.3f}" for s in scores)
            print(f"  {method:22s} {text}  {len(rows)}/{len(cases)}")
        for ours in ("keep, linear readers", "keep, attributes"):
            compare(cases, ours)


def compare(cases: list[dict], ours: str) -> None:
    """Side effects against the best of the three plain methods that reach the same target change."""
    pairs = []
    for case in cases:
        plain = [case[m][1] for m in ("raw axis", "PCA", "mean difference") if case[m] is not None]
        if plain and case[ours] is not None:
            pairs.append((case[ours][1], min(plain)))
    if pairs:
        mine, best = np.array(pairs).T
        print(
            f"  {ours}: side effects {mine.mean():.3f} sd, best plain {best.mean():.3f} sd in {len(pairs)} cases:"
            f" {1 - mine.sum() / best.sum():.0%} less"
        )


if __name__ == "__main__":
    main()
