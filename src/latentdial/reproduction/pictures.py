"""The pictures of a reproduction: MNIST's own files with its own test part, any other set, or drawn avatars."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from latentdial import storage
from latentdial.config import DataSettings, Geometry
from latentdial.errors import LatentdialError
from latentdial.images import ImageSet, open_images
from latentdial.progress import Show

VALIDATION = 1 / 6  # of the training file, its last, as in 1509.00519: 10,000 of 60,000
PARTS = {"train": "train-images*", "test": "t10k-images*"}
MISSING = "give the folder with train-images-idx3-ubyte and t10k-images-idx3-ubyte, plain or .gz"


def source(data: str | None, most: int | None, geometry: Geometry, out: Path, show: Show) -> DataSettings:
    """Which pictures are trained on, at most so many: `data`, a folder with MNIST's files or any set; else avatars."""
    if data is None:
        return DataSettings("avatars", limit=most)
    folder = Path(data)
    if not folder.is_dir() or not any(folder.glob("*-images*")):
        return DataSettings(data, limit=most)
    files = [_file(folder, pattern) for pattern in PARTS.values()]
    stamps = [(file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    path = out / f"data-{hashlib.blake2b(repr((stamps, most)).encode(), digest_size=4).hexdigest()}.npz"
    if not path.exists():
        training, test = (open_images(DataSettings(str(file)), geometry, show.advance) for file in files)
        _write(path, training, test, most)
    return DataSettings(str(path))


def _file(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if not found:
        raise LatentdialError(f"{folder} holds no {pattern}: {MISSING}")
    return found[0]


def _write(path: Path, training: ImageSet, test: ImageSet, most: int | None) -> None:
    """Training pictures, the last of them for validation, and test pictures, as one set that says which are which."""
    apart = round(len(training) * VALIDATION)
    first = len(training) - apart
    kept = np.r_[0 : min(first, most or first), first : first + min(apart, most or apart)]
    parts = ["train"] * min(first, most or first) + ["validation"] * min(apart, most or apart) + ["test"] * len(test)
    images, split = np.concatenate([training.pixels[kept], test.pixels[:]]), np.array(parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    with storage.writing(path) as file:
        if training.labels is None or test.labels is None:
            np.savez(file, images=images, split=split)
        else:
            np.savez(file, images=images, split=split, label=np.concatenate([training.labels[kept], test.labels]))
