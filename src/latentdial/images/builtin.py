"""Picture sets that need no file: drawn avatars, and scikit-image's face patches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from latentdial.config import DataSettings, Geometry
from latentdial.errors import needs
from latentdial.images import avatars
from latentdial.images.columns import with_label
from latentdial.images.geometry import fit_arrays
from latentdial.images.pictures import Pictures, hashes_of
from latentdial.images.types import Columns, ImageSet
from latentdial.progress import Progress


def open_built_in(data: DataSettings, geometry: Geometry, progress: Progress) -> ImageSet:
    """Open the built-in set named by `data.source`."""
    images = BUILT_IN[data.source](data, geometry, progress)
    images = replace(images, columns=with_label(images.columns, data.label))
    return images if data.limit is None else images.take(np.arange(min(data.limit, len(images))))


def _avatars(data: DataSettings, geometry: Geometry, progress: Progress) -> ImageSet:
    n = data.limit or avatars.DEFAULT_COUNT
    pixels, factors = avatars.render(n, geometry.size, lambda done, total: progress("drawing avatars", done, total))
    columns = Columns(factors=factors, categories=avatars.CHOICES)
    return _in_memory(pixels, "avatar", columns, _with_colour(geometry, "rgb"))


def _lfw(_data: DataSettings, geometry: Geometry, _progress: Progress) -> ImageSet:
    with needs("lfw", "the set lfw"):
        from skimage.data import lfw_subset

    pixels = (lfw_subset() * 255).round().astype(np.uint8)[..., None]
    columns = Columns((np.arange(len(pixels)) >= 100).astype(int), ["face", "not a face"])
    return _in_memory(pixels, "lfw", columns, _with_colour(geometry, "grey"))


def _in_memory(pixels: np.ndarray, name: str, columns: Columns, geometry: Geometry) -> ImageSet:
    fitted = fit_arrays(pixels, geometry)
    names = [f"{name} {i}" for i in range(len(fitted))]
    return ImageSet(Pictures.of(fitted), names, hashes_of(fitted), geometry, columns)


def _with_colour(geometry: Geometry, own: str) -> Geometry:
    return replace(geometry, colour=own) if geometry.colour == "keep" else geometry  # type: ignore[arg-type]


BUILT_IN: dict[str, Callable[[DataSettings, Geometry, Progress], ImageSet]] = {"avatars": _avatars, "lfw": _lfw}
