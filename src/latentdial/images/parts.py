"""The pictures of a run, split as its training split them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from latentdial.config import RunConfig
from latentdial.errors import LatentdialError
from latentdial.images.sources import need_source, open_images
from latentdial.images.splits import Split, split_images
from latentdial.images.types import ImageSet
from latentdial.progress import Progress, quiet


@dataclass(frozen=True)
class Parts:
    """An image set and its split."""

    images: ImageSet
    split: Split

    @property
    def training(self) -> ImageSet:
        return self.images.take(self.split.train)

    @property
    def validation(self) -> ImageSet:
        return self.images.take(self.split.validation)

    @property
    def test(self) -> ImageSet:
        return self.images.take(self.split.test)

    @property
    def held_out(self) -> ImageSet:
        """Validation and test pictures."""
        return self.images.take(np.concatenate([self.split.validation, self.split.test]))


def split_for(config: RunConfig, images: ImageSet) -> Split:
    """How a run of this configuration splits pictures: the one place that says so."""
    return split_images(images, config.data.holdout, config.train.seed)


def open_parts(config: RunConfig, progress: Progress = quiet, source: str | None = None) -> Parts:
    """The pictures of a run, or those of another source as the run would split them."""
    images = open_for(config, progress, source)
    return Parts(images, split_for(config, images))


def _need_own(source: str) -> None:
    if not source:
        raise LatentdialError("this run does not say what it was trained on: name pictures in the command")
    try:
        need_source(source)
    except LatentdialError:
        seen = "" if Path(source).is_absolute() else f", seen from {Path.cwd()}"
        raise LatentdialError(
            f"the pictures of this run are not at {source!r}{seen}: name pictures in the command, or write where its "
            'own are now as "source" into its config.json'
        ) from None


def open_for(config: RunConfig, progress: Progress = quiet, source: str | None = None) -> ImageSet:
    """The pictures of a run, or all those of another source, fitted as the run fits them.

    A run whose pictures are not where they were is a LatentdialError.
    """
    if source is None:
        _need_own(config.data.source)
    data = config.data if source is None else replace(config.data, source=source, limit=None)
    return open_images(data, config.geometry, progress)
