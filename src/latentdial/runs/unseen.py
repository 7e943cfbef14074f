"""Codes and losses of pictures that a run was not trained on, by which it is said what is safe and what is unlike."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from latentdial.errors import LatentdialError
from latentdial.images import ImageSet, Split, open_parts
from latentdial.latent.codec import Codec
from latentdial.latent.novelty import losses
from latentdial.latent.support import CALIBRATION, MIN_CODES
from latentdial.progress import Show
from latentdial.runs.loading import save_codes


def unseen(codec: Codec, images: ImageSet, split: Split) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Codes (M, D) and losses (M, 2) of validation pictures, with those of the test where they are too few.

    None where these are too, or are not finite.
    """
    rows = split.validation[:CALIBRATION]
    if len(rows) < MIN_CODES:
        rows = np.concatenate([rows, split.test])
    if len(rows) < MIN_CODES:
        return None, None
    pixels = images.pixels[rows]
    codes = codec.encode(pixels)
    lost = losses(pixels, codec.levels(codes))
    return (codes, lost) if np.isfinite(codes).all() and np.isfinite(lost).all() else (None, None)


def with_losses(codec: Codec, folder: Path, show: Show) -> Codec:
    """The codec of a run; where the run is of before losses were kept, its pictures give them, and it keeps them."""
    if codec.held_out is None or codec.held_out_losses is not None or codec.config is None or not folder.is_dir():
        return codec
    try:
        parts = open_parts(codec.config, show.advance)
        held_out, lost = unseen(codec, parts.images, parts.split)
        save_codes(folder, codec.codes, codec.kl, held_out, lost)
    except LatentdialError as error:
        show.say(
            f"note: {folder} does not say which pictures are unlike its training pictures: it was trained before runs "
            f"kept that, and finding it now failed ({error})"
        )
        return codec
    return replace(codec, held_out=held_out, held_out_losses=lost)
