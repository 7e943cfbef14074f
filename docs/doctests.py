"""Examples of docstrings as blocks of code on the pages of the reference, which would be quotations otherwise."""

from __future__ import annotations

import re
from typing import Any

from griffe import Docstring, Extension, Object

BLOCK = re.compile(r"^>>> .+(?:\n.+)*", re.MULTILINE)  # up to the next empty line, as doctest reads it
NOTE = re.compile(r" *# doctest: .*")


class Examples(Extension):
    """Goes over everything that the reference shows."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        if isinstance(obj.docstring, Docstring):
            obj.docstring.value = fenced(obj.docstring.value)


def fenced(text: str) -> str:
    """A docstring with its examples as fenced code, without notes to doctest."""
    return BLOCK.sub(lambda found: f"```pycon\n{NOTE.sub('', found[0])}\n```", text)
