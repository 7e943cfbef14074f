"""The page of `latentdial anomalies`: the oddest pictures, heat maps on one scale, and what the scores are worth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from latentdial.anomaly.detecting import Anomalies, heat_of, normal_pictures
from latentdial.anomaly.detector import enlarged
from latentdial.anomaly.scoring import ABOUT
from latentdial.anomaly.truth import Agreement, Truth
from latentdial.errors import LatentdialError
from latentdial.images import ImageSet, spread
from latentdial.latent.codec import Codec
from latentdial.progress import Show
from latentdial.report.html import render

ODDEST, BORDER, USUAL = 24, 6, 6
HEAT_FULL = 3.0  # where heat maps end at most; 1 is the oddest place of one in twenty normal pictures
COMPARED = 2000  # normal pictures among which the nearest is looked for
BINS, WIDTH, HEIGHT = 48, 720, 200


@dataclass(frozen=True, eq=False)
class Found:
    """What the page tells of: scored pictures, and what is known of them."""

    codec: Codec
    anomalies: Anomalies
    images: ImageSet
    truth: Truth | None = None
    agreement: Agreement | None = None
    normal: Any = None  # where normal pictures come from, if not from the run


def write_anomalies(found: Found, out: Path, show: Show | None = None) -> None:
    """Write the page to one HTML file."""
    render("anomalies.html.j2", _content(found, show or Show()), out)


def _content(found: Found, show: Show) -> dict[str, Any]:
    result, detector = found.anomalies, found.anomalies.detector
    nearest = _Nearest(found, show)
    shown = [(title, chosen, _heats(found, chosen)) for title, chosen in _groups(result)]
    full = heat_scale(*(heats for *_, heats in shown if heats is not None))
    groups: list[dict[str, Any]] = [
        {
            "title": title,
            "cards": [
                _card(found, nearest, i, None if heats is None else coloured(heats[k] / full))
                for k, i in enumerate(chosen)
            ],
        }
        for title, chosen, heats in shown
    ]
    notes = [*result.notes, *([nearest.missing] if nearest.missing else [])]
    first = groups[0]["cards"]
    return {
        "name": found.codec.name,
        "total": len(result),
        "odd": None if result.odd is None else int(result.odd.sum()),
        "threshold": result.threshold,
        "false_alarms": detector.false_alarms,
        "realised": detector.realised,
        "corrected": detector.corrected is not None,
        "normal": len(detector.normal),
        "agreement": found.agreement,
        "sentences": found.agreement.sentences() if found.agreement else [],
        "notes": notes,
        "groups": groups,
        "histogram": Markup(_histogram(detector.normal, result)),  # noqa: S704 - drawn from numbers
        "scale": coloured(np.tile(np.linspace(0, 1, 128), (4, 1))),
        "heat_full": full,
        "scores": _score_rows(found),
        "maps": first[0]["heat"] is not None,
    }


class _Nearest:
    """The nearest normal picture by the codec's code, where normal pictures are at hand."""

    def __init__(self, found: Found, show: Show) -> None:
        self.missing = ""
        self.density, self.codec = found.anomalies.detector.scorer.density, found.codec
        try:
            training, *_ = normal_pictures(found.codec, found.normal, show)
        except LatentdialError as error:
            self.missing = f"the nearest normal pictures are not shown: {error}"
            return
        self.pictures = training[spread(len(training), COMPARED)]
        self.places = self._places(self.pictures)

    def of(self, picture: np.ndarray) -> np.ndarray | None:
        if self.missing:
            return None
        apart = np.linalg.norm(self.places - self._places(picture[None]), axis=1)
        apart[(self.pictures == picture).all((1, 2, 3))] = np.inf
        return self.pictures[int(apart.argmin())]

    def _places(self, pictures: np.ndarray) -> np.ndarray:
        return self.density.white(self.codec.encode(pictures)) * self.density.stretch


