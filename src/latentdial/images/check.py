"""A look at the files of an image set beside other work."""

from __future__ import annotations

import threading
from collections.abc import Callable

from latentdial.errors import LatentdialError


def nothing() -> int:
    """A look that finds nothing changed."""
    return 0


class Check:
    """Counts, in a thread, the files of a set that are no longer as they were when it was opened.

    >>> Check().wait()
    0
    """

    def __init__(self, look: Callable[[], int] = nothing) -> None:
        self._look, self._found = look, 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def changed(self) -> int:
        """How many are known to have changed by now."""
        return self._found

    def wait(self) -> int:
        """How many have changed, when all are looked at."""
        self._thread.join()
        return self._found

    def _run(self) -> None:
        try:
            self._found = self._look()
        except (LatentdialError, OSError):
            self._found = 1  # such as a folder that is gone: opening it again says what it is
