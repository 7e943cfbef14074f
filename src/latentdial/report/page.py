"""What the report of a comparison shows, as HTML or Markdown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from latentdial.latent.codec import Codec
from latentdial.latent.direction import Direction, foremost
from latentdial.latent.editing import Edited
from latentdial.latent.effect import effects
from latentdial.latent.naming import canonical_directions, direction_of, raw_directions
from latentdial.latent.traversing import strip_of
from latentdial.report.comparison import Comparison, Measured
from latentdial.report.curves import loss_curves
from latentdial.report.direction_sheet import SDS as TURNS
from latentdial.report.direction_sheet import headings, turned
from latentdial.report.figures import ACROSS, HEAT_FULL, heat_map, with_ends
from latentdial.report.html import render, render_beside
from latentdial.report.odd import odd_sentence
from latentdial.texts import counted

PICTURES, STRIPS, DIRECTIONS, FRAMES = 8, 8, 4, 9
ASKED = 1  # the dimension that people find to do nothing
LITTLE = 0.5  # of the effect of its canonical namesake, below which a raw dimension is said to do little
BASIS = "Training may put what it has learnt into any basis of the code"
AMOUNTS = {
    "nothing": f"{BASIS}, and leave a part of it empty.",
    "so little": f"{BASIS}: a raw dimension is a part of many things.",
    "as much as c1": "Nets that start at principal components often keep them. Others may put what they have learnt "
    "into any basis of the code: a raw dimension is then a part of many things, or of nothing.",
}
TITLES = {
    "model": "its own prior",
    "gaussian": "a Gaussian",
    "mixture": "a mixture of Gaussians",
    "diffusion": "a diffusion",
    "words": "a prior of words",
}


def write_report(comparison: Comparison, out: Path, explorer: str | None = None) -> None:
    """Write the report of a comparison: one HTML file, or Markdown with a folder of pictures beside it."""
    content = _content(comparison, explorer)
    if out.suffix.lower() == ".md":
        render_beside("report.md.j2", content, out)
    else:
        render("report.html.j2", content, out)


def _content(comparison: Comparison, explorer: str | None) -> dict[str, Any]:
    runs, test = comparison.runs, comparison.test
    source = runs[0].codec.config.data.source if runs[0].codec.config else ""
    shown = [_run_content(run, test) for run in runs]
    nets = [run for run in shown if run["kind"] != "PCA"] or shown
    return {
        "comparison": comparison,
        "columns": comparison.table()[0],
        "name": Path(source).stem or source or "pictures",
        "title": _listed([run.name for run in runs]),
        "runs": shown,
        "nets": nets,
        "short": _short(comparison, nets),
        "odd": comparison.odd,
        "summary": comparison.images.summary(),
        "geometry": runs[0].codec.geometry,
        "latents": _listed(sorted({str(run.codec.latent) for run in runs}, key=int)),
        "asked": f"Why does {nets[0]['asked'][0]['title']} do {_amount(shown)}?",
        "why": AMOUNTS[_amount(shown)],
        "originals": test[:PICTURES],
        "source_picture": runs[0].edits.source,
        "explorer": explorer,
        "turns": headings()[:-1],
        "reach": float(TURNS[-1]),
        "heat_full": HEAT_FULL,
    }


def _amount(runs: list[dict[str, Any]]) -> str:
    """What a reader sees of the raw dimension that is asked about, of `AMOUNTS`."""
    nets = [run for run in runs if run["kind"] != "PCA"] or runs
    raw, canonical = np.array([[strip["effect"] for strip in run["asked"]] for run in nets]).T
    if (raw < 1).any():
        return "nothing"
    return "so little" if (raw < LITTLE * canonical).any() else "as much as c1"


def _run_content(run: Measured, test: np.ndarray) -> dict[str, Any]:
    strongest = max(1e-9, *(row.effect for row in run.dimensions.rows))
    directions = foremost(run.codec.directions, DIRECTIONS)
    return {
        "name": run.name,
        "kind": run.kind,
        "about": _about(run),
        "curves": [Markup(svg) for svg in loss_curves(run.records, run.name)],  # noqa: S704 - drawn from numbers
        "records": len(run.records),
        "psnr": float(run.decibels.mean()),
        "reconstructions": run.codec.reconstruct(test[:PICTURES]),
        "asked": _asked(run.codec, run.edits.code),
        "edits": run.edits,
        "columns": [
            _column(run.codec, run.edits.code, column) for column in run.edits.columns if len(column.moves) == 1
        ],
        "strips": [
            {"row": row, "share": row.effect / strongest, "pictures": with_ends(strip), "reach": strip.reach}
            for row in run.dimensions.rows[:STRIPS]
            for strip in [strip_of(run.codec, run.edits.code, direction_of(run.codec, row.name), ACROSS)]
        ],
        "effects": [row.effect / strongest for row in run.dimensions.rows],
        "measured": _measured(run),
        "needed": run.codec.canonical.needed(0.95),
        "latent": run.codec.latent,
        "directions": turned(run.codec, directions) if directions else [],
        "samples": [
            {"title": TITLES[one.prior], "pictures": one.pictures[:PICTURES], "note": one.note} for one in run.samples
        ],
    }


def _measured(run: Measured) -> str:
    count = len(run.dimensions.rows)
    return "all dimensions" if count == len(run.codec.canonical.steps) else f"the first {count} dimensions"


def _asked(codec: Codec, code: np.ndarray) -> list[dict[str, Any]]:
    """The dimension asked about, raw and canonical: each as a strip wide enough to be seen, and moving."""
    raw = raw_directions(codec)
    index = min(ASKED, len(raw) - 1, len(codec.canonical.steps) - 1)
    pair = [raw[index], canonical_directions(codec)[index]]
    return [_strip(codec, code, one, effect) for one, effect in zip(pair, effects(codec, pair), strict=True)]


def _strip(codec: Codec, code: np.ndarray, one: Direction, effect: float) -> dict[str, Any]:
    strip = strip_of(codec, code, one, ACROSS)
    return {
        "title": one.title,
        "effect": effect,
        "reach": strip.reach,
        "seen": strip.seen,
        "pictures": with_ends(strip),
        "moving": strip_of(codec, code, one, FRAMES, strip.reach).pictures,
    }


def _column(codec: Codec, code: np.ndarray, column: Edited) -> dict[str, Any]:
    """An edit that moves between the edited picture, where it begins, and the picture as decoded; and where it acts.

    The map is white at the largest change, so that a small one can be seen too.
    """
    share = np.linspace(1, 0, FRAMES)[:, None]
    levels = codec.levels(share * column.code + (1 - share) * code)
    largest = float(np.abs(levels[0] - levels[-1]).max())
    return {
        "label": column.label,
        "levels": column.change.mean,
        "sds": column.moves[0].sds,
        "moving": levels.round().astype(np.uint8),
        "where": heat_map(levels[-1], levels[0], max(largest, 1e-6)),
        "largest": largest,
        "warning": column.warning,
    }


def _short(comparison: Comparison, nets: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """What the page says, each in a line, and where."""
    raw, canonical = nets[0]["asked"]
    claims = [f"{claim.text}: {claim.answer}." for claim in comparison.claims()[:1]]
    told = [("which", f"AE or VAE? {comparison.short()}" if comparison.short() else "".join(claims))]
    told += [
        (
            "dimension",
            f"{raw['title'].capitalize()} of {nets[0]['name']} changes pictures by {raw['effect']:.1f} levels of 255, "
            f"{canonical['title']} by {canonical['effect']:.1f}.",
        )
    ]
    for one in comparison.attributes[:1]:
        names = _listed([row.name for row in one.rows])
        told.append(("attributes", f"{names} {'change one at a time' if len(one.rows) > 1 else 'changes alone'}."))
    if comparison.odd is not None:
        told.append(("odd", odd_sentence(comparison.odd)))
    return [(at, text) for at, text in told if text]


def _about(run: Measured) -> str:
    config = run.codec.config
    if config is None or not run.summary:
        return f"{counted(run.codec.latent, 'number')} in a code, imported weights."
    summary = run.summary
    steps = (
        f"{counted(summary['step'], 'step')} of {config.train.batch} pictures at learning rate {config.train.peak:g}, "
    )
    return (
        f"{config.model.recipe}, {counted(run.codec.latent, 'number')} in a code, "
        f"{summary['parameters']:,} parameters; {steps if summary['step'] else 'no steps, '}"
        f"{summary['precision']} on {summary['device']}, "
        f"{summary['seconds']:.0f} s."
    )


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
