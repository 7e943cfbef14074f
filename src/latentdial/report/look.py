"""The page and the contact sheet of `latentdial look`."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from latentdial.config import DataSettings, Geometry, settings_in
from latentdial.errors import LatentdialError
from latentdial.images import open_images
from latentdial.images.montage import montage, to_picture
from latentdial.images.survey import Survey, survey
from latentdial.outputs import PAGE, check_file
from latentdial.progress import Show, showing
from latentdial.report.html import render
from latentdial.texts import suggestion

ACROSS, DOWN, PER_LABEL, LABELS = 16, 6, 12, 8
GROUPS, MEMBERS, BARS, NAMES, BINS = 8, 6, 12, 20, 24


def look(data: str | Path, out: str | Path | None = None, *, show: Show | bool = True, **settings: Any) -> Survey:
    """See what a set of pictures holds: sizes, labels, duplicates, files left out; with `out`, also as a page.

    `settings` are the fields of Geometry and DataSettings by name, such as size=64. `findings()` of what comes back
    says it in sentences. A set that cannot be read is a LatentdialError.

    >>> latentdial.look("pictures/").findings()  # doctest: +SKIP
    """
    known = {field.name for kind in (Geometry, DataSettings) for field in fields(kind)} - {"source"}
    odd = sorted(settings.keys() - known)
    if odd:
        raise LatentdialError(f"there is no setting {odd[0]!r}: {suggestion(odd[0], sorted(known))}")
    if out is not None:
        check_file(out, PAGE)
    source = replace(settings_in(DataSettings, settings), source=str(data))
    with showing(show) as shown:
        found = survey(open_images(source, settings_in(Geometry, settings), shown.advance), source)
    if out is not None:
        write_look(found, str(data), Path(out))
    return found


def contact_sheet(survey: Survey, across: int = ACROSS, down: int = DOWN) -> np.ndarray:
    """Pictures spread evenly over the set, uint8 (H, W, 3)."""
    n = len(survey.images)
    chosen = np.unique(np.linspace(0, n - 1, min(n, across * down)).astype(int))
    return montage([survey.images.pixels[chosen[i : i + across]] for i in range(0, len(chosen), across)])


def write_look(survey: Survey, source: str, out: Path) -> None:
    """Write what was found to one self-contained HTML file."""
    render("look.html.j2", _content(survey, source), out)


def look_sheet(survey: Survey) -> Image.Image:
    """The contact sheet as a picture, small pictures enlarged."""
    sheet = to_picture(contact_sheet(survey))
    scale = max(1, 96 // survey.images.geometry.size)
    return sheet.resize((sheet.width * scale, sheet.height * scale), Image.Resampling.NEAREST)


def _content(survey: Survey, source: str) -> dict[str, Any]:
    images = survey.images
    return {
        "source": source,
        "survey": survey,
        "summary": images.summary(),
        "geometry": images.geometry,
        "sheet": contact_sheet(survey),
        "mean": _rounded(survey.mean),
        "spread": _rounded(survey.spread / max(float(survey.spread.max()), 1e-9) * 255),
        "files": [
            {"title": title, "bars": bars(counts)}
            for title, counts in [("sizes", survey.sizes), ("modes", survey.modes), ("formats", survey.formats)]
            if counts
        ],
        "labels": _label_rows(survey),
        "label_bars": bars(survey.labels),
        "factors": [_factor(survey, name) for name in images.factors],
        "copies": [[_named(survey, i) for i in group[:MEMBERS]] for group in survey.copies[:GROUPS]],
        "near": [[_named(survey, i) for i in group[:MEMBERS]] for group in survey.near[:GROUPS]],
        "blank": [_named(survey, i) for i in survey.blank[:MEMBERS]],
        "listed": [("Skipped", survey.reasons), ("Used, with a note", survey.notes)],
        "names": NAMES,
    }


def bars(counts: list[tuple[str, int]]) -> list[dict[str, Any]]:
    """The largest counts with their share of the largest, the rest as one."""
    shown = counts[:BARS]
    rest = sum(count for _, count in counts[BARS:])
    if rest:
        shown = [*shown, (f"{len(counts) - BARS} more", rest)]
    largest = max((count for _, count in shown), default=1)
    return [{"name": name, "count": count, "share": count / largest} for name, count in shown]


def _label_rows(survey: Survey) -> list[dict[str, Any]]:
    """A row of pictures for each of the largest labels."""
    images, rows = survey.images, []
    for name, count in survey.labels[:LABELS]:
        members = images.labelled(name)
        chosen = members[np.unique(np.linspace(0, len(members) - 1, min(PER_LABEL, len(members))).astype(int))]
        rows.append({"name": name, "count": count, "pictures": list(images.pixels[chosen])})
    return rows


def _factor(survey: Survey, name: str) -> dict[str, Any]:
    """A known attribute: counts of its categories, or a histogram of its numbers."""
    values, words = survey.images.factors[name], survey.images.columns.categories.get(name)
    if words is not None:
        counts = np.bincount(values, minlength=len(words)).tolist()
        return {"name": name, "bars": bars(sorted(zip(words, counts, strict=True), key=lambda pair: -pair[1]))}
    counts, edges = np.histogram(values, BINS)
    return {"name": name, "bins": (counts / max(counts.max(), 1)).tolist(), "low": edges[0], "high": edges[-1]}


def _named(survey: Survey, i: int) -> dict[str, Any]:
    return {"name": survey.images.names[i], "picture": survey.images.pixels[i]}


def _rounded(levels: np.ndarray) -> np.ndarray:
    return levels.clip(0, 255).round().astype(np.uint8)
