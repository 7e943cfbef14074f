"""Text for people: what may stand on a terminal, and which of the known words was meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

HARMLESS = "\t\u00a0\u200c\u200d\u3000"  # spaces, and what joins letters, which count as unprintable
SHOWN = 12


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
