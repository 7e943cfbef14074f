"""Does an edit change its target and nothing else? Pictures whose attributes are known, read by an independent net.

Command:  python benchmarks/selectivity.py RUN --seeds 3
          (RUN: latentdial train conv-vae avatars --limit 10000 --epochs 40 --batch 64 --out RUN)
          python benchmarks/selectivity.py FACES --labels faces.csv --targets gender.male age
          (FACES: latentdial train conv-vae PHOTOGRAPHS --epochs 30 --batch 64 --flip true --out FACES; the CSV holds
          file,gender,age,... of them)
Time:     about 14 minutes a seed on one core, 8 of them for the judge
Expected: about 0.91 at 1 sd and 0.93 far for avatars, 0.90 and 0.90 for faces by keep with linear readers
          (docs/benchmarks.md, "Selectivity")

The judge (judges.py) is trained on real pictures and never sees the codec. Steering uses what is learnt of the codes of
the run's own pictures. Attributes of which reconstructions keep less than 80% (the share that the judge reads right, or
its r for numbers, against the pictures themselves) are not in the codec and not counted.

A reading is a class probability or a number; its change is stated in sd of the attribute over the data (half the sum
of the changed probabilities; the target's is that of the category asked for). "Side effects" are the sum over the
other attributes of the change of the mean reading over 48 pictures; its sign is taken from one half of the pictures
and its size from the other, so that noise of the judge adds nothing. "In each picture" is the sum of absolute changes
of single pictures, noise and all; "exact edit", the avatar drawn again with that one factor changed and put through
the codec, says how much of it is noise. Selectivity is target / (target + side effects); dependency (AD) is the mean
side effect over the target (StyleSpace, arXiv 2011.12799, with readings for logits); identity is the cosine of the
judge's features. All are read off where the mean target change is 1 sd, and 3 sd or 80% of the way to the attribute's
end, where that is nearer.
"""

import argparse
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from judges import (
    Judge,
    Trait,
    accuracy,
    avatars_lesson,
    labelled,
    pictures_lesson,
    train_judge,
    trait_of,
)
from latentdial.attributes.known import Attributes
from latentdial.discovery.finding import attribute_direction, linear_reader
from latentdial.discovery.labelled import Attribute, attributes_of, learn_attributes
from latentdial.images import ImageSet
from latentdial.images.avatars import CHOICES, RANGES, draw_all
from latentdial.latent.codec import Codec
from latentdial.latent.naming import axis_directions, canonical_directions, make_direction
from latentdial.latent.steering import by_attributes, conditioned, refined
from latentdial.runs.loading import load
from latentdial.runs.pictures import run_pictures

AVATARS = ["skin.dark", "hair.bob", "hair_colour.red", "glasses.sunglasses", "beard.full"]
AVATARS += ["clothes.red", "background.pink", "x"]
AMOUNTS = np.array([0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 2.5, 3, 4, 6, 8])  # sd of the codes along a direction
PICTURES = 48
CARRIED, FAR, FAR_SD = 0.8, 0.8, 3.0
PLAIN = ("raw axis", "PCA", "mean difference")
OURS = ("keep, linear readers", "keep, attributes")


@dataclass(frozen=True)
class Point:
    """An edit as judged: change of the target, and side effects by both measures, in sd; features kept."""

    target: float
    side: float
    single: float
    identity: float

    @property
    def row(self) -> np.ndarray:
        return np.array([self.target, self.side, self.single, self.identity])


