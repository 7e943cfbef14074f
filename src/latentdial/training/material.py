"""What training loops are made of, so that a loop can be made anew at any time."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from latentdial.config import RunConfig, TrainSettings
from latentdial.images import ImageSet, Split
from latentdial.machine.precision import choose_precision
from latentdial.machine.world import World
from latentdial.model import Model
from latentdial.progress import Steps, quiet
from latentdial.recipes import Recipe, build
from latentdial.training.feed import Feed, feed
from latentdial.training.few import Varied
from latentdial.training.loop import Labels, Loop
from latentdial.training.starting import Told, components, stand_ins, start_at_pca, told_of
from latentdial.training.subspace import components_wanted, narrow
from latentdial.types import Principal


@dataclass(frozen=True)
class Material:
    """All that loops are made of but their settings."""

    config: RunConfig
    pixels: Feed
    validation: Feed
    device: str
    precision: str
    world: World
    advance: Steps = quiet
    labels: Labels = None

    @cached_property
    def plain(self) -> Model:
        """The model without memory for its weights."""
        return self._plain.model

    @cached_property
    def _plain(self) -> Recipe:
        with torch.device("meta"):
            return build(self.config.model, self.config.geometry.shape)

    @cached_property
    def principal(self) -> Principal:
        """Principal components of the training pictures, as many as the decoder sees numbers."""
        own = self.varied.pixels is self.pixels and self.told is None
        return self._components.first(self.plain.seen) if own else components(self.plain, self.pixels)

    @cached_property
    def started(self) -> tuple[dict[str, Tensor], float]:
        """The model's weights before the first step, where they come from the pictures, and the seconds it took."""
        begin = time.perf_counter()
        recipe = self._recipe(self.config.train.seed)
        leading = self._components.first(self.plain.seen)
        start_at_pca(recipe.model, self.varied.pixels, leading, recipe.beta, self.advance, self.told)
        return recipe.model.state_dict(), time.perf_counter() - begin

    def loop(self, settings: TrainSettings, started: bool = True) -> Loop:
        """A loop at its very start; one that is about to be restored, or only timed, need not be `started`."""
        recipe, seconds = self._recipe(settings.seed), 0.0
        if started and settings.start == "pca":
            weights, seconds = self.started
            recipe.model.load_state_dict(weights)
        if self._subspace:
            narrow(recipe.model, self._components)
        world, variation = self.world, self.config.augment
        if variation.crop is None:
            variation = replace(variation, crop=self.varied.most)
        loop = Loop(
            recipe, settings, self.pixels, self.validation, self.device, self.precision, variation, world, self.labels
        )
        loop.seconds = loop.wall = seconds
        return loop

    @cached_property
    def _subspace(self) -> int:
        """How many components the outer layers are trained in; 0: they are trained as they are."""
        settings = self.config.train
        apart = settings.start == "random" or settings.shard
        return 0 if apart else components_wanted(self.plain, settings.subspace)

    @cached_property
    def varied(self) -> Varied:
        """The pictures that the net starts from."""
        alone = self.config.train.start == "random" or not self._plain.steps
        return Varied(self.pixels) if alone else stand_ins(self.plain, self.pixels, self.config.augment.flip)

    @cached_property
    def told(self) -> Told | None:
        """The labels of the pictures that the net starts from, where it learns from some."""
        return None if self.labels is None else told_of(self.plain, self.varied.pixels, self.labels[0])

    @cached_property
    def _components(self) -> Principal:
        return components(self.plain, self.varied.pixels, self._subspace, self.varied.width, self.told)

    def _recipe(self, seed: int) -> Recipe:
        torch.manual_seed(seed)
        recipe = build(self.config.model, self.config.geometry.shape)
        for net in (recipe.model, *(rival.net for rival in recipe.rivals)):
            net.to(self.device)
        return recipe


def gather_material(
    config: RunConfig, images: ImageSet, parts: Split, world: World, device: str, advance: Steps
) -> Material:
    train, validation = (
        feed(images.pixels.take(rows), device, config.train.memory) for rows in (parts.train, parts.validation)
    )
    precision = choose_precision(config.train.precision, device)
    return Material(
        config, train, validation, device, precision, world, advance, _labels(config, images, parts, device)
    )


def _labels(config: RunConfig, images: ImageSet, parts: Split, device: str) -> Labels:
    """The labels of training and validation pictures, where the model learns from them."""
    if not config.model.labels or images.labels is None or images.label_names != config.model.labels:
        return None
    return tuple(torch.from_numpy(images.labels[rows]).long().to(device) for rows in (parts.train, parts.validation))  # type: ignore[return-value]
