"""Standard streams as users leave them: closed, full, or unable to show every character."""

from __future__ import annotations

import errno
import io
import os
import sys
from contextlib import suppress

from latentdial.texts import printable

REMEDIES = {
    errno.ENAMETOOLONG: "use a shorter name",
    errno.ENOSPC: "free some space",
    errno.EACCES: "check its permissions",
    errno.EROFS: "choose another place",
}


def prepare() -> None:
    """Let closed streams lead nowhere, or files that are opened later would take their places."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 - stay open until the process ends
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def complain(text: str) -> None:
    """One line on standard error, where it can be written."""
    with suppress(OSError):
        print(printable(text, lines=False), file=sys.stderr, flush=True)


def flushed() -> OSError | None:
    """Write what standard output still holds; where that fails, why, and the rest is dropped."""
    try:
        sys.stdout.flush()
    except OSError as error:
        with suppress(OSError), open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        return error
    return None


def reason(error: OSError) -> str:
    """What went wrong with which file, and what to do."""
    if error.strerror is None:
        return str(error)
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror.lower()}: {REMEDIES.get(error.errno or 0, 'check the path and its disk')}"