def _groups(result: Anomalies) -> list[tuple[str, np.ndarray]]:
    """Pictures to show, by their place in the order: the oddest, those about the threshold, the most usual."""
    order, n = result.order, len(result)
    groups = [("The oddest", order[:ODDEST])]
    if result.odd is not None and n > ODDEST + USUAL:
        middle = int(result.odd.sum())
        about = order[max(ODDEST, middle - BORDER // 2) : max(ODDEST, middle - BORDER // 2) + BORDER]
        groups.append(("About the threshold", about))
    if n > ODDEST + BORDER + USUAL:
        groups.append(("The most usual", order[::-1][:USUAL]))
    return [(title, chosen) for title, chosen in groups if len(chosen)]


def _heats(found: Found, chosen: np.ndarray) -> np.ndarray | None:
    """How odd each place of the chosen pictures is, (K, side, side); None where no score has places."""
    heat = heat_of(found.codec, found.anomalies.detector, found.images.pixels[chosen])
    return enlarged(heat, found.codec.geometry.size) if heat.size else None


def _card(found: Found, nearest: _Nearest, i: int, heat: np.ndarray | None) -> dict[str, Any]:
    result, picture = found.anomalies, found.images.pixels[[i]][0]
    kind = None if found.truth is None else found.truth.kinds[i]
    return {
        "file": result.names[i],
        "picture": picture,
        "again": found.codec.reconstruct(picture[None])[0],
        "heat": heat,
        "nearest": nearest.of(picture),
        "score": float(result.score[i]),
        "percentile": float(result.percentile[i]),
        "odd": None if result.odd is None else bool(result.odd[i]),
        "reason": result.reason[i],
        "where": result.where[i],
        "kind": "normal" if kind == "" else kind,
        "missed": kind is not None and result.odd is not None and bool(kind) != bool(result.odd[i]),
    }


def _score_rows(found: Found) -> list[dict[str, Any]]:
    """Each score: what it is, what it counts, how it tells shifted and labelled pictures apart."""
    detector = found.anomalies.detector
    known = found.agreement.by_score if found.agreement else {}
    whole = None if found.agreement is None or found.agreement.overall is None else found.agreement.overall.auroc
    rows: list[dict[str, Any]] = [
        {
            "name": name,
            "about": ABOUT[name],
            "weight": float(weight),
            "told": detector.told_apart.get(name),
            "known": known.get(name),
        }
        for name, weight in zip(detector.tails.names, detector.tails.weights, strict=True)
    ]
    rows.sort(key=lambda row: -row["weight"])
    about = "the weighted harmonic mean of the above, each as its tail probability among normal pictures"
    told = detector.told_apart.get("combined")
    return [*rows, {"name": "combined", "about": about, "weight": 1.0, "told": told, "known": whole}]


def heat_scale(*heats: np.ndarray) -> float:
    """Where the colours of these heat maps end, so that the oddest place shows and few lie beyond."""
    return float(np.clip(max((heat.max() for heat in heats), default=1.0), 1.0, HEAT_FULL))


def coloured(values: np.ndarray) -> np.ndarray:
    """Values (..., H, W) from 0 to 1 as a heat map, uint8 (..., H, W, 3)."""
    from matplotlib import colormaps

    return (colormaps["inferno"](np.clip(values, 0, 1))[..., :3] * 255).round().astype(np.uint8)


def _histogram(normal: np.ndarray, result: Anomalies) -> str:
    """Shares of held-out normal and of scored pictures by score, on a log scale, as SVG with the page's colours."""
    values = [np.log10(np.maximum(scores, 1e-2)) for scores in (normal, result.score)]
    low, high = min(one.min() for one in values), max(one.max() for one in values)
    if result.threshold is not None:
        high = max(high, float(np.log10(max(result.threshold, 1e-2))))
    edges = np.linspace(low, high + 1e-9, BINS + 1)
    shares = [np.histogram(one, edges)[0] / len(one) for one in values]
    tallest = max(share.max() for share in shares)

    def across(value: float) -> float:
        return (value - low) / max(high - low, 1e-9) * WIDTH

    step = WIDTH / BINS
    bars = "".join(
        f'<rect x="{k * step:.1f}" y="{HEIGHT - HEIGHT * share / tallest:.1f}" width="{step - 1:.1f}" '
        f'height="{HEIGHT * share / tallest:.1f}" fill="var(--{colour})" opacity=".6"/>'
        for colour, each in zip(("accent", "second"), shares, strict=True)
        for k, share in enumerate(each)
        if share
    )
    ticks = [tick for tick in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 1000, 10_000) if low <= np.log10(tick) <= high]
    marks = "".join(
        f'<text x="{across(float(np.log10(tick))):.1f}" y="{HEIGHT + 20}" text-anchor="middle" '
        f'fill="var(--soft)" font-size="13">{tick:g}</text>'
        for tick in ticks
    )
    line = ""
    if result.threshold is not None:
        x = across(float(np.log10(max(result.threshold, 1e-2))))
        anchor, at = ("end", x - 6) if x > WIDTH / 2 else ("start", x + 6)
        line = (
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{HEIGHT}" stroke="var(--ink)" stroke-dasharray="4 3"/>'
            f'<text x="{at:.1f}" y="-8" text-anchor="{anchor}" fill="var(--ink)" font-size="13">'
            f"threshold {result.threshold:.2f}</text>"
        )
    return (
        f'<svg viewBox="-20 -24 {WIDTH + 40} {HEIGHT + 50}" role="img" aria-label="histogram of scores" '
        f'style="max-width:none">{bars}{line}{marks}</svg>'
    )
