"""A net that reads attributes from pictures and never sees a codec: the judge of edits.

Command:  python benchmarks/judges.py [--labels FILE.csv --data FOLDER]
Time:     about 8 minutes a seed on one core
Expected: on avatars at least 0.98 for every attribute

It learns from real pictures: avatars drawn for it, or the pictures of a run. Most of its batches are fades between two
pictures, labelled by their share, so that its reading of an edit half done means something: of two avatars that differ
in one factor, or of any two photographs.
"""

import argparse
import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from latentdial.config import DataSettings, Geometry
from latentdial.discovery.labelled import Attribute, make_attribute, read_labels
from latentdial.images import ImageSet, open_images, split_images
from latentdial.images.avatars import CHOICES, RANGES, draw_all, render

PICTURES, EPOCHS, BATCH = 10_000, 16, 64
FADED = 0.75  # of the batches
NOISE = 0.08
TOP = 0.99  # of the values of a number: where its end is


@dataclass(frozen=True)
class Trait:
    """An attribute of N pictures as a judge reads it: categories (N, K), yes or no as two, a number (N, 1) in sd."""

    name: str
    titles: list[str]
    values: np.ndarray

    @property
    def sd(self) -> float:
        """The unit of its changes: of categories the root of half the chance that two pictures differ."""
        if len(self.titles) == 1:
            return 1.0
        return float(np.sqrt((1 - np.square(self.values.mean(0)).sum()) / 2))

    def lacking(self, title: str, values: np.ndarray) -> np.ndarray:
        """Which of pictures with these values have not the category, or less than half of them have of the number."""
        column = values[:, self.titles.index(title)]
        return column < (np.median(column) if len(self.titles) == 1 else 0.5)

    def room(self, title: str, values: np.ndarray) -> float:
        """Sd from the mean of pictures with these values to where the attribute ends."""
        column = self.titles.index(title)
        end = np.quantile(self.values, TOP) if len(self.titles) == 1 else 1.0
        return float((end - values[:, column].mean()) / self.sd)


def trait_of(attribute: Attribute) -> Trait:
    columns = list(attribute.columns)
    values = np.stack(list(attribute.columns.values()), axis=1).astype(np.float32)
    if len(columns) > 1:
        return Trait(attribute.name, columns, values)
    if set(np.unique(values)) <= {0.0, 1.0}:
        return Trait(attribute.name, [f"not {columns[0]}", columns[0]], np.concatenate([1 - values, values], axis=1))
    return Trait(attribute.name, columns, (values - values.mean()) / values.std())


