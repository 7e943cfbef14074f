"""Which pictures the gallery shows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from latentdial.errors import LatentdialError
from latentdial.explorer.content import GALLERY
from latentdial.explorer.dials import Progress
from latentdial.images import ImageSet, open_images, split_images, spread
from latentdial.latent.codec import Codec


def gallery_of(codec: Codec, source: str | None, progress: Progress) -> tuple[np.ndarray | None, list[str], str]:
    """Pictures, labels and the title of the gallery: of `source`, else those that the run was not trained on."""
    if codec.config is None:
        return None, [], ""
    config = codec.config
    data = config.data if source is None else replace(config.data, source=source, limit=None)
    try:
        images = open_images(data, codec.geometry, progress)
        if source is None:
            parts = split_images(images, config.data.holdout, config.train.seed)
            images = images.take(np.concatenate([parts.test, parts.validation]))
    except LatentdialError:
        if source is not None:
            raise
        return None, [], ""
    index = spread(len(images), GALLERY)
    title = "Pictures held out from training" if source is None else f"Pictures of {source.rstrip('/').split('/')[-1]}"
    return np.ascontiguousarray(images.pixels[index]), _labels(images, index), title


def _labels(images: ImageSet, index: np.ndarray) -> list[str]:
    if images.labels is None:
        return [images.names[i] for i in index]
    return [images.label_names[images.labels[i]] for i in index]
