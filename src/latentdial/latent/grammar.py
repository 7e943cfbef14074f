"""The edit grammar: `1*=2`, `0+=3`, `5=0`, `3+=2s`, several joined by `;`. Parsed, never evaluated.

edits  = edit *(";" edit)
edit   = target operator number ["s"]
target = dimension number or the name of a direction
operator = "*=" | "+=" | "-=" | "="
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np

from latentdial.errors import LatentdialError

FLOAT32_MAX = 3.4e38
HELP = "write target, operator and number, such as 1*=2, 0+=3, 5=0 or 3+=2s"
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_EDIT = re.compile(rf"\s*([A-Za-z0-9_][\w.-]*?)\s*(\*=|\+=|-=|=)\s*({_NUMBER})\s*(s?)\s*", re.ASCII)


@dataclass(frozen=True)
class Edit:
    """One change of a code along one target; `in_sd` values count standard deviations of the training codes."""

    target: str
    operator: str
    value: float
    in_sd: bool = False

    def __str__(self) -> str:
        return f"{self.target}{self.operator}{self.value:.15g}{'s' if self.in_sd else ''}"

    def apply(self, before: np.ndarray, mean: float, sd: float) -> np.ndarray | float:
        """The new coordinates of those before (N,), or one for all; the training codes have `mean` and `sd` there."""
        amount = self.value * sd if self.in_sd else self.value
        if self.operator == "*=":
            return before * self.value
        if self.operator == "+=":
            return before + amount
        if self.operator == "-=":
            return before - amount
        return mean + amount if self.in_sd else amount


def parse_edits(text: str) -> list[Edit]:
    """Read one or more edits joined by `;`; anything else is a LatentdialError.

    >>> [str(edit) for edit in parse_edits("1*=2; 3+=2s")]
    ['1*=2', '3+=2s']
    """
    edits = [_parse(part) for part in text.split(";") if part.strip()]
    if not edits:
        raise _refusal(text)
    return edits


def is_edit(text: str) -> bool:
    """Whether a text is one of edits, and no name of a file.

    >>> is_edit("1*=2; 3+=2s"), is_edit("face.jpg")
    (True, False)
    """
    try:
        return bool(parse_edits(text))
    except LatentdialError:
        return False


def _parse(text: str) -> Edit:
    match = _EDIT.fullmatch(text) if len(text) <= 200 else None
    if match is None:
        raise _refusal(text)
    target, operator, number, in_sd = match.groups()
    value = float(number)
    if not math.isfinite(value) or abs(value) > FLOAT32_MAX:
        raise LatentdialError(f"the number in edit {text.strip()!r} is too large: use at most {FLOAT32_MAX:g}")
    if operator == "*=" and in_sd:
        raise LatentdialError(f"edit {text.strip()!r} scales by standard deviations: use += or = with s")
    if target.isdigit():
        target = str(int(target))
    return Edit(target, operator, value, bool(in_sd))


def _refusal(text: str) -> LatentdialError:
    return LatentdialError(f"cannot read edit {text.strip()[:60]!r}: {HELP}")
