"""Loss curves as inline SVG whose colours follow the page."""

from __future__ import annotations

import io
import re
from html import escape
from typing import Any

COLOURS = {"#010101": "var(--ink)", "#020202": "var(--soft)", "#030303": "var(--accent)", "#040404": "var(--second)"}

STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "latentdial",
    "font.size": 11,
    "font.family": "sans-serif",
    "text.color": "#010101",
    "axes.labelcolor": "#010101",
    "axes.edgecolor": "#020202",
    "xtick.color": "#020202",
    "ytick.color": "#020202",
}


def loss_curves(records: list[dict[str, Any]], name: str) -> list[str]:
    """SVG of every logged term over steps, training and validation, one each; none where nothing was logged."""
    return [_curve(records, term, name) for term in logged_terms(records)]


def _curve(records: list[dict[str, Any]], term: str, name: str) -> str:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=(3.6, 2.6), layout="constrained")
        axes = figure.subplots()
        for split, colour, width in (("train", "#030303", 1.2), ("validation", "#040404", 2.0)):
            points = _points(records, split, term)
            axes.plot(*zip(*points, strict=True), color=colour, lw=width, label=split) if points else None
        axes.set_title(f"{name}: {term}, nats a picture", fontsize=11, loc="left")
        axes.set_xlabel("step")
        axes.set_ylim(*_limits(records, term))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.15, color="#020202")
        axes.patch.set_alpha(0)
        axes.legend(frameon=False)
        return inline(figure, f"{term} of {name}")


def logged_terms(records: list[dict[str, Any]]) -> list[str]:
    """Terms in the order they were logged; the loss only where it is more than one term."""
    place = {"split", "step", "epoch"}
    first = next((record for record in records if record.get("split") == "train"), {})
    terms = [key for key in first if key not in place]
    return [term for term in terms if term != "loss"] if len(terms) == 2 else terms


def _points(records: list[dict[str, Any]], split: str, term: str) -> list[tuple[float, float]]:
    points = [(record.get("step"), record.get(term)) for record in records if record.get("split") == split]
    return [(x, y) for x, y in points if isinstance(x, int | float) and isinstance(y, int | float)]


def _limits(records: list[dict[str, Any]], term: str) -> tuple[float, float]:
    """From just below the smallest value to where both curves are after the first steep twentieth of training."""
    points = [*_points(records, "train", term), *_points(records, "validation", term)]
    last = max(step for step, _ in points)
    low, high = min(value for _, value in points), max(value for step, value in points if step >= last / 20)
    margin = 0.06 * (high - low) or 1.0
    return low - margin, high + margin


def inline(figure: Any, label: str) -> str:
    """A matplotlib figure in the placeholder colours as SVG for a page, whose own colours it takes."""
    figure.patch.set_alpha(0)
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]
    for placeholder, colour in COLOURS.items():
        svg = svg.replace(placeholder, colour)
    svg = re.sub(r' (?:width|height)="[\d.]+pt"', "", svg, count=2)
    return svg.replace("<svg", f'<svg role="img" aria-label="{escape(label)}"', 1)
