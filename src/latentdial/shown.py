"""What a notebook shows in place of a line of text, and tables as frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from latentdial.errors import needs

if TYPE_CHECKING:
    from pandas import DataFrame


class Shown:
    """A value that notebooks show with pictures; the package's root says how, which stands above all that is shown."""

    html_of: ClassVar[Callable[[object], str]]

    def _repr_html_(self) -> str:
        return Shown.html_of(self)


def frame(rows: Sequence[Mapping[str, Any]], index: str) -> DataFrame:
    """Rows as a pandas frame with one of their fields as its index; needs the extra `frames`."""
    with needs("frames", "a frame"):
        from pandas import DataFrame
    return DataFrame([*rows]).set_index(index)
