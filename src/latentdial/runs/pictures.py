"""The pictures of a run, read again from where it had them."""

from __future__ import annotations

from latentdial.errors import LatentdialError
from latentdial.images import ImageSet, open_parts, spread
from latentdial.latent.codec import Codec
from latentdial.progress import Progress, quiet

MAX_PICTURES = 10_000


def run_pictures(codec: Codec, data: str | None = None, progress: Progress = quiet) -> tuple[ImageSet, ImageSet]:
    """The training and the held-out pictures of a run, read again from its data or from `data`."""
    if codec.config is None:
        raise LatentdialError(f"{codec.name} is no run: give pictures and labels from Python")
    parts = open_parts(codec.config, progress, data)
    return parts.training.take(spread(len(parts.split.train), MAX_PICTURES)), parts.held_out
