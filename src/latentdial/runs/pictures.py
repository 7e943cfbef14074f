"""The pictures of a run, read again from where it had them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from latentdial.errors import LatentdialError
from latentdial.images import ImageSet, open_images, split_images, spread
from latentdial.latent.codec import Codec

MAX_PICTURES = 10_000

Progress = Callable[[str, int, int], None]


def run_pictures(codec: Codec, data: str | None = None, progress: Progress | None = None) -> tuple[ImageSet, ImageSet]:
    """The training and the held-out pictures of a run, read again from its data or from `data`."""
    if codec.config is None:
        raise LatentdialError(f"{codec.name} is no run: give pictures and labels from Python")
    config = codec.config
    settings = config.data if data is None else replace(config.data, source=data, limit=None)
    images = open_images(settings, config.geometry, *([] if progress is None else [progress]))
    parts = split_images(images, config.data.holdout, config.train.seed)
    few = parts.train[spread(len(parts.train), MAX_PICTURES)]
    return images.take(few), images.take(np.concatenate([parts.validation, parts.test]))
