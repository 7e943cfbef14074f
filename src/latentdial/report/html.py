"""The HTML report: one file, no requests, readable on a phone and a desk, in light and dark."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from latentdial.errors import LatentdialError
from latentdial.latent.direction import foremost
from latentdial.latent.effect import active_units
from latentdial.latent.sampling import fit_of
from latentdial.report.comparison import LINES, Comparison, Measured
from latentdial.report.curves import logged_terms, loss_curves
from latentdial.report.direction_sheet import SDS as TURNS
from latentdial.report.direction_sheet import headings, turned
from latentdial.report.figures import ENDS, HEAT_FULL, dimension_strip, to_picture

RECONSTRUCTED, STRIPS, SAMPLES, SHOWN, DIRECTIONS = 8, 8, 24, 12, 6
TITLES = {"gaussian": "Gaussian", "mixture": "mixture of Gaussians", "flow": "flow"}


def write_report(comparison: Comparison, out: Path) -> None:
    """Write the report of a comparison to one HTML file."""
    render("report.html.j2", _content(comparison), out)


def render(template: str, content: dict, out: Path) -> None:
    """Fill a template of this room and write it to one HTML file."""
    environment = Environment(
        loader=PackageLoader("latentdial.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["uri"] = data_uri
    page = environment.get_template(template).render(**content)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(page, encoding="utf-8")
    except OSError as error:
        raise LatentdialError(f"cannot write {out} ({error.strerror}): choose another --out") from None


def data_uri(pixels: np.ndarray) -> str:
    """A picture, uint8 (H, W, C), as a data: address."""
    file = io.BytesIO()
    to_picture(pixels).save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def _content(comparison: Comparison) -> dict:
    runs, test = comparison.runs, comparison.test
    return {
        "title": " and ".join(run.name for run in runs) if len(runs) < 3 else f"{len(runs)} autoencoders",
        "runs": [_run_content(run, test) for run in runs],
        "summary": comparison.images.summary(),
        "source": runs[0].codec.config.data.source if runs[0].codec.config else "",
        "geometry": runs[0].codec.geometry,
        "notes": comparison.notes,
        "examples": comparison.images.pixels[: SHOWN * 2],
        "lines": _table(comparison),
        "findings": _findings(comparison),
        "originals": test[:RECONSTRUCTED],
        "source_picture": runs[0].edits.source,
        "ends": ENDS,
        "turns": headings(),
        "reach": float(TURNS[-1]),
        "heat_full": HEAT_FULL,
        "tests": len(test),
    }


def _run_content(run: Measured, test: np.ndarray) -> dict:
    strongest = max(1e-9, *(row.effect for row in run.dimensions.rows))
    return {
        "name": run.name,
        "about": _about(run),
        "curves": Markup(loss_curves(run.records, run.name)),  # noqa: S704 - drawn from numbers
        "terms": len(logged_terms(run.records)),
        "reconstructions": run.codec.reconstruct(test[:RECONSTRUCTED]),
        "edits": run.edits,
        "strips": [
            {"row": row, "share": row.effect / strongest, "pictures": pictures, "reach": reach}
            for row in run.dimensions.rows[:STRIPS]
            for pictures, reach in [dimension_strip(run.codec, row, run.edits.code)]
        ],
        "effects": [row.effect / strongest for row in run.dimensions.rows],
        "needed": run.dimensions.needed(0.95),
        "latent": run.codec.latent,
        "directions": turned(run.codec, foremost(run.codec.directions, DIRECTIONS)) if run.codec.directions else [],
        "samples": [_samples(run, prior) for prior in _priors(run)],
    }


def _priors(run: Measured) -> list[str]:
    """The model's own prior where there is one, and the best of those fitted to its codes."""
    best = run.codec.prior_named()
    return ([] if run.codec.prior is None else ["model"]) + [best if best != "model" else "gaussian"]


def _samples(run: Measured, prior: str) -> dict:
    title = "from its prior" if prior == "model" else f"from a {TITLES[prior]} fitted to its training codes"
    note = fit_of(run.codec, prior).sentence()
    return {
        "title": title,
        "note": note and f"{note[0].upper()}{note[1:]}.",
        "pictures": run.codec.sample(SAMPLES, seed=1, prior=prior),
    }


def _about(run: Measured) -> str:
    config = run.codec.config
    if config is None or not run.summary:
        return f"{run.codec.latent} latent dimensions, imported weights."
    summary = run.summary
    return (
        f"{config.model.recipe}, {run.codec.latent} latent dimensions, {summary['parameters']:,} parameters; "
        f"{summary['step']:,} steps of {config.train.batch} pictures at learning rate {config.train.peak:g}, "
        f"{summary['precision']} on {summary['device']}, {summary['seconds']:.0f} s."
    )


def _table(comparison: Comparison) -> list[dict]:
    _, rows = comparison.table()
    return [
        {"title": row[0], "values": row[1:], "best": comparison.best(line)}
        for line, row in zip(LINES, rows, strict=True)
    ]


def _findings(comparison: Comparison) -> list[str]:
    """What the numbers say, in sentences."""
    runs = comparison.runs
    ranked = sorted(runs, key=lambda run: -run.quality.psnr)
    found = []
    if len(runs) > 1:
        best, last = ranked[0], ranked[-1]
        found.append(
            f"{best.name} reconstructs test pictures best: {best.quality.psnr:.1f} dB PSNR "
            f"against {last.quality.psnr:.1f} dB of {last.name}, "
            f"which has {last.quality.mse / best.quality.mse:.2f} times its squared error."
        )
    for run in runs:
        information = "" if run.kl is None else f", which carry {run.kl:.0f} nats of KL about a picture"
        rows = run.dimensions.rows
        found.append(
            f"{run.name} uses {active_units(run.codec)} of its {run.codec.latent} raw dimensions{information}; "
            f"in order of what they do, {run.dimensions.needed(0.95)} make up 95% of what its pictures vary by, "
            f"and {rows[0].name} alone changes a picture by {rows[0].effect:.1f} levels for 1 sd."
        )
    for run in runs:
        words = "; ".join(
            f"{column.label} changes the picture by {column.change.mean:.1f} levels ({column.moves[-1].sds:+.1f} sd)"
            for column in run.edits.columns
            if len(column.moves) == 1
        )
        found.append(f"In {run.name}, {words}.")
    return found
