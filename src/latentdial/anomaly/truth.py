"""What is known of pictures: which are odd and of what kind, and where; and how well scores agree with it."""

from __future__ import annotations

import csv
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from latentdial.config import DataSettings, Geometry
from latentdial.errors import LatentdialError
from latentdial.images import ImageSet, open_images, spread
from latentdial.measure.anomaly import Separation, pixel_auroc, region_overlap, separation

NORMAL = ("0", "normal", "good", "ok", "no", "false", "none")
MASK_ENDINGS = ("_mask", "_gt", "-mask")
MASK_LEVEL = 127  # of 255, above which a pixel of a mask is marked
MOST_MASKS = 500


@dataclass(frozen=True, eq=False)
class Truth:
    """The kind of each of N pictures: None where it is not known, "" for a normal one, else the kind of odd one."""

    kinds: list[str | None]

    @property
    def known(self) -> np.ndarray:
        return np.array([kind is not None for kind in self.kinds])

    @property
    def odd(self) -> np.ndarray:
        return np.array([bool(kind) for kind in self.kinds])


def read_truth(labels: str, images: ImageSet, good: Collection[str] = ()) -> Truth:
    """The truth from a CSV of file,label, or from the labels that the pictures carry where `labels` is "data".

    `good` are the labels of normal pictures; by default 0, normal, good, ok, no, false and none.
    """
    if labels != "data":
        return truth_of(read_labels(Path(labels)), images.names, good, labels)
    if images.labels is None:
        raise LatentdialError("these pictures carry no labels: put them in sub-folders or give --labels FILE.csv")
    said = [images.label_names[label] for label in images.labels]
    return truth_of(dict(zip(images.names, said, strict=True)), images.names, good, "the pictures' own labels")


