"""A detector: the scores of a codec, fitted and calibrated on normal pictures, with a check of what they can see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from latentdial.anomaly.calibrating import (
    MIN_NORMAL,
    Tails,
    fit_tails,
    least_false_alarms,
    percentiles,
    realised_range,
    threshold_for,
)
from latentdial.anomaly.scoring import ABOUT, COMBINED, MAP_OF, SLOW, Measured, Scorer, fit_scorer, sums_of
from latentdial.anomaly.shifted import PARTS, shifted
from latentdial.errors import LatentdialError
from latentdial.images import spread
from latentdial.latent.codec import Codec
from latentdial.measure.anomaly import auroc
from latentdial.progress import Steps
from latentdial.texts import Brief

MOST_NORMAL = 2000  # held-out pictures used at most
FOLDS = 10
LEAST_FOLDS, MOST_SCORED = 5, 2000  # the latter are scores of pictures for all folds together
CHECKED = 100  # of them that are shifted for the check, in every way
TOLD_APART = 0.65  # AUROC of shifted pictures below which a score is said to see nothing
ERRORS = ("squares", "error", "ssim")
FALSE_ALARMS = 0.01
USUAL = (2 / np.pi) ** 0.5  # mean distance from the mean of a normal distribution, in standard deviations


@dataclass(frozen=True, eq=False, repr=False)
class Detector(Brief):
    """Tells how odd pictures are to a codec, and from which score on they are called odd."""

    scorer: Scorer
    tails: Tails
    normal: np.ndarray  # (n,) combined scores of held-out normal pictures, none used for its own
    false_alarms: float  # stated share of normal pictures above the threshold
    told_apart: dict[str, float] = field(default_factory=dict)  # AUROC of every score on shifted pictures
    corrected: float | None = None  # threshold after correction by labels

    @property
    def threshold(self) -> float | None:
        """The combined score above which a picture is called odd; None where it cannot be said."""
        return threshold_for(self.normal, self.false_alarms) if self.corrected is None else self.corrected

    @property
    def realised(self) -> tuple[float, float] | None:
        """Between which shares of new normal pictures the false alarms lie, with 95% certainty; None if corrected."""
        if self.threshold is None or self.corrected is not None:
            return None
        return realised_range(len(self.normal), self.false_alarms)

    @property
    def combined(self) -> list[str]:
        """The scores that make up the combined one."""
        return [name for name, weight in zip(self.tails.names, self.tails.weights, strict=True) if weight > 0]

    def heat(self, measured: Measured) -> np.ndarray:
        """How odd each place of N pictures is, (N, G, G).

        0 is a usual place, 1 the oddest place of one in twenty normal pictures. It is the mean over the maps of the
        scores that count, each weighted as in the combined score.
        """
        columns = dict(zip(self.tails.names, self.tails.columns.T, strict=True))
        found = []
        for name, share in self.map_shares.items():
            high = np.quantile(columns[name], 0.95)
            found.append(share * (self.scorer.regions(name, measured.maps[name]) - USUAL) / max(high - USUAL, 1e-9))
        side = max((maps.shape[1] for maps in found), default=0)
        return sum((enlarged(maps, side) for maps in found), np.zeros(())) if found else np.zeros((0, 1, 1))

    @property
    def map_shares(self) -> dict[str, float]:
        """What each kind of map counts in heat maps: the weights of the scores whose places it says, one together."""
        counts: dict[str, float] = {}
        for name, weight in zip(self.tails.names, self.tails.weights, strict=True):
            if name in MAP_OF and weight > 0:
                counts[MAP_OF[name]] = counts.get(MAP_OF[name], 0.0) + float(weight)
        return {name: count / sum(counts.values()) for name, count in counts.items()}

    def percentiles(self, combined: np.ndarray) -> np.ndarray:
        """The share of normal pictures that score no higher, in percent, for combined scores (N,)."""
        return percentiles(combined, self.normal)

    def notes(self) -> list[str]:
        """What a person should know before trusting the scores."""
        said = []
        if self.threshold is None:
            least = least_false_alarms(len(self.normal))
            said.append(
                f"{len(self.normal)} held-out normal pictures cannot vouch for {self.false_alarms:.3g} false alarms: "
                f"nothing is called odd; allow --false-alarms {100 * least:.2g}% or give more with --normal"
            )
        blind = [self.told_apart[name] for name in ERRORS if name in self.told_apart]
        if blind and max(blind) < TOLD_APART:
            said.append(
                f"the codec reconstructs pictures with pasted and turned parts as well as normal ones (AUROC "
                f"{max(blind):.2f} by its errors), so its errors say little: train with fewer latent dimensions"
            )
        if self.told_apart.get("combined", 1.0) < TOLD_APART:
            said.append(
                f"pictures with pasted and turned parts are hardly told from normal ones (AUROC "
                f"{self.told_apart['combined']:.2f}): expect little of these scores"
            )
        if self.scorer.layers is None:
            said.append("the encoder has no layers with places, so that its layers are not scored")
        return said


def fit_detector(
    codec: Codec,
    training: Any,
    held_out: Any,
    *,
    false_alarms: float = FALSE_ALARMS,
    scores: Sequence[str] | None = None,
    least: int = MIN_NORMAL,
    progress: Steps | None = None,
) -> Detector:
    """Fit scores to training pictures and calibrate them on held-out normal pictures, both uint8 (N, H, W, C).

    `scores` name those that make up the combined one. Too few normal pictures and unknown names are a LatentdialError.
    """
    if len(held_out) < least:
        raise LatentdialError(
            f"what is normal cannot be said from {len(held_out)} held-out pictures: give at least {least} normal "
            "pictures with --normal"
        )
    held_out = held_out[spread(len(held_out), MOST_NORMAL)]
    scorer = fit_scorer(codec, training, codec.training_codes)
    combined = _chosen(scorer.available(codec), scores)
    names = [name for name in scorer.available(codec) if name in combined or name not in SLOW]
    measured = scorer.measure(codec, held_out, names, progress)
    final, alone = scorer.with_normal(sums_of(measured)), crossed(scorer, measured)
    few = spread(len(held_out), CHECKED)
    quick = [name for name in names if name not in SLOW]
    moved = {kind: final.scores(final.measure(codec, made, quick)) for kind, made in shifted(held_out[few]).items()}
    apart = {
        kind: {name: auroc(values, alone[name][few]) for name, values in scores.items()}
        for kind, scores in moved.items()
    }
    told = {name: float(np.mean([apart[kind][name] for kind in PARTS])) for name in quick}
    sees = {name: max(of[name] for of in apart.values()) for name in quick}
    tails, normal = fit_tails(alone, combined, sees), new_to(scorer, measured, combined, sees)
    if set(combined) <= set(quick):
        unseen = {name: alone[name][few] for name in alone if name not in quick}
        told["combined"] = float(np.mean([auroc(tails.combined(unseen | moved[kind]), normal[few]) for kind in PARTS]))
    return Detector(final, tails, normal, false_alarms, told)


def _chosen(available: list[str], scores: Sequence[str] | None) -> list[str]:
    if scores is None:
        return [name for name in COMBINED if name in available]
    odd = [name for name in scores if name not in available]
    if odd:
        known = "" if odd[0] not in ABOUT else " for this codec"
        raise LatentdialError(f"there is no score {odd[0]!r}{known}: choose from {', '.join(available)}")
    return list(scores)


def crossed(scorer: Scorer, measured: Measured) -> dict[str, np.ndarray]:
    """The scores of held-out pictures, each by what is normal among those of other folds."""
    folds, whole = np.arange(len(measured)) % FOLDS, sums_of(measured)
    found: dict[str, np.ndarray] = {}
    for fold in np.unique(folds):
        part = _part(measured, folds == fold)
        of_others = scorer.with_normal({name: whole[name] - sums for name, sums in sums_of(part).items()})
        for name, values in of_others.scores(part).items():
            found.setdefault(name, np.empty(len(measured)))[folds == fold] = values
    return found


def new_to(scorer: Scorer, measured: Measured, combined: list[str], sees: dict[str, float]) -> np.ndarray:
    """The combined scores of held-out pictures, each by all that is fitted without its fold, (n,).

    A picture that had a part in the maps of the others would make their scores smaller and look odder than a new one.
    """
    flat = {name: values for name, values in measured.flat.items() if name in combined}
    needed = {MAP_OF.get(name) for name in combined}
    measured = Measured(flat, {name: maps for name, maps in measured.maps.items() if name in needed})
    n = len(measured)
    folds, found = np.arange(n) % min(n, max(LEAST_FOLDS, MOST_SCORED // n)), np.empty(n)
    for fold in np.unique(folds):
        others, part = _part(measured, folds != fold), _part(measured, folds == fold)
        tails = fit_tails(crossed(scorer, others), combined, sees)
        found[folds == fold] = tails.combined(scorer.with_normal(sums_of(others)).scores(part))
    return found


def _part(measured: Measured, which: np.ndarray) -> Measured:
    flat, maps = ({name: values[which] for name, values in held.items()} for held in (measured.flat, measured.maps))
    return Measured(flat, maps)


def enlarged(maps: np.ndarray, side: int) -> np.ndarray:
    """Maps (N, G, G) with every place repeated, (N, side, side)."""
    rows = (np.arange(side) * maps.shape[1]) // side
    return maps[:, rows][:, :, rows]
