"""Text for people: what may stand on a terminal, and which of the known words was meant."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import fields
from difflib import get_close_matches
from typing import Any

HARMLESS = "\t\u00a0\u200c\u200d\u3000"  # spaces, and what joins letters, which count as unprintable
SHOWN = 12
FEW, SHORT = 8, 60  # entries and letters of a value that is shown whole


def printable(text: str, lines: bool = True) -> str:
    """The text with what a terminal would obey written out: control characters, and what turns its direction.

    Ends of lines stay where `lines`.

    >>> printable("hand\\x1b[31m.jpg")
    'hand\\\\x1b[31m.jpg'
    """
    if text.isprintable():
        return text
    kept = HARMLESS + "\n" * lines
    return "".join(one if one.isprintable() or one in kept else ascii(one)[1:-1] for one in text)


def counted(number: int, one: str, many: str = "") -> str:
    """A number and what is counted, in the singular or the plural.

    >>> counted(1, "picture"), counted(1200, "copy", "copies")
    ('1 picture', '1,200 copies')
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def command(*words: object) -> str:
    """A command to paste into a shell, whatever is in its words.

    >>> command("sample", "runs/my vae", "-n", 4)
    "latentdial sample 'runs/my vae' -n 4"
    """
    return shlex.join(["latentdial", *map(str, words)])


def suggestion(word: str, known: Iterable[str], choose: str = "choose one of") -> str:
    """What to do about a word that is none of the known ones.

    >>> suggestion("fcn-ea", ["fcn-ae", "conv-vae"]), suggestion("gan", ["fcn-ae", "conv-vae"])
    ('did you mean fcn-ae?', 'choose one of fcn-ae, conv-vae')
    """
    names = list(known)
    meant = get_close_matches(word.lower(), [name.lower() for name in names], 1)
    if meant:
        return f"did you mean {next(name for name in names if name.lower() == meant[0])}?"
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{choose} {', '.join(names[:SHOWN])}{more}"


class Brief:
    """A dataclass (with `repr=False`) that is shown in a few lines, whatever it holds: arrays by type and shape.

    >>> from dataclasses import dataclass
    >>> @dataclass(repr=False)
    ... class Held(Brief):
    ...     name: str
    ...     rows: list
    >>> Held("ae", list(range(1000)))
    Held(name='ae', rows=list of 1000)
    """

    def __repr__(self) -> str:
        held = ((one.name, getattr(self, one.name)) for one in fields(self) if one.repr)  # type: ignore[arg-type]
        told = (f"{name}={_brief(value)}" for name, value in held if value is not None)
        return f"{type(self).__name__}({', '.join(told)})"


def _brief(value: Any) -> str:
    """A value in some words: whole where it is short."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
    if isinstance(value, str | int | float):
        text = repr(value)
        return text if len(text) <= SHORT else f"{text[:SHORT]}..."
    if isinstance(value, list | tuple | dict | set):
        text = repr(value) if len(value) <= FEW and all(isinstance(one, str | int | float) for one in value) else ""
        plain = text and not isinstance(value, dict) and len(text) <= SHORT
        return text if plain or not value else f"{type(value).__name__} of {len(value)}"
    return getattr(value, "__name__", type(value).__name__)


def tame(name: str) -> str:
    """A name from anywhere as a relative path for a file: no root, no way up, nothing hidden, no odd characters.

    >>> tame("warm/1.png"), tame("../../etc/passwd"), tame("discs[3]")
    ('warm/1.png', 'etc/passwd', 'discs_3')
    """
    parts = (re.sub(r"[^\w.+@=,() -]+", "_", part).strip(" ._")[:100] for part in re.split(r"[/\\]", name))
    return "/".join(part for part in parts if part) or "picture"


class FileNames:
    """A file name for every picture, each its own, in folders as in its source.

    >>> names = FileNames()
    >>> [names.of(name) for name in ("a/1.jpg", "a/1.png", "../2.png")]
    ['a/1.png', 'a/1-2.png', '2.png']
    """

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}

    def of(self, name: str) -> str:
        """Such as "warm/1.png" for "warm/1.jpg"."""
        stem = re.sub(r"(?<=[^/.])\.[^/.]*$", "", tame(name))
        count = self._taken[stem] = self._taken.get(stem, 0) + 1
        return f"{stem}.png" if count == 1 else self.of(f"{stem}-{count}")
