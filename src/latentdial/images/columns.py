"""Labels, known attributes and parts from the columns of a table, an archive or a data set."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from latentdial.config import DataSettings
from latentdial.errors import LatentdialError
from latentdial.images.types import Columns
from latentdial.texts import suggestion

LABELS = ("label", "labels", "class", "target", "y")
MAX_CATEGORIES = 200


def columns_of(
    columns: Mapping[str, Sequence[Any]], data: DataSettings, count: int, names: Mapping[str, list[str]] | None = None
) -> Columns:
    """Sort columns of `count` values: the label, the part, and numbers or categories as factors; others are left out.

    `names` gives the words for the values of columns that are indices already.
    """
    names = names or {}
    rest = {name: values for name, values in columns.items() if len(values) == count}
    label = _chosen(rest, data.label, LABELS, "--label")
    wanted = None if data.split == "auto" else data.split
    part = None if wanted == "seed" else _chosen(rest, wanted, ("split",), "--split")
    labels: np.ndarray | None = None
    label_names: list[str] = []
    if label is not None:
        labels, label_names = _coded(rest.pop(label), names.get(label))
    parts = None if part is None else np.array([str(value).strip().lower() for value in rest.pop(part)])
    factors, categories = {}, {}
    for name, values in rest.items():
        numbers = _numbers(values) if name not in names else None
        if numbers is not None:
            factors[name] = numbers
        elif name in names or len(set(map(str, values))) <= min(MAX_CATEGORIES, count // 2):
            factors[name], categories[name] = _coded(values, names.get(name))
    return Columns(labels, label_names, factors, categories, parts)


def with_label(columns: Columns, wanted: str | None) -> Columns:
    """The columns with the factor that --label names as their labels; one that is not there is a LatentdialError."""
    if wanted is None:
        return columns
    _chosen(columns.categories, wanted, (), "--label")
    factors, categories = dict(columns.factors), dict(columns.categories)
    return replace(
        columns,
        labels=factors.pop(wanted),
        label_names=categories.pop(wanted),
        factors=factors,
        categories=categories,
    )


def _chosen(columns: Mapping[str, Any], wanted: str | None, usual: tuple[str, ...], option: str) -> str | None:
    if wanted is not None and wanted not in columns:
        remedy = suggestion(wanted, columns) if columns else f"there are none; leave out {option}, or give a table"
        raise LatentdialError(f"there is no column {wanted!r} for {option}: {remedy}")
    return wanted or next((name for name in usual if name in columns), None)


def _coded(values: Sequence[Any], names: list[str] | None) -> tuple[np.ndarray, list[str]]:
    """Values as indices into their sorted names; indices that are none, such as -1, are unknown."""
    if names is not None:
        codes = np.array([value if value in range(len(names)) else len(names) for value in values], np.int64)
        return codes, [*names, "unknown"] if (codes == len(names)).any() else names
    found = np.asarray(values)
    kinds, codes = np.unique(found if found.dtype.kind in "iub" else found.astype(str), return_inverse=True)
    return codes, [str(kind) for kind in kinds]


def _numbers(values: Sequence[Any]) -> np.ndarray | None:
    try:
        numbers = np.array([float(value) for value in values])
    except (TypeError, ValueError):
        return None
    return numbers if math.isfinite(float(np.abs(numbers).sum())) else None
