"""Files and folders that users ask for by name: looked at before any work, and written whole or not at all."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from latentdial import storage
from latentdial.errors import LatentdialError

PICTURE = (".png",)
STRIP = (".png", ".gif", ".webp")
PAGE = (".html", ".htm")
REPORT = (*PAGE, ".md")
TABLE = (".csv",)


def check_file(out: str | Path, endings: Sequence[str] = (), option: str = "--out") -> Path:
    """Refuse a name that cannot be written, before there is anything to write.

    `endings` are those that its kind may have. Nothing is made or touched.

    >>> check_file("edit.pgn", PICTURE)
    Traceback (most recent call last):
    latentdial.errors.LatentdialError: cannot write edit.pgn: choose an --out ending in .png
    """
    path = Path(out)
    if endings and path.suffix.lower() not in endings:
        raise LatentdialError(f"cannot write {out}: choose an {option} ending in {_either(endings)}")
    found = _status(path, option)
    if found is not None and stat.S_ISDIR(found.st_mode):
        raise LatentdialError(f"cannot write {out}, which is a folder: name a file in it")
    if found is not None and not stat.S_ISREG(found.st_mode):
        raise _refused(path, "something that is no plain file is in its way", option)
    _check_above(path, option)
    return path


def check_folder(out: str | Path, option: str = "--out") -> Path:
    """Refuse a folder that cannot be made or written in; nothing is made or touched."""
    path = Path(out)
    found = _status(path, option)
    if found is None:
        _check_above(path, option)
    elif not stat.S_ISDIR(found.st_mode):
        raise _refused(path, "it is no folder", option)
    elif not os.access(path, os.W_OK | os.X_OK):
        raise _refused(path, "permission denied", option)
    return path


def write(out: str | Path, data: str | bytes) -> None:
    """Write a file whole or not at all, and make the folders above it; text as UTF-8."""
    path = Path(out)
    with storage.explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    storage.write(path, data)


def _check_above(path: Path, option: str) -> None:
    """The first folder above that exists must be one to write in."""
    above = next(folder for folder in Path(os.path.abspath(path)).parents if _status(folder, option) is not None)
    if not above.is_dir():
        raise _refused(path, f"{above} is no folder", option)
    if not os.access(above, os.W_OK | os.X_OK):
        raise _refused(path, f"{above}: permission denied", option)


def _status(path: Path, option: str) -> os.stat_result | None:
    """What is there; None where nothing is, LatentdialError for a name that no file can have."""
    try:
        return os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise _refused(path, str(getattr(error, "strerror", None) or error).lower(), option) from None


def _refused(path: Path, reason: str, option: str) -> LatentdialError:
    return LatentdialError(f"cannot write {path} ({reason}): choose another {option}")


def _either(endings: Sequence[str]) -> str:
    return " or ".join(filter(None, [", ".join(endings[:-1]), endings[-1]]))
