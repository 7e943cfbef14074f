"""A folder of pictures: every file is read, or listed with the reason why not."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path

import numpy as np

from latentdial.errors import LatentdialError
from latentdial.images.geometry import SUFFIXES
from latentdial.images.listing import Folder, Listing, Seen
from latentdial.images.types import Columns, readable

FOREIGN = {".svg", ".heic", ".heif", ".avif", ".psd", ".eps", ".pdf", ".raw", ".cr2", ".nef", ".dng", ".jp2", ".jxl"}


def _array_in(root: Path) -> str:
    """What to write for the pictures of a folder that lie in an array, such as MNIST's; empty where there is none."""
    names = [path.name for path in root.iterdir() if path.suffix in (".npy", ".npz") or "-idx" in path.name]
    first = min(names, key=lambda name: ("images" not in name, "train" not in name, name), default="")
    return first and f"it holds an array, which is named as a file: {root / first}"


def list_folder(root: Path, split: str = "auto") -> Listing:
    """List the picture files under a folder; sub-folders are labels, or parts where `split` is "folder".

    Links are followed, each folder is read once, and only regular files are ever opened.
    """
    scan = _Scan(str(root))
    scan.walk()
    if not scan.names:
        wanted = _array_in(root) or "it or its sub-folders need .jpg, .png or .webp files"
        raise LatentdialError(f"{root} holds no picture files: {wanted}")
    return _listing(root, split, scan.names, np.array([scan.sizes, scan.times], np.int64).T, scan.seen)


def recall_folder(root: Path, split: str, names: list[str], stamps: np.ndarray, seen: Seen) -> Listing | None:
    """The listing of an earlier start, None where a folder's time of change is another; looks at no file."""
    try:
        changed = [os.stat(os.path.join(root, folder)).st_mtime_ns for folder, _, _ in seen.folders]
    except OSError:
        return None
    if not seen.folders or changed != [before for _, _, before in seen.folders]:
        return None
    return _listing(root, split, names, stamps, seen)


def _listing(root: Path, split: str, names: list[str], stamps: np.ndarray, seen: Seen) -> Listing:
    prefix = str(root) + os.sep
    return Listing(
        source=str(root.resolve()),
        names=names,
        stamps=stamps,
        locate=lambda name, _: prefix + name,
        columns=_columns(seen.folders, split),
        seen=seen,
    )


@dataclass
class _Scan:
    root: str
    names: list[str] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    times: list[int] = field(default_factory=list)  # of the last change, ns
    seen: Seen = field(default_factory=Seen)
    _entered: set[tuple[int, int]] = field(default_factory=set)

    def walk(self, folder: str = "") -> None:
        """Sort everything in a folder into names, skipped and others, then its sub-folders."""
        path = os.path.join(self.root, folder)
        try:
            here = os.stat(path)
            with os.scandir(path) as entries:
                found = sorted(entries, key=attrgetter("name"))
        except OSError as error:
            if not folder:
                raise LatentdialError(f"cannot read {self.root} ({error.strerror}): check its permissions") from None
            self.seen.skipped.append((folder, f"a folder that cannot be read ({error.strerror})".lower()))
            return
        self._entered.add((here.st_dev, here.st_ino))
        prefix, before, inner = f"{folder}/" if folder else "", len(self.names), []
        for entry in found:
            name = entry.name
            plain = name[0] != "." and name[name.rfind(".") :].lower() in SUFFIXES
            if plain and entry.is_file(follow_symlinks=False):
                self._add(prefix + name, entry.stat(follow_symlinks=False))
            elif self._is_folder(prefix + name, entry):
                inner.append(prefix + name)
        self.seen.folders.append((folder, len(self.names) - before, here.st_mtime_ns))
        for name in inner:
            self._enter(name)

    def _add(self, name: str, status: os.stat_result) -> None:
        self.names.append(name)
        self.sizes.append(status.st_size)
        self.times.append(status.st_mtime_ns)

    def _is_folder(self, name: str, entry: os.DirEntry[str]) -> bool:
        """Whether it is a folder to enter; all but plain files with a picture's suffix are sorted here."""
        status = self._follow(name, entry)
        suffix = os.path.splitext(entry.name)[1].lower()
        if status is None:
            return False
        if entry.name.startswith("."):
            self.seen.others.append((name, "hidden: its name starts with a dot"))
        elif stat.S_ISDIR(status.st_mode):
            if suffix in SUFFIXES:
                self.seen.skipped.append((name, "a folder, for all its name; the files in it are read"))
            return True
        elif suffix in FOREIGN:
            self.seen.skipped.append((name, f"pictures of type {suffix} are not supported: convert it to PNG"))
        elif suffix not in SUFFIXES:
            self.seen.others.append((name, f"no picture file ({suffix or 'no suffix'})"))
        elif stat.S_ISREG(status.st_mode):
            self._add(name, status)
        else:
            self.seen.skipped.append((name, "no regular file (a pipe, socket or device)"))
        return False

    def _follow(self, name: str, entry: os.DirEntry[str]) -> os.stat_result | None:
        try:
            status = entry.stat()
            if entry.is_symlink() and not Path(os.path.realpath(entry.path)).is_relative_to(Path(self.root).resolve()):
                self.seen.notes.append((name, "a link out of the folder, followed"))
            return status
        except OSError as error:
            dangling = isinstance(error, FileNotFoundError)
            self.seen.skipped.append(
                (name, "a link to nothing" if dangling else f"a bad link ({error.strerror})".lower())
            )
            return None

    def _enter(self, name: str) -> None:
        try:
            status = os.stat(os.path.join(self.root, name))
        except OSError as error:
            self.seen.skipped.append((name, f"a folder that cannot be read ({error.strerror})".lower()))
            return
        if (status.st_dev, status.st_ino) in self._entered:
            self.seen.skipped.append((name, "a link to a folder that is read already"))
        else:
            self.walk(name)


def _columns(folders: list[Folder], split: str) -> Columns:
    """Labels are the folders that hold pictures; with the split "folder" the top ones are parts instead."""
    counts = [count for _, count, _ in folders]
    words, parts = [folder or "." for folder, _, _ in folders], None
    if split == "folder":
        parts = np.repeat([word.partition("/")[0].lower() for word in words], counts)
        words = [word.partition("/")[2] or "." for word in words]
    label_names = sorted({word for word, count in zip(words, counts, strict=True) if count})
    if len(label_names) < 2:
        return Columns(parts=parts)
    place = {name: i for i, name in enumerate(label_names)}
    labels = np.repeat([place.get(word, 0) for word in words], counts)
    return Columns(labels=labels, label_names=[readable(name) for name in label_names], parts=parts)
