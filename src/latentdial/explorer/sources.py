"""Which pictures the gallery shows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from latentdial.errors import LatentdialError
from latentdial.explorer.content import GALLERY
from latentdial.explorer.dials import Progress
from latentdial.images import ImageSet, open_images
from latentdial.latent.codec import Codec

READ_AT_MOST = 2000  # pictures of a folder, to choose the gallery from


def gallery_of(codec: Codec, source: str | None, progress: Progress) -> tuple[np.ndarray | None, list[str]]:
    """Pictures and labels for the gallery, from `source`, else from what the run was trained on where that is there."""
    if codec.config is None:
        return None, []
    data = codec.config.data if source is None else replace(codec.config.data, source=source, limit=None)
    limit = READ_AT_MOST if data.limit is None else min(READ_AT_MOST, data.limit)
    try:
        images = open_images(data if data.source == "avatars" else replace(data, limit=limit), codec.geometry, progress)
    except LatentdialError:
        if source is not None:
            raise
        return None, []
    index = np.linspace(0, len(images) - 1, min(GALLERY, len(images))).astype(int)
    return np.ascontiguousarray(images.pixels[index]), _labels(images, index)


def _labels(images: ImageSet, index: np.ndarray) -> list[str]:
    if images.labels is None:
        return [images.names[i] for i in index]
    return [images.label_names[images.labels[i]] for i in index]
