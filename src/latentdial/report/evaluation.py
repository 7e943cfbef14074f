"""What an evaluation holds: one table of figures, by whom they are of, and its forms."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from latentdial.shown import Shown, frame
from latentdial.texts import Brief

if TYPE_CHECKING:
    from pandas import DataFrame

REAL, PCA = "real pictures", "PCA"


@dataclass(frozen=True)
class Row:
    """A figure of every column that has one, its title, its format, and which end is better (0: neither)."""

    key: str
    title: str
    values: Mapping[str, float | None]
    style: str = "{:.4g}"
    better: int = 0

    def text(self, column: str) -> str:
        value = self.values.get(column)
        return "-" if value is None else self.style.format(value)

    def best(self, columns: list[str]) -> str | None:
        """The column that is best among these, where better has a meaning and they differ."""
        known = {name: self.values[name] for name in columns if self.values.get(name) is not None}
        if not self.better or len(set(known.values())) < 2:
            return None
        return max(known, key=lambda name: self.better * known[name])  # type: ignore[operator]


@dataclass(frozen=True, repr=False)
class Evaluation(Brief, Shown):
    """Figures of a run, each beside that of PCA, and of pictures drawn from every prior."""

    run: str
    rows: list[Row]
    columns: list[str]  # real pictures, the run, PCA, then what samples are drawn from
    test: int  # pictures
    reference: int  # pictures that distances are to
    features: str
    notes: list[str] = field(default_factory=list)
    samples: Mapping[str, np.ndarray] = field(default_factory=dict)  # pictures by column, uint8 (n, H, W, C)
    neighbours: tuple[str, np.ndarray, np.ndarray] | None = None  # a prior, samples, the nearest training pictures

    def table(self) -> tuple[list[str], list[list[str]]]:
        """The head, and a row of texts for every figure."""
        return ["", *self.columns], [[row.title, *(row.text(name) for name in self.columns)] for row in self.rows]

    def as_dict(self) -> dict[str, Any]:
        """For machines: figures by key and column, None left out."""
        figures = {
            row.key: {name: row.values[name] for name in self.columns if row.values.get(name) is not None}
            for row in self.rows
        }
        about = {"run": self.run, "test_pictures": self.test, "reference_pictures": self.reference}
        return about | {"features": self.features, "notes": self.notes, "figures": figures}

    def to_csv(self) -> str:
        """A line for every figure, a column for whom it is of."""
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["figure", *self.columns])
        for row in self.rows:
            writer.writerow([row.key, *(row.values.get(name) for name in self.columns)])
        return file.getvalue()

    def to_frame(self) -> DataFrame:
        """The table as a pandas frame, figures by columns."""
        rows = [{"figure": row.key} | {name: row.values.get(name) for name in self.columns} for row in self.rows]
        return frame(rows, "figure", "use to_csv()").astype(float)
