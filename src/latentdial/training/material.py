"""What training loops are made of, so that a loop can be made anew at any time."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from latentdial.config import RunConfig, TrainSettings
from latentdial.images import ImageSet, Split
from latentdial.machine.precision import choose_precision
from latentdial.machine.world import World
from latentdial.recipes import build
from latentdial.training.feed import Feed, feed
from latentdial.training.loop import Loop


@dataclass(frozen=True)
class Material:
    """All that loops are made of but their settings."""

    config: RunConfig
    pixels: Feed
    validation: Feed
    device: str
    precision: str
    world: World

    def loop(self, settings: TrainSettings) -> Loop:
        """A loop at its very start."""
        torch.manual_seed(settings.seed)
        recipe = build(self.config.model, self.config.geometry.shape)
        for net in (recipe.model, *(rival.net for rival in recipe.rivals)):
            net.to(self.device)
        world = self.world
        return Loop(
            recipe, settings, self.pixels, self.validation, self.device, self.precision, self.config.augment, world
        )


def gather_material(config: RunConfig, images: ImageSet, parts: Split, world: World, device: str) -> Material:
    train, validation = (
        feed(images.pixels.take(rows), device, config.train.memory) for rows in (parts.train, parts.validation)
    )
    return Material(config, train, validation, device, choose_precision(config.train.precision, device), world)
