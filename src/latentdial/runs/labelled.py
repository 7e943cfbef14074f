"""Codes of training pictures that were told their labels, by which a codec of one label knows what its pictures are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from latentdial import storage
from latentdial.errors import LatentdialError
from latentdial.images import ImageSet, open_parts
from latentdial.latent.codec import Codec
from latentdial.progress import Progress, quiet
from latentdial.runs.records import MAX_CODES

NAME = "labelled.safetensors"


def with_labelled_codes(codec: Codec, images: ImageSet, rows: np.ndarray) -> Codec:
    """The codec of a model that learnt from labels with the codes of these pictures, each encoded with its own."""
    rows = rows[:MAX_CODES]
    if images.labels is None:
        raise LatentdialError(f"{codec.name} learnt from labels, and these pictures have none: give others")
    labels = images.labels[rows].astype(np.int64)
    codes = np.empty((len(rows), codec.latent), np.float32)
    for label in np.unique(labels):
        codes[labels == label] = codec.given(int(label)).encode(images.pixels[rows[labels == label]])
    return replace(codec, labelled_codes=codes, labels=labels)


def unseen_of(
    codec: Codec, labels: Sequence[str], count: int, progress: Progress = quiet
) -> list[tuple[str, np.ndarray]]:
    """Uint8 test pictures (N, H, W, C) of a run for each of these labels that has some, at most `count`."""
    if codec.config is None:
        raise LatentdialError(f"{codec.name} is no run: give pictures")
    images = open_parts(codec.config, progress).test
    rows = [(label, images.labelled(label)[:count]) for label in labels]
    found = [(label, images.pixels[some]) for label, some in rows if len(some)]
    if not found:
        raise LatentdialError(f"no test picture of {codec.name} has one of these labels: name picture files")
    return found


def save_labelled(folder: Path, codec: Codec) -> None:
    """Write these codes (N, D) and their labels (N,), if the codec has some that are finite."""
    if codec.labelled_codes is None or codec.labels is None or not np.isfinite(codec.labelled_codes).all():
        storage.remove(folder / NAME)
    else:
        storage.save_tensors(folder / NAME, {"codes": codec.labelled_codes, "labels": codec.labels})


def read_labelled(folder: Path, latent: int, labels: int) -> tuple[np.ndarray, np.ndarray] | tuple[None, None]:
    """The codes (N, D) and labels (N,) of a run of so many labels; None where it keeps none."""
    path = folder / NAME
    try:
        (rows, *_) = (*storage.tensor_shapes(path).get("labels", ()), 0)
    except storage.Missing:
        return None, None
    if not 1 <= rows <= MAX_CODES:
        raise LatentdialError(f"{path} must hold 1 to {MAX_CODES} codes: {storage.REMEDY}")
    found = storage.read_tensors(path, {"codes": (rows, latent), "labels": (rows,)}, {"labels": "I64"})
    if not (found["labels"].min() >= 0 and found["labels"].max() < labels):
        raise LatentdialError(f"{path} holds labels that the run does not know: {storage.REMEDY}")
    return found["codes"], found["labels"]
