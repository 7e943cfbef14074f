"""Which pictures the gallery shows."""

from __future__ import annotations

import numpy as np

from latentdial.errors import LatentdialError
from latentdial.explorer.content import GALLERY
from latentdial.images import ImageSet, open_for, open_parts, spread
from latentdial.latent.codec import Codec
from latentdial.progress import Progress


def gallery_of(codec: Codec, source: str | None, progress: Progress) -> tuple[np.ndarray | None, list[str], str]:
    """Pictures, labels and the title of the gallery: of `source`, else those that the run was not trained on."""
    if codec.config is None:
        return None, [], ""
    try:
        images = (
            open_parts(codec.config, progress).held_out if source is None else open_for(codec.config, progress, source)
        )
    except LatentdialError:
        if source is not None:
            raise
        return None, [], ""
    own = np.arange(0) if codec.label is None else images.labelled(codec.label)
    index = own if len(own) else np.arange(len(images))
    index = index[spread(len(index), GALLERY)]
    title = "Pictures held out from training" if source is None else f"Pictures of {source.rstrip('/').split('/')[-1]}"
    return np.ascontiguousarray(images.pixels[index]), _labels(images, index), title


def _labels(images: ImageSet, index: np.ndarray) -> list[str]:
    if images.labels is None:
        return [images.names[i] for i in index]
    return [images.label_names[images.labels[i]] for i in index]
