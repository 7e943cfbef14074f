"""Find the pictures that do not belong: fit a detector to a codec or take the one of its run, and score pictures."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from latentdial.anomaly.calibrating import corrected
from latentdial.anomaly.detector import FALSE_ALARMS, Detector, fit_detector
from latentdial.anomaly.stored import read_detector, save_detector, save_settings
from latentdial.anomaly.truth import NORMAL, truth_of
from latentdial.config import DataSettings
from latentdial.errors import LatentdialError
from latentdial.images import ImageSet, open_images
from latentdial.images.geometry import SUFFIXES
from latentdial.latent.codec import Codec, Picture
from latentdial.measure.change import COLUMNS, ROWS
from latentdial.progress import Show
from latentdial.runs.loading import load
from latentdial.runs.pictures import run_pictures
from latentdial.shown import Shown, frame
from latentdial.texts import Brief, counted

BLOCK = 256  # pictures whose maps are held at a time
PLACE = 0.5  # of the oddest place of one in twenty normal pictures: what is less odd is no place to name
SHOWN = 8  # of the oddest are kept to be looked at


@dataclass(frozen=True, eq=False, repr=False)
class Anomalies(Brief, Shown):
    """The scores of N pictures, higher for odder ones (scikit-learn's `decision_function` has the other sign)."""

    names: list[str]
    score: np.ndarray  # (N,) surprise in nats: about 1 for normal pictures, 3 for one in twenty
    percentile: np.ndarray  # (N,) of held-out normal pictures that score no higher
    scores: dict[str, np.ndarray]  # every single score, (N,)
    surprise: dict[str, np.ndarray]  # -ln of its tail probability among normal pictures, nats, (N,)
    peak: np.ndarray  # (N, 2) row and column of the oddest place, as shares of the side; nan where none is odd
    detector: Detector
    notes: list[str] = field(default_factory=list)
    pictures: np.ndarray | None = None  # the oddest, uint8 (K, H, W, C), oddest first
    heat: np.ndarray | None = None  # how odd their places are, (K, G, G); see `Detector.heat`

    def __len__(self) -> int:
        return len(self.names)

    @property
    def threshold(self) -> float | None:
        """The score above which a picture is called odd; None where it cannot be said."""
        return self.detector.threshold

    @property
    def odd(self) -> np.ndarray | None:
        """Which pictures are called odd, (N,); None where it cannot be said."""
        return None if self.threshold is None else self.score > self.threshold

    @property
    def reason(self) -> list[str]:
        """The single score that says most in the combined one, for each picture."""
        tails = self.detector.tails
        shares = tails.shares(np.stack([self.surprise[name] for name in tails.names], axis=1))
        return [tails.names[i] for i in shares.argmax(1)]

    @property
    def where(self) -> list[str]:
        """The ninth of each picture that holds its oddest place, in words; empty where no place is odd."""
        return ["" if np.isnan(place).any() else _ninth(*(3 * place).astype(int).clip(0, 2)) for place in self.peak]

    def sentence(self) -> str:
        """How many pictures are odd, and how sure the threshold is."""
        if self.odd is None:
            return f"{counted(len(self), 'picture')}, oddest first"
        detector = self.detector
        how = "corrected by labels" if detector.corrected is not None else f"{detector.false_alarms:.3g} false alarms"
        if detector.realised is not None:
            low, high = detector.realised
            how += f", {low:.2g} to {high:.2g} with {len(detector.normal):,} normal pictures to say so"
        odd = int(self.odd.sum())
        are = "is" if odd == 1 else "are"
        return f"{odd:,} of {counted(len(self), 'picture')} {are} odd (score above {self.threshold:.2f}, {how})"

    @property
    def order(self) -> np.ndarray:
        """The pictures by score, oddest first, (N,)."""
        return np.argsort(-self.score, kind="stable")

    def rows(self) -> Iterator[dict[str, Any]]:
        """One record for each picture, in the order given."""
        odd, reason, where = self.odd, self.reason, self.where
        for i, name in enumerate(self.names):
            yield {
                "file": name,
                "score": float(self.score[i]),
                "percentile": float(self.percentile[i]),
                "odd": None if odd is None else bool(odd[i]),
                "reason": reason[i],
                "where": where[i],
                "row": None if np.isnan(self.peak[i, 0]) else float(self.peak[i, 0]),
                "column": None if np.isnan(self.peak[i, 1]) else float(self.peak[i, 1]),
                **{name: float(values[i]) for name, values in self.scores.items()},
            }

    def to_frame(self) -> Any:
        """The rows as a pandas DataFrame; needs pandas."""
        return frame(self.rows(), instead="use rows()")

    def with_false_alarms(self, share: float | str) -> Anomalies:
        """The same scores with another threshold: that of so many false alarms, such as 0.02 or "2%"."""
        return replace(self, detector=replace(self.detector, false_alarms=parse_share(share), corrected=None))

    def correct(self, labels: Mapping[str, str | bool | int], good: Collection[str] = ()) -> Anomalies:
        """The same scores with the threshold corrected by a handful of labels: whether pictures, by name, are odd.

        Words stand for odd ones, but those of `good` or, without it, those such as 0, normal and good. Labels of one
        kind are a LatentdialError.
        """
        words = {name: label if isinstance(label, str) else str(int(label)) for name, label in labels.items()}
        truth = truth_of(words, self.names, good, "the labels")
        kinds = truth.odd[truth.known]
        if kinds.all() or not kinds.any():
            raise LatentdialError(
                f"the labels call {'all' if kinds.all() else 'none'} of the pictures odd, which moves no threshold: "
                f"give some of both kinds, normal ones as {', '.join(NORMAL[:3])}, or say their word with --good"
            )
        start = self.threshold if self.threshold is not None else float(self.detector.normal.max())
        moved = corrected(start, self.score[truth.known], kinds)
        return replace(self, detector=replace(self.detector, corrected=moved))


def anomalies(
    codec: Codec | str | Path,
    pictures: Picture | list[Picture] | ImageSet,
    *,
    normal: Any = None,
    false_alarms: float | str | None = None,
    scores: Sequence[str] | None = None,
    again: bool = False,
    show: Show | None = None,
) -> Anomalies:
    """Score how odd pictures are to a codec, or to the run in a directory, which then keeps what was fitted.

    What is normal comes from pictures that a run was not trained on, or from `normal`: pictures, or a source of them
    that a run can open. `pictures` may also be such a source. Too few normal pictures are a LatentdialError.

    >>> import torch, latentdial
    >>> rng = np.random.default_rng(0)
    >>> normal = rng.integers(90, 110, (60, 8, 8, 3), np.uint8)
    >>> down, up = torch.nn.Linear(192, 2), torch.nn.Linear(2, 192)
    >>> found = anomalies(latentdial.wrap(down, up, size=8), np.full((2, 8, 8, 3), 255, np.uint8), normal=normal)
    >>> found.percentile.tolist()
    [100.0, 100.0]
    """
    show = show or Show()
    folder = None if isinstance(codec, Codec) else Path(codec)
    held = codec if isinstance(codec, Codec) else load(codec)
    share = None if false_alarms is None else parse_share(false_alarms)
    detector: Detector | None = None
    notes: list[str] = []
    if folder is not None and normal is None and scores is None and not again:
        detector = read_detector(folder, held)
    if detector is None:
        detector, notes = fitted_detector(held, normal, share, scores, show)
        if folder is not None:
            save_detector(folder, held, detector)
    elif share is not None:
        detector = replace(detector, false_alarms=share, corrected=None)
        if folder is not None:
            save_settings(folder, held, detector)
    names, pixels = _opened(held, pictures, show)
    return scored(held, detector, names, pixels, show, notes)


def scored(
    codec: Codec, detector: Detector, names: list[str], pixels: Any, show: Show | None = None, notes: Sequence[str] = ()
) -> Anomalies:
    """The scores of uint8 pictures (N, H, W, C) that fit the codec, by a detector."""
    show, total = show or Show(), len(pixels)
    parts: list[tuple[dict[str, np.ndarray], np.ndarray]] = []
    for start in range(0, total, BLOCK):
        measured = detector.scorer.measure(codec, pixels[start : start + BLOCK], detector.tails.names)
        parts.append((detector.scorer.scores(measured), _peaks(detector.heat(measured), len(measured))))
        show.advance("scoring", min(start + BLOCK, total), total)
    scores = {name: np.concatenate([found[name] for found, _ in parts]) for name in detector.tails.names}
    combined = detector.tails.combined(scores)
    each = dict(zip(detector.tails.names, detector.tails.surprise(scores).T, strict=True))
    peak = np.concatenate([place for _, place in parts])
    said = [*notes, *detector.notes()]
    found = Anomalies(names, combined, detector.percentiles(combined), scores, each, peak, detector, said)
    first = pixels[found.order[:SHOWN]]
    return replace(found, pictures=first, heat=heat_of(codec, detector, first))


def heat_of(codec: Codec, detector: Detector, pixels: Any) -> np.ndarray:
    """How odd each place of uint8 pictures (N, H, W, C) is, (N, G, G); see `Detector.heat`."""
    names = [name for name, weight in zip(detector.tails.names, detector.tails.weights, strict=True) if weight > 0]
    return detector.heat(detector.scorer.measure(codec, pixels, names))


def parse_share(text: float | str) -> float:
    """A share from 0.01, "0.01" or "1%".

    >>> parse_share("2.5%")
    0.025
    """
    try:
        plain = str(text).strip()
        share = float(plain.removesuffix("%")) / (100 if plain.endswith("%") else 1)
    except ValueError:
        raise LatentdialError(f"cannot read the share {text!r}: write it as 1% or 0.01") from None
    if not 0 < share < 1:
        raise LatentdialError(f"a share of {text} is out of range: use one such as 1%")
    return share


def fitted_detector(
    codec: Codec, normal: Any, share: float | None, scores: Sequence[str] | None, show: Show
) -> tuple[Detector, list[str]]:
    """A detector fitted to normal pictures, the run's own where none are given, and what is to be said of them."""
    training, held_out, notes = normal_pictures(codec, normal, show)
    progress = lambda done, total: show.advance("looking at normal pictures", done, total)  # noqa: E731
    wanted = share or FALSE_ALARMS
    return fit_detector(codec, training, held_out, false_alarms=wanted, scores=scores, progress=progress), notes


def normal_pictures(codec: Codec, normal: Any, show: Show) -> tuple[Any, Any, list[str]]:
    """Pictures to fit densities to, held-out normal pictures, and what is to be said of them."""
    training = None
    if codec.config is not None and codec.config.data.source:
        try:
            training, held_out = run_pictures(codec, progress=show.advance)
        except LatentdialError as error:
            if normal is None:
                raise LatentdialError(
                    f"the pictures of the run are gone ({error}): give normal ones with --normal"
                ) from None
    if normal is None:
        if training is None:
            raise LatentdialError(f"{codec.name} does not say what it was trained on: give normal pictures (--normal)")
        return training.pixels, held_out.pixels, []
    _, pixels = _opened(codec, normal, show)
    if training is None:
        half = np.arange(len(pixels)) % 2 == 0
        return pixels[half], pixels[~half], []
    seen = {picture.tobytes() for chunk in training.pixels.chunks() for picture in chunk}
    fresh = np.array([picture.tobytes() not in seen for picture in pixels])
    known = len(fresh) - int(fresh.sum())
    said = [f"{known} of the normal pictures were trained on, and say nothing of new ones: left out"] if known else []
    return training.pixels, pixels[fresh], said


def _opened(codec: Codec, pictures: Any, show: Show) -> tuple[list[str], Any]:
    """The names of pictures, and their pixels as the codec takes them."""
    if isinstance(pictures, ImageSet):
        return pictures.names, pictures.pixels
    if isinstance(pictures, str | Path) and _is_set(Path(pictures)):
        images = open_images(DataSettings(str(pictures)), codec.geometry, show.advance)
        return images.names, images.pixels
    names = [str(one) if isinstance(one, str | Path) else "" for one in pictures] if isinstance(pictures, list) else []
    pixels = codec.pictures(pictures)
    if not len(pixels):
        raise LatentdialError("there are no pictures to score: give at least one")
    single = [str(pictures)] if isinstance(pictures, str | Path) else names
    return [single[i] if i < len(single) and single[i] else str(i) for i in range(len(pixels))], pixels


def _is_set(path: Path) -> bool:
    """Whether a path is a source of pictures and no single one."""
    return not path.is_file() or path.suffix.lower() not in SUFFIXES


def _peaks(heat: np.ndarray, n: int) -> np.ndarray:
    """Row and column of the oddest place of maps (N, G, G), as shares of the side, (N, 2); nan where none is odd."""
    if not heat.size:
        return np.full((n, 2), np.nan)
    flat = heat.reshape(n, -1)
    found = (np.stack(np.divmod(flat.argmax(1), heat.shape[1]), axis=1) + 0.5) / heat.shape[1]
    return np.where(flat.max(1, keepdims=True) < PLACE, np.nan, found)


def _ninth(row: int, column: int) -> str:
    return "centre" if (row, column) == (1, 1) else f"{ROWS[row]} {COLUMNS[column]}"
