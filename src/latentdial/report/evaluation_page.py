"""An evaluation as one HTML file."""

from __future__ import annotations

from pathlib import Path

from latentdial.report.evaluation import PCA, Evaluation, Row
from latentdial.report.html import render


def write_evaluation(found: Evaluation, out: Path) -> None:
    """Write the table, samples of every prior, and samples beside the training pictures nearest to them."""
    pair, samples = [found.run, PCA], list(found.samples)
    lines = [
        {
            "title": row.title,
            "cells": [{"text": row.text(name), "best": name in _best(row, pair, samples)} for name in found.columns],
        }
        for row in found.rows
    ]
    render("evaluation.html.j2", {"found": found, "lines": lines}, out)


def _best(row: Row, pair: list[str], samples: list[str]) -> set[str | None]:
    """The better of the run and PCA, and the best of the samples: each among its own kind."""
    return {row.best(pair), row.best(samples)}