def read_labels(path: Path) -> dict[str, str]:
    """The labels of a CSV of file,label with a header, by file."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise LatentdialError(f"{path} cannot be read as CSV ({error}): give a text file of file,label") from None
    if len(rows) < 2 or any(len(row) < 2 for row in rows):
        raise LatentdialError(f"{path} is no table: give a header and then file,label in each row")
    return {row[0]: row[1] for row in rows[1:]}


def truth_of(said: dict[str, str], names: Sequence[str], good: Collection[str], source: str) -> Truth:
    """The truth from labels by the name of a picture: its whole name, its file name, or its place in an array."""
    normal = {word.lower() for word in (good or NORMAL)}
    kinds: list[str | None] = []
    for i, name in enumerate(names):
        found = next((said[key] for key in (name, Path(name).name, Path(name).stem, str(i)) if key in said), None)
        kinds.append(None if found is None else "" if found.strip().lower() in normal else found.strip() or "odd")
    if not any(kind is not None for kind in kinds):
        raise LatentdialError(f"{source} names none of the pictures: its first column must hold their file names")
    words = sorted({kind for kind in kinds if kind})
    if good and "" not in kinds:
        raise LatentdialError(f"no picture has the label {', '.join(good)}: --good may be {', '.join(words)[:200]}")
    return Truth(kinds)


def read_masks(masks: str, images: ImageSet, geometry: Geometry) -> np.ndarray:
    """Where N pictures are marked, bool (N, H, W): from a folder of masks of the same names, or an array of all.

    A picture without a mask has nothing marked. A mask of another size than its picture is a LatentdialError.
    """
    grey = replace(geometry, colour="grey", background="#000000")
    found = open_images(DataSettings(masks, max_skipped=0.0), grey)
    where = {_plain(name): i for i, name in enumerate(images.names)}
    where |= {_plain(Path(name).name): i for i, name in enumerate(images.names)}
    marked = np.zeros((len(images), geometry.size, geometry.size), bool)
    in_order = len(found) == len(images) and "[" in found.names[0]
    for j, name in enumerate(found.names):
        i = j if in_order else where.get(_plain(name), where.get(_plain(Path(name).name)))
        if i is None:
            continue
        _check_size(images, i, found, j)
        marked[i] = found.pixels[[j]][0, ..., 0] > MASK_LEVEL
    if not marked.any():
        raise LatentdialError(f"{masks} marks nothing in these pictures: masks must have their names, odd places white")
    return marked


@dataclass(frozen=True)
class Agreement:
    """How far scores agree with the truth; what cannot be said is None."""

    overall: Separation | None
    by_kind: dict[str, Separation]
    by_score: dict[str, float]  # AUROC of every single score
    false_alarms: float | None  # share of known normal pictures that are called odd
    found: float | None  # share of known odd pictures that are called odd
    pixel_auroc: float | None = None
    region_overlap: float | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def sentences(self) -> list[str]:
        """The figures for a person."""
        if self.overall is None:
            return [
                "how well odd pictures are told apart cannot be said: the labels name pictures of one kind only "
                f"(normal ones are {', '.join(NORMAL[:4])}; --good says otherwise)"
            ]
        whole = self.overall
        said = [
            f"AUROC {whole.auroc:.3f} (95% interval {whole.low:.3f} to {whole.high:.3f}), average precision "
            f"{whole.average_precision:.3f}, {whole.false_alarms_at_95:.1%} false alarms where 95% are found "
            f"({whole.odd} odd, {whole.normal} normal pictures)"
        ]
        if self.found is not None and self.false_alarms is not None:
            said.append(
                f"at the threshold {self.found:.1%} of the odd are found, with {self.false_alarms:.1%} false alarms"
            )
        if len(self.by_kind) > 1:
            kinds = sorted(self.by_kind.items(), key=lambda pair: -pair[1].auroc)
            said.append(
                "AUROC by kind: " + ", ".join(f"{kind} {one.auroc:.3f} ({one.odd})" for kind, one in kinds[:20])
            )
        if self.pixel_auroc is not None and self.region_overlap is not None:
            said.append(f"by pixels: AUROC {self.pixel_auroc:.3f}, PRO {self.region_overlap:.3f}")
        return said


def agreement(
    combined: np.ndarray,
    scores: dict[str, np.ndarray],
    called: np.ndarray | None,
    truth: Truth,
    maps: np.ndarray | None = None,
    masks: np.ndarray | None = None,
) -> Agreement:
    """Compare scores (N,), the verdicts `called` (N,) and maps (N, H, W) with the truth and masks (N, H, W)."""
    known, odd = truth.known, truth.odd
    kinds = {
        kind: np.array([one in ("", kind) for one in truth.kinds]) for kind in sorted(set(filter(None, truth.kinds)))
    }
    apart = {kind: separation(combined[which], odd[which]) for kind, which in kinds.items()}
    singles = {name: separation(values[known], odd[known]) for name, values in scores.items()}
    normal = known & ~odd
    return Agreement(
        overall=separation(combined[known], odd[known]),
        by_kind={kind: one for kind, one in apart.items() if one is not None},
        by_score={name: one.auroc for name, one in singles.items() if one is not None},
        false_alarms=None if called is None or not normal.any() else float(called[normal].mean()),
        found=None if called is None or not odd.any() else float(called[odd].mean()),
        pixel_auroc=None if maps is None or masks is None else pixel_auroc(maps, masks),
        region_overlap=None if maps is None or masks is None else region_overlap(maps, masks),
    )


def mask_sample(masks: np.ndarray) -> np.ndarray:
    """The pictures whose places are compared with masks (N, H, W): marked ones first, at most `MOST_MASKS`."""
    marked = np.flatnonzero(masks.any((1, 2)))
    marked = marked[spread(len(marked), MOST_MASKS)]
    rest = np.flatnonzero(~masks.any((1, 2)))[: MOST_MASKS - len(marked)]
    return np.sort(np.concatenate([marked, rest]))


def _plain(name: str) -> str:
    """The name of a picture or of its mask, without ending."""
    stem = str(Path(name).with_suffix(""))
    return next((stem.removesuffix(ending) for ending in MASK_ENDINGS if stem.endswith(ending)), stem)


def _check_size(images: ImageSet, i: int, found: ImageSet, j: int) -> None:
    if images.originals is None or found.originals is None:
        return
    picture, mask = ((one["width"], one["height"]) for one in (images.originals[i], found.originals[j]))
    if tuple(picture) != tuple(mask):
        raise LatentdialError(
            f"the mask {found.names[j]} is {mask[0]}x{mask[1]} and its picture {picture[0]}x{picture[1]}: "
            "give masks of the size of their pictures"
        )
