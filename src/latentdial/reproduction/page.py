"""A reproduction as one HTML file: the table, what is said to be better, curves, and the manifold."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from latentdial.report.curves import STYLE, inline
from latentdial.report.html import render
from latentdial.reproduction.reproducing import Reproduction

FAINTEST = 0.3  # of the curves
APART = 0.05  # of the height: names of curves that end together


def write_reproduction(found: Reproduction, out: Path) -> None:
    """Write the page; it needs no other file."""
    head, rows = found.table()
    content = {
        "found": found,
        "head": head,
        "rows": rows,
        "orders": [(one, one.words()) for one in found.ordered],
        "curves": _curves(found),
        "manifold": [] if found.manifold is None else list(found.manifold),
    }
    render("reproduction.html.j2", content, out)


def _curves(found: Reproduction) -> str:
    """The bounds over the pictures seen as SVG; empty where none were kept."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    if not any(parts["train"] for parts in found.curves.values()):
        return ""
    with rc_context(STYLE):
        figure = Figure(figsize=(9, 4.2), layout="constrained")
        axes = figure.subplots()
        for i, parts in enumerate(found.curves.values()):
            strength = FAINTEST + (1 - FAINTEST) * (i + 1) / len(found.curves)
            for part, colour, style in (("train", "#030303", "-"), ("validation", "#040404", "--")):
                if parts[part]:
                    axes.plot(*zip(*parts[part], strict=True), style, color=colour, alpha=strength, lw=1.6)
        lows = [parts["train"][len(parts["train"]) // 20][1] for parts in found.curves.values() if parts["train"]]
        axes.set_ylim(bottom=min(lows))
        ends = {name: (parts["validation"] or parts["train"])[-1] for name, parts in found.curves.items()}
        for name, place in _apart(ends, APART * (axes.get_ylim()[1] - min(lows))).items():
            axes.annotate(name, place, (6, 0), textcoords="offset points", fontsize=9, va="center")
        axes.set_xlabel("training pictures seen")
        axes.set_title("bound in nats a picture: training (line), validation (dashed)", fontsize=11, loc="left")
        axes.margins(x=0.02)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.15, color="#020202")
        axes.patch.set_alpha(0)
        return inline(figure, f"Bounds of {found.name}")


def _apart(ends: Mapping[str, tuple[float, float]], gap: float) -> dict[str, tuple[float, float]]:
    """Places beside the ends (x, y) of curves, moved down to lie a gap apart where they end at one x."""
    lowest: dict[float, float] = {}
    places = {}
    for name, (x, y) in sorted(ends.items(), key=lambda end: -end[1][1]):
        lowest[x] = min(y, lowest.get(x, float("inf")) - gap)
        places[name] = (x, lowest[x])
    return places
