"""What notebooks and `print` show in place of a line of text, and tables as frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from latentdial.errors import needs

if TYPE_CHECKING:
    from pandas import DataFrame


class Shown:
    """A value that notebooks show with pictures and `print` as a short text.

    The package's root says how, which stands above all that is shown.
    """

    html_of: ClassVar[Callable[[object], str]]
    text_of: ClassVar[Callable[[object], str]]

    def __str__(self) -> str:
        return Shown.text_of(self)

    def _repr_html_(self) -> str:
        return Shown.html_of(self)


def frame(rows: Iterable[Mapping[str, Any]], index: str | None = None, instead: str = "") -> DataFrame:
    """Rows as a pandas frame, one of their fields as its index where it is named; needs the extra `frames`."""
    with needs("frames", "a frame", instead):
        from pandas import DataFrame
    found = DataFrame([*rows])
    return found if index is None else found.set_index(index)