@dataclass(frozen=True)
class Setting:
    """All that the edits of one seed are made and judged with."""

    codec: Codec
    judge: Judge
    learnt: Attributes
    codes: np.ndarray
    attributes: list[Attribute]
    traits: list[Trait]
    held_out: ImageSet
    truth: list[np.ndarray]  # of the held-out pictures
    carried: np.ndarray

    def place(self, title: str) -> int:
        """Which attribute has this column."""
        return next(i for i, trait in enumerate(self.traits) if title in trait.titles)

    def judged(self, start: np.ndarray, edited: np.ndarray, title: str) -> Point:
        place = self.place(title)
        with torch.no_grad():
            x, y = (self.codec.decoder(torch.as_tensor(z, dtype=torch.float32)) for z in (start, edited))
            pairs = zip(self.judge.read(x), self.judge.read(y), strict=True)
            changes = [((b - a).numpy() / trait.sd) for (a, b), trait in zip(pairs, self.traits, strict=True)]
            same = functional.cosine_similarity(self.judge.features(x), self.judge.features(y)).mean()
        others = [d / (2 if d.shape[1] > 1 else 1) for i, d in enumerate(changes) if i != place and self.carried[i]]
        single = sum(float(np.abs(d).sum(1).mean()) for d in others)
        column = self.traits[place].titles.index(title)
        return Point(float(changes[place][:, column].mean()), sum(map(crossed, others)), single, float(same))


def crossed(change: np.ndarray) -> float:
    """Size of the mean change of (N, K): signs from one half of the pictures, sizes from the other."""
    one, two = change[::2].mean(0), change[1::2].mean(0)
    return max(0.0, float((np.sign(one) * two + np.sign(two) * one).sum() / 2))


def prepare(run: str, labels: str | None, seed: int) -> Setting:
    codec = load(run)
    parts = run_pictures(codec)
    if labels is None:
        both = [attributes_of(part) for part in parts]
    else:
        parts, both = labelled(parts, labels)
    training, held_out = parts
    traits, truth = [trait_of(one) for one in both[0]], [trait_of(one).values for one in both[1]]
    if labels is None:
        lesson = avatars_lesson(codec.geometry.size, seed)
    else:
        lesson = pictures_lesson(training.pixels[:], traits, seed)
    judge = train_judge(lesson, seed)
    codes = codec.encode(training.pixels[:]).astype(np.float64)
    learnt = learn_attributes(codec, codes.astype(np.float32), [one.columns for one in both[0]], seed)
    pixels = held_out.pixels[:]
    read = {"pictures": pixels, "reconstructions": codec.reconstruct(pixels)}
    right = {title: accuracy(judge, some, truth) for title, some in read.items()}
    for title, values in right.items():
        shown = {trait.name: round(float(value), 2) for trait, value in zip(traits, values, strict=True)}
        print(f"seed {seed}: held-out {title} read right:", shown, flush=True)
    carried = right["reconstructions"] >= CARRIED * right["pictures"]
    return Setting(codec, judge, learnt, codes, both[0], traits, held_out, truth, carried)


def edits(title: str, known: Setting, seed: int) -> Iterator[tuple[str, list[Point]]]:
    """The points of every method for one target."""
    codec, codes, place = known.codec, known.codes, known.place(title)
    lacking = np.flatnonzero(known.traits[place].lacking(title, known.truth[place]))
    picks = np.random.default_rng(seed).choice(lacking, PICTURES, replace=False)
    start = codec.encode(known.held_out.pixels[picks]).astype(np.float64)

    def judged(edited: np.ndarray) -> Point:
        return known.judged(start, edited, title)

    values = known.attributes[place].columns[title]
    others = [one for i, one in enumerate(known.attributes) if i != place]
    rest = np.concatenate([one.matrix for one in others], axis=1)
    plain = attribute_direction(codec, title, codes, values)
    balanced = attribute_direction(codec, title, codes, values, rest)
    readers = [linear_reader(codes, column) for one in others for column in one.columns.values()]
    held = conditioned(balanced.step, np.cov(codes.T), readers, balanced.normal)
    steps = {
        "raw axis": closest(axis_directions(codec), codes, values),
        "canonical": closest(canonical_directions(codec)[:64], codes, values),
        "mean difference": plain.step,
        "ridge normal": attribute_direction(codec, title, codes, values, method="ridge").step,
        "balanced difference": balanced.step,
        "conditioned": make_direction(codec, "held", "attribute", held).step,
    }
    for method, step in steps.items():
        yield method, [judged(start + amount * step) for amount in AMOUNTS]
    stack = np.stack([balanced.normal, *readers])
    yield OURS[0], [judged(refined(codec, start, start + a * held, stack)) for a in AMOUNTS[1::2]]
    yield OURS[1], [judged(by_attributes(codec, known.learnt, start, balanced, a * balanced.sd)) for a in AMOUNTS]
    if known.held_out.factors:
        yield "exact edit", [judged(codec.encode(drawn(known, picks, title)))]