class Judge(nn.Module):
    """Class logits and standardised numbers of every attribute, from pictures in [-1, 1]."""

    def __init__(self, sizes: list[int], side: int, channels: int = 24):
        super().__init__()
        self.sizes = sizes
        widths = [3, channels, 2 * channels, 4 * channels, 4 * channels]
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            layers += [nn.Conv2d(before, after, 3, 2, 1), nn.BatchNorm2d(after), nn.ReLU()]
        flat = widths[-1] * (side // 16) ** 2
        self.features = nn.Sequential(*layers, nn.Flatten(), nn.Linear(flat, 256), nn.ReLU())
        self.head = nn.Linear(256, sum(sizes))

    def forward(self, x: Tensor) -> list[Tensor]:
        return list(self.head(self.features(x)).split(self.sizes, dim=1))

    def read(self, x: Tensor) -> list[Tensor]:
        return [part.softmax(1) if part.shape[1] > 1 else part for part in self(x)]


@dataclass(frozen=True)
class Lesson:
    """Pictures uint8 (N, S, S, 3) to learn from, others into which they are faded, and the truth of both."""

    pixels: np.ndarray
    near: np.ndarray
    truth: list[np.ndarray]
    near_truth: list[np.ndarray]
    mirrored: bool = False  # half of the pictures are seen in a mirror

    def noise(self) -> Tensor:
        """Normal noise for two batches of pictures."""
        side = self.pixels.shape[1]
        return torch.randn(2 * BATCH, 3, side, side)


def avatars_lesson(size: int, seed: int) -> Lesson:
    """Avatars drawn for the judge; each fades into itself with one factor, drawn at random, changed."""
    pixels, factors = render(PICTURES, size, seed=100 + seed)
    rng = np.random.default_rng(seed)
    changed = {name: values.copy() for name, values in factors.items()}
    names = list(factors)
    for i, place in enumerate(rng.integers(0, len(names), PICTURES)):
        name = names[place]
        if name in CHOICES:
            kinds = len(CHOICES[name])
            changed[name][i] = (factors[name][i] + rng.integers(1, kinds)) % kinds
        else:
            changed[name][i] = rng.uniform(*RANGES[name])
    truths = ([trait_of(make_attribute(n, v)).values for n, v in some.items()] for some in (factors, changed))
    return Lesson(np.asarray(pixels), draw_all(changed, size), *truths)


def pictures_lesson(pixels: np.ndarray, traits: list[Trait], seed: int) -> Lesson:
    """Real pictures; each fades into another one. Which way a picture looks is no matter."""
    other = np.random.default_rng(seed).permutation(len(pixels))
    truth = [trait.values for trait in traits]
    return Lesson(pixels, pixels[other], truth, [values[other] for values in truth], mirrored=True)


def train_judge(lesson: Lesson, seed: int, epochs: int = EPOCHS) -> Judge:
    """Trained on sharp and softened pictures with some noise, as decoded pictures are soft, and on fades.

    A fade is read as what the share of the other picture says, from a quarter to three quarters.
    """
    torch.manual_seed(seed)
    count = len(lesson.pixels)
    judge = Judge([values.shape[1] for values in lesson.truth], lesson.pixels.shape[1])
    total, noise = epochs * (count // BATCH), lesson.noise()
    optimiser = torch.optim.AdamW(judge.parameters(), 2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total)
    for _ in range(epochs):
        for rows in torch.randperm(count).split(BATCH)[: count // BATCH]:
            optimiser.zero_grad()
            loss_of(judge, lesson, rows.numpy(), noise).backward()
            optimiser.step()
            schedule.step()
    return judge.eval().requires_grad_(False)


def loss_of(judge: Judge, lesson: Lesson, rows: np.ndarray, noise: Tensor) -> Tensor:
    share = torch.rand(len(rows), 1) if torch.rand(()) < FADED else torch.zeros(len(rows), 1)
    x, y = (to_input(some[rows]) for some in (lesson.pixels, lesson.near))
    if lesson.mirrored and torch.rand(()) < 0.5:
        x, y = x.flip(3), y.flip(3)
    x = softened(x + share[:, :, None, None] * (y - x), noise)
    part = (2 * share - 0.5).clamp(0, 1)
    losses = []
    for raw, here, there in zip(judge(x), lesson.truth, lesson.near_truth, strict=True):
        aim = torch.lerp(torch.from_numpy(here[rows]), torch.from_numpy(there[rows]), part)
        losses.append(functional.cross_entropy(raw, aim) if raw.shape[1] > 1 else functional.mse_loss(raw, aim))
    return torch.stack(losses).sum()


def softened(x: Tensor, noise: Tensor) -> Tensor:
    """Blurred by a random share, with some of the noise, which is drawn once and looks another way each time."""
    share = (1.6 * torch.rand(()) - 0.3).clamp(0, 1)
    soft = functional.interpolate(functional.avg_pool2d(x, 2), scale_factor=2, mode="bilinear")
    seen = noise[torch.randint(len(noise), (len(x),))].roll(torch.randint(x.shape[3], (2,)).tolist(), (2, 3))
    return x + share * (soft - x) + NOISE * torch.rand(()) * seen


def to_input(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).float() / 127.5 - 1


def accuracy(judge: Judge, pixels: np.ndarray, truth: list[np.ndarray]) -> np.ndarray:
    """Share read right, or the correlation of numbers, of every attribute of pictures uint8 (N, S, S, 3)."""
    with torch.no_grad():
        readings = [part.numpy() for part in judge(to_input(pixels))]
    return np.array(
        [
            (read.argmax(1) == real.argmax(1)).mean()
            if read.shape[1] > 1
            else np.corrcoef(read[:, 0], real[:, 0])[0, 1]
            for read, real in zip(readings, truth, strict=True)
        ]
    )


def labelled(parts: tuple[ImageSet, ImageSet], labels: str) -> tuple[list[ImageSet], list[list[Attribute]]]:
    """The labelled pictures of both parts, and their attributes with the same columns for both."""
    names = [*parts[0].names, *parts[1].names]
    index, attributes = read_labels(Path(labels), names)
    first = index < len(parts[0])
    places = [index[first], index[~first] - len(parts[0])]
    chosen = [
        [Attribute(one.name, {title: v[side] for title, v in one.columns.items()}) for one in attributes]
        for side in (first, ~first)
    ]
    return [part.take(where) for part, where in zip(parts, places, strict=True)], chosen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels")
    parser.add_argument("--data")
    options = parser.parse_args()
    if options.labels:
        images = open_images(DataSettings(options.data), Geometry())
        parts = split_images(images, 0.1, 0)
        both = (images.take(parts.train), images.take(np.concatenate([parts.validation, parts.test])))
        (training, held_out), attributes = labelled(both, options.labels)
        traits, apart = ([trait_of(one) for one in some] for some in attributes)
        lesson, pixels = pictures_lesson(training.pixels[:], traits, 0), held_out.pixels[:]
    else:
        lesson = avatars_lesson(64, 0)
        pixels, factors = render(1000, 64, seed=99)
        apart = [trait_of(make_attribute(name, values)) for name, values in factors.items()]
    judge = train_judge(lesson, 0)
    for trait, right in zip(apart, accuracy(judge, pixels, [trait.values for trait in apart]), strict=True):
        print(f"{trait.name:14s} {right:.3f}")


if __name__ == "__main__":
    main()
