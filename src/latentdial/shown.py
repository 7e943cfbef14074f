"""What a notebook shows in place of a line of text, and tables as frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from latentdial.errors import needs

if TYPE_CHECKING:
    from pandas import DataFrame


class Shown:
    """A value that notebooks show with pictures. How is known above all that is shown: `latentdial.displays`."""

    def _repr_html_(self) -> str:
        shown: str = import_module("latentdial.displays").html_of(self)
        return shown


def frame(rows: Sequence[Mapping[str, Any]], index: str) -> DataFrame:
    """Rows as a pandas frame with one of their fields as its index; needs the extra `frames`."""
    with needs("frames", "a frame"):
        from pandas import DataFrame
    return DataFrame([*rows]).set_index(index)
