"""What an image set holds, in numbers and sentences."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from latentdial.config import DataSettings
from latentdial.errors import LatentdialError
from latentdial.images.duplicates import exact_groups, near_groups
from latentdial.images.geometry import is_grey
from latentdial.images.splits import Split, split_images
from latentdial.images.types import ImageSet, Listed
from latentdial.texts import Brief, counted

BLANK = 2.0  # sd of the levels of a picture below which it shows nothing
RARE = 0.01  # share of the pictures below which a label is called rare


@dataclass(frozen=True, repr=False)
class Survey(Brief):
    """An image set with what `look` finds in it; all lists are the most frequent or largest first."""

    images: ImageSet
    parts: Split | None
    mean: np.ndarray  # (H, W, C) levels
    spread: np.ndarray  # (H, W, C) sd in levels
    blank: list[int]
    copies: list[np.ndarray]
    near: list[np.ndarray]

    @cached_property
    def sizes(self) -> list[tuple[str, int]]:
        """Width x height of the originals and how many have it."""
        return self._counted(lambda entry: f"{entry['width']}×{entry['height']}")

    @cached_property
    def modes(self) -> list[tuple[str, int]]:
        """Pillow's mode of the originals: RGB, L (grey), RGBA, ..."""
        return self._counted(lambda entry: entry["mode"].decode())

    @cached_property
    def formats(self) -> list[tuple[str, int]]:
        return self._counted(lambda entry: entry["format"].decode())

    @cached_property
    def labels(self) -> list[tuple[str, int]]:
        if self.images.labels is None:
            return []
        counts = np.bincount(self.images.labels, minlength=len(self.images.label_names))
        return sorted(zip(self.images.label_names, counts.tolist(), strict=True), key=lambda pair: -pair[1])

    @cached_property
    def reasons(self) -> list[tuple[str, list[str]]]:
        """Reasons for skipping and the files."""
        return grouped(self.images.skipped)

    @cached_property
    def notes(self) -> list[tuple[str, list[str]]]:
        return grouped(self.images.notes)

    @property
    def extra_copies(self) -> int:
        """Pictures that are exact copies of an earlier one."""
        return sum(len(group) - 1 for group in self.copies)

    @property
    def near_pictures(self) -> int:
        """Pictures in groups that look nearly the same."""
        return sum(len(group) for group in self.near)

    def findings(self) -> list[str]:
        """What is worth knowing before training, in sentences."""
        return [*self._shapes(), *self._contents(), *self._labelling()]

    def as_dict(self) -> dict[str, Any]:
        names = self.images.names
        return {
            **self.images.summary(),
            "sizes": dict(self.sizes),
            "modes": dict(self.modes),
            "formats": dict(self.formats),
            "label_counts": dict(self.labels),
            "blank": [names[i] for i in self.blank],
            "exact_duplicates": [[names[i] for i in group] for group in self.copies],
            "near_duplicates": [[names[i] for i in group] for group in self.near],
            "skipped_files": [list(entry) for entry in self.images.skipped],
            "notes": [list(entry) for entry in self.images.notes],
            "findings": self.findings(),
        }

    def _counted(self, text: Callable[[Any], str]) -> list[tuple[str, int]]:
        originals = self.images.originals
        if originals is None:
            return []
        kinds, counts = np.unique(originals, return_counts=True)
        total: Counter[str] = Counter()
        for kind, count in zip(kinds, counts.tolist(), strict=True):
            total[text(kind)] += count
        return total.most_common()

    def _shapes(self) -> list[str]:
        originals, geometry, n = self.images.originals, self.images.geometry, len(self.images)
        if originals is None:
            return []
        found = []
        small = int((np.minimum(originals["width"], originals["height"]) < geometry.size).sum())
        if small:
            found.append(f"{share(small, n)} smaller than {geometry.size} pixels on a side and enlarged.")
        longer = np.maximum(originals["width"], originals["height"])
        kept = np.minimum(originals["width"], originals["height"]) / longer
        kept = kept[kept < 0.95]
        if odd := len(kept):
            what = {
                "crop": f"cropping keeps {kept.mean():.0%} of their area on average",
                "pad": f"padding fills {1 - kept.mean():.0%} of the area on average",
                "stretch": "stretching changes their proportions",
            }[geometry.fit]
            found.append(f"{share(odd, n)} not square; {what}.")
        grey = sum(count for mode, count in self.modes if is_grey(mode))
        if geometry.colour == "rgb" and grey:
            found.append(f"{share(grey, n)} grey" + ("; --colour grey trains smaller nets." if grey == n else "."))
        return found

    def _contents(self) -> list[str]:
        n, found = len(self.images), []
        if self.copies:
            found.append(
                f"{share(self.extra_copies, n)} exact copies of others (fitted to {self.images.geometry.size} pixels); "
                "copies stay in the same part of the split."
            )
        if self.near:
            found.append(
                f"{self.near_pictures:,} pictures in {counted(len(self.near), 'group')} look nearly the same; "
                "a group may be on both sides of the split."
            )
        if self.blank:
            found.append(f"{share(len(self.blank), n)} of one flat colour.")
        return found

    def _labelling(self) -> list[str]:
        if not self.labels:
            return []
        rare = [name for name, count in self.labels if count < RARE * len(self.images)]
        largest, count = self.labels[0]
        most = f"{counted(len(self.labels), 'label')}; the largest is {largest} with {counted(count, 'picture')}"
        return [most + (f", and {len(rare)} have less than {RARE:.0%} of the pictures each." if rare else ".")]


def survey(images: ImageSet, data: DataSettings, seed: int = 0) -> Survey:
    """Look at every picture once: mean and spread, blanks, exact and near duplicates, and how they would be split."""
    total = np.zeros(images.pixels.shape[1:])
    squares = np.zeros_like(total)
    sds = []
    for chunk in images.pixels.chunks():
        levels = chunk.astype(np.float32)
        total += levels.sum(0)
        squares += np.square(levels).sum(0)
        sds.append(levels.std((1, 2)).max(-1))
    mean = total / len(images)
    blank = np.concatenate(sds) < BLANK
    copies = exact_groups(images.hashes)
    again = np.concatenate([group[1:] for group in copies]) if copies else np.zeros(0, np.int64)
    alone = np.setdiff1d(np.flatnonzero(~blank), again)
    near = near_groups(images.pixels.take(alone)) if len(alone) > 1 else []
    return Survey(
        images=images,
        parts=_parts(images, data, seed),
        mean=mean,
        spread=np.sqrt((squares / len(images) - mean**2).clip(0)),
        blank=np.flatnonzero(blank).tolist(),
        copies=sorted(copies, key=lambda group: -len(group)),
        near=[alone[group] for group in near],
    )


def _parts(images: ImageSet, data: DataSettings, seed: int) -> Split | None:
    try:
        return split_images(images, data.holdout, seed)
    except LatentdialError:
        return None  # too few to train on, which is no reason not to look


def grouped(listed: list[Listed]) -> list[tuple[str, list[str]]]:
    """Names by what is said of them, the most frequent first."""
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for name, text in listed:
        groups[text].append(name)
    return sorted(groups.items(), key=lambda group: -len(group[1]))


def share(count: int, total: int) -> str:
    """Such as "12 pictures (3%) are", "1 picture (0.1%) is"."""
    percent = 100 * count / total
    text = f"{percent:.0f}%" if percent >= 1 else f"{percent:.1g}%"
    return f"{counted(count, 'picture')} ({text}) {'is' if count == 1 else 'are'}"
