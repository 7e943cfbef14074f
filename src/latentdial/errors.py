"""The one error type that users see, and what is said where an extra is not installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from latentdial.texts import printable


class LatentdialError(Exception):
    """Something the user can mend: the message is one line and names the remedy."""

    def __str__(self) -> str:
        """The message; names of files in it cannot drive the terminal."""
        return printable(super().__str__(), lines=False)


@contextmanager
def needs(extra: str, what: str, instead: str = "") -> Iterator[None]:
    """Imports of packages that an extra brings: `what` needs them, and `instead` is what can be done without.

    >>> with needs("hub", "a hub"):
    ...     import no_such_package
    Traceback (most recent call last):
    latentdial.errors.LatentdialError: a hub needs no_such_package: pip install 'latentdial[hub]'
    """
    try:
        yield
    except ImportError as error:
        remedy = f"pip install 'latentdial[{extra}]'" + (f", or {instead}" if instead else "")
        raise LatentdialError(f"{what} needs {error.name or 'a package'}: {remedy}") from None