def drawn(known: Setting, picks: np.ndarray, title: str) -> np.ndarray:
    """The same avatars with one factor changed."""
    name, _, category = title.partition(".")
    people = {key: values[picks].copy() for key, values in known.held_out.factors.items()}
    words = CHOICES.get(name, ())
    people[name][:] = words.index(category) if words else RANGES[name][1]
    return draw_all(people, known.codec.geometry.size)


def closest(found, codes: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The step along the direction whose coordinate correlates most with the attribute, turned to increase it."""
    correlations = [np.corrcoef(d.along(codes), values)[0, 1] for d in found]
    best = int(np.argmax(np.abs(correlations)))
    return found[best].step * np.sign(correlations[best])


def at(points: list[Point], level: float) -> np.ndarray | None:
    """Target, side effects, single changes and identity where the target's change reaches the level; None if never."""
    path = np.array([[0, 0, 0, 1], *(point.row for point in points)])
    for before, after in itertools.pairwise(path):
        if before[0] < level <= after[0]:
            return before + (after - before) * (level - before[0]) / (after[0] - before[0])
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--labels", help="a CSV file for pictures that do not carry their attributes")
    parser.add_argument("--targets", nargs="+", default=AVATARS)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    found: dict[str, list[dict[str, np.ndarray | None]]] = {"1 sd": [], "far": []}
    for seed in range(options.seeds):
        known = prepare(options.run, options.labels, seed)
        for target in options.targets:
            if not known.carried[known.place(target)]:
                print(f"seed {seed} {target}: not in the codec")
                continue
            for title, rows in judged_at_levels(target, known, seed).items():
                print(f"seed {seed} {target:14s}{title:5s}", summary(rows), flush=True)
                found[title].append(rows)
    for title, cases in found.items():
        show(title, cases, int(known.carried.sum()) - 1)


def judged_at_levels(target: str, known: Setting, seed: int) -> dict[str, dict[str, np.ndarray | None]]:
    """What every method does where it has changed the target by 1 sd, and by 3 sd or most of the way to its end."""
    curves = dict(edits(target, known, seed))
    exact = curves.pop("exact edit", None)
    trait, truth = known.traits[known.place(target)], known.truth[known.place(target)]
    room = trait.room(target, truth[trait.lacking(target, truth)])
    levels = {"1 sd": 1.0, "far": min(FAR_SD, FAR * room)}
    rows = {title: {method: at(points, level) for method, points in curves.items()} for title, level in levels.items()}
    return rows if exact is None else {title: row | {"exact edit": exact[0].row} for title, row in rows.items()}


def summary(rows: dict[str, np.ndarray | None]) -> str:
    return "  ".join(f"{m} {'-' if row is None else f'{row[0] / (row[0] + row[1]):.2f}'}" for m, row in rows.items())


def show(title: str, cases: list[dict], others: int) -> None:
    """Means over targets and seeds with the 95% interval of the mean."""
    print(f"\nat {title}: {len(cases)} cases; selectivity, dependency (AD), in each picture, identity, reached")
    for method in cases[0]:
        rows = np.array([case[method] for case in cases if case[method] is not None])
        if not len(rows):
            print(f"  {method:22s} never reached")
            continue
        scores = [rows[:, 0] / (rows[:, 0] + rows[:, 1]), rows[:, 1] / rows[:, 0] / others]
        scores += [rows[:, 0] / (rows[:, 0] + rows[:, 2]), rows[:, 3]]
        text = "  ".join(f"{s.mean():.3f} +-{1.96 * s.std() / np.sqrt(len(s)):.3f}" for s in scores)
        print(f"  {method:22s} {text}  {len(rows)}/{len(cases)}")
    for ours in OURS:
        compare(cases, ours)


def compare(cases: list[dict], ours: str) -> None:
    """Side effects against the best of the three plain methods that reach the same target change."""
    pairs = []
    for case in cases:
        plain = [case[m][1] for m in PLAIN if case[m] is not None]
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
