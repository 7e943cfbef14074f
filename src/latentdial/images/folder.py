"""A folder of pictures: every file is read, or listed with the reason why not."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from latentdial.errors import LatentdialError
from latentdial.images.geometry import SUFFIXES
from latentdial.images.listing import Listing
from latentdial.images.types import Columns, Listed

FOREIGN = {".svg", ".heic", ".heif", ".avif", ".psd", ".eps", ".pdf", ".raw", ".cr2", ".nef", ".dng", ".jp2", ".jxl"}


def list_folder(root: Path, split: str = "auto") -> Listing:
    """List the picture files under a folder; sub-folders are labels, or parts where `split` is "folder".

    Links are followed, each folder is read once, and only regular files are ever opened.
    """
    scan = _Scan(str(root))
    scan.walk()
    files = sorted(scan.files)
    if not files:
        raise LatentdialError(f"{root} holds no picture files: it or its sub-folders need .jpg, .png or .webp files")
    names = [name for name, _, _ in files]
    prefix = str(root) + os.sep
    return Listing(
        source=str(root.resolve()),
        names=names,
        stamps=np.array([(size, changed) for _, size, changed in files], np.int64),
        locate=lambda name, _: prefix + name,
        columns=_columns(names, split),
        skipped=scan.skipped,
        others=scan.others,
        notes=scan.notes,
    )


@dataclass
class _Scan:
    root: str
    files: list[tuple[str, int, int]] = field(default_factory=list)  # name, size, time of change
    skipped: list[Listed] = field(default_factory=list)
    others: list[Listed] = field(default_factory=list)
    notes: list[Listed] = field(default_factory=list)
    _seen: set[tuple[int, int]] = field(default_factory=set)

    def walk(self, folder: str = "") -> None:
        """Sort everything under a folder into files, skipped and others."""
        path = os.path.join(self.root, folder)
        try:
            here = os.stat(path)
            with os.scandir(path) as entries:
                found = list(entries)
        except OSError as error:
            if not folder:
                raise LatentdialError(f"cannot read {self.root} ({error.strerror}): check its permissions") from None
            self.skipped.append((folder, f"a folder that cannot be read ({error.strerror})".lower()))
            return
        self._seen.add((here.st_dev, here.st_ino))
        prefix = f"{folder}/" if folder else ""
        for entry in found:
            name = entry.name
            plain = name[0] != "." and name[name.rfind(".") :].lower() in SUFFIXES
            if plain and entry.is_file(follow_symlinks=False):
                status = entry.stat(follow_symlinks=False)
                self.files.append((prefix + name, status.st_size, status.st_mtime_ns))
            else:
                self._sort(prefix + name, entry)

    def _sort(self, name: str, entry: os.DirEntry[str]) -> None:
        """Anything but a plain file with a picture's suffix."""
        status = self._follow(name, entry)
        suffix = os.path.splitext(entry.name)[1].lower()
        if status is None:
            return
        if entry.name.startswith("."):
            self.others.append((name, "hidden: its name starts with a dot"))
        elif stat.S_ISDIR(status.st_mode):
            self._enter(name, suffix, status)
        elif suffix in FOREIGN:
            self.skipped.append((name, f"pictures of type {suffix} are not supported: convert it to PNG"))
        elif suffix not in SUFFIXES:
            self.others.append((name, f"no picture file ({suffix or 'no suffix'})"))
        elif stat.S_ISREG(status.st_mode):
            self.files.append((name, status.st_size, status.st_mtime_ns))
        else:
            self.skipped.append((name, "no regular file (a pipe, socket or device)"))

    def _follow(self, name: str, entry: os.DirEntry[str]) -> os.stat_result | None:
        try:
            if entry.is_symlink() and not Path(os.path.realpath(entry.path)).is_relative_to(Path(self.root).resolve()):
                self.notes.append((name, "a link out of the folder, followed"))
            return entry.stat()
        except OSError as error:
            dangling = isinstance(error, FileNotFoundError)
            self.skipped.append((name, "a link to nothing" if dangling else f"a bad link ({error.strerror})".lower()))
            return None

    def _enter(self, name: str, suffix: str, status: os.stat_result) -> None:
        if suffix in SUFFIXES:
            self.skipped.append((name, "a folder, for all its name; the files in it are read"))
        if (status.st_dev, status.st_ino) in self._seen:
            self.skipped.append((name, "a link to a folder that is read already"))
        else:
            self.walk(name)


def _columns(names: list[str], split: str) -> Columns:
    folders = [name.rpartition("/")[0] or "." for name in names]
    parts = None
    if split == "folder":
        heads = [folder.partition("/") for folder in folders]
        parts = np.array([head.lower() for head, _, _ in heads])
        folders = [rest or "." for _, _, rest in heads]
    label_names, labels = np.unique(np.array(folders), return_inverse=True)
    if len(label_names) < 2:
        return Columns(parts=parts)
    return Columns(labels=labels, label_names=label_names.tolist(), parts=parts)
