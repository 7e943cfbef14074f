"""From a data source and settings to a finished run directory."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from latentdial import storage
from latentdial.config import SETTING_NAMES, Options, RunConfig, TrainSettings, make_config
from latentdial.errors import LatentdialError
from latentdial.images import Check, ImageSet, Split, lasting_source, open_at_once, open_images, split_for
from latentdial.latent.codec import Codec
from latentdial.machine.precision import choose_device
from latentdial.machine.world import World, join_world
from latentdial.progress import Show, showing
from latentdial.recipes import Recipe, build, takes_labels
from latentdial.runs.loading import load
from latentdial.runs.records import read_config, read_summary
from latentdial.training.folder import (
    Existing,
    check_folder,
    locked,
    not_there,
    nothing_left,
    nothing_left_of_a_failure,
    start_folder,
)
from latentdial.training.material import Material, gather_material
from latentdial.training.planning import largest_batch
from latentdial.training.session import Changed, Finished, Session
from latentdial.training.starting import has_linear_start
from latentdial.training.stopping import listening


def train(
    recipe: str,
    data: str | Path,
    out: str | Path,
    *,
    options: Options | None = None,
    resume: bool = False,
    overwrite: bool = False,
    show: Show | bool = True,
    **settings: Any,
) -> Codec:
    """Train a recipe on pictures and write a run directory; returns the trained codec.

    `settings` are the fields of Geometry, DataSettings, TrainSettings and AugmentSettings by name, such as size=64,
    epochs=30 or seed=1. Progress is shown on a terminal and in a notebook, unless `show` is False.
    Raises LatentdialError for bad settings, unreadable data, or a directory that holds a run already.
    """
    odd = sorted(settings.keys() - SETTING_NAMES)
    if odd:
        raise LatentdialError(f"there is no setting {odd[0]!r}: see latentdial train --help")
    if not isinstance(data, str | Path):
        raise LatentdialError(
            f"train reads pictures from files, so that a run finds them again, and was given a {type(data).__name__}: "
            "save an array with np.save and give its path"
        )
    config = make_config(recipe, lasting_source(str(data)), options or {}, settings)
    with showing(show) as shown:
        finished = train_run(config, Path(out), existing(resume, overwrite), shown)
        if finished.leads and "verdict" in finished.summary:
            shown.say(str(finished.summary["verdict"]))
    if finished.codec is None:
        raise LatentdialError(f"training was stopped by a signal: go on with resume=True and the run {out}")
    return finished.codec


def existing(resume: bool, overwrite: bool) -> Existing:
    """What becomes of a run that is there already, as options say it; going on is the more careful one."""
    return "resume" if resume else "replace" if overwrite else "refuse"


def train_run(config: RunConfig, out: Path, existing: Existing, show: Show) -> Finished:
    """Train what `config` says into the directory `out`; every process of torchrun calls this alike.

    A warm start trains at once, while a thread looks at every file; where one has changed, training starts again.
    """
    try:
        return _train_run(config, out, existing, show, at_once=True)
    except Changed as news:
        show.say(f"{news}: starting again with the files as they are now")
        existing = "resume" if existing == "resume" else "replace"
        return _train_run(config, out, existing, show, at_once=False)


def _train_run(config: RunConfig, out: Path, existing: Existing, show: Show, at_once: bool) -> Finished:
    world, device = join_world(choose_device(config.train.device))
    show = show if world.leads else Show()
    with ExitStack() as stack:
        stack.callback(world.leave)
        config = settled(config, show)  # a bad option is said before any picture is decoded
        made = not_there(out)
        resuming = check_folder(out, config, existing)
        if resuming and nothing_left(out, config):
            if world.leads:
                with locked(out):
                    storage.sweep(out)
            show.say(f"{out} is trained already: nothing is left to do")
            return Finished(read_summary(out) or {}, load(out, device), "", world.leads)
        if world.leads:
            stack.enter_context(locked(out))
            if not resuming:
                stack.enter_context(nothing_left_of_a_failure(out, made))
        images, check = (
            open_at_once(config.data, config.geometry, show.advance)
            if at_once and world.size == 1
            else (open_images(config.data, config.geometry, show.advance), Check())
        )
        parts = split_for(config, images)
        _tell(images, parts, show)
        material = gather_material(
            config, images, parts, world, device, partial(show.advance, "starting at principal components")
        )
        config = _with_batch(config, out, resuming, material)
        world.wait()
        if world.leads:
            start_folder(out, config, resuming)
        stop = stack.enter_context(listening())
        return Session(config, out, material, images, parts, show, stop, check, resuming).run()


def _with_batch(config: RunConfig, out: Path, resuming: bool, material: Material) -> RunConfig:
    """The batch "auto" becomes a number: the one of the run that goes on, or the largest that fits."""
    if config.train.batch != "auto":
        return config
    if resuming:
        batch = read_config(out).train.batch
    else:
        alone = material if material.world.size == 1 else replace(material, world=World())  # what it found is kept
        plain = replace(config.train, compile=False, shard=False)
        found = largest_batch(
            lambda batch: alone.loop(replace(plain, batch=batch), started=False), len(material.pixels), material.device
        )
        batch = material.world.agree(found) * material.world.size
    return replace(config, train=replace(config.train, batch=batch))


def settled(config: RunConfig, show: Show) -> RunConfig:
    """What was left open becomes what the pictures and the recipe say, so that the run tells it."""
    if config.geometry.colour == "keep":
        config = replace(config, geometry=open_images(config.data, config.geometry, show.advance).geometry)
    size = config.geometry.size
    if (config.augment.crop or 0) >= size:
        raise LatentdialError(f"--crop {config.augment.crop} is not below the size {size}: use a few pixels")
    if takes_labels(config.model.recipe):
        config = replace(config, model=replace(config.model, labels=_labels(config, show)))
    return replace(config, train=_with_start(config.train, build(config.model, config.geometry.shape), show))


def _labels(config: RunConfig, show: Show) -> list[str]:
    """The labels of the pictures, which this recipe learns from."""
    images = open_images(config.data, config.geometry, show.advance)
    if images.labels is None or len(images.label_names) < 2:
        raise LatentdialError(
            f"{config.model.recipe} learns from labels, and {config.data.source} has none: give a folder with a "
            "sub-folder for each, a table with a column label, or --label COLUMN"
        )
    return list(images.label_names)


def _with_start(settings: TrainSettings, recipe: Recipe, show: Show) -> TrainSettings:
    """The start that the recipe has, and the learning rate for it."""
    if settings.start == "pca" and not has_linear_start(recipe.model):
        show.say("this net has no linear start: its weights begin at random")
        settings = replace(settings, start="random")
    if settings.start == "random" and not recipe.steps:
        raise LatentdialError("this recipe is nothing but its start: leave out --start random")
    return replace(settings, lr=recipe.lr if settings.lr is None and settings.start == "pca" else settings.peak)


def _tell(images: ImageSet, parts: Split, show: Show) -> None:
    for name, reason in images.skipped[:5]:
        show.say(f"skipped {name}: {reason}")
    if images.skipped:
        show.say(f"skipped {len(images.skipped)} of {len(images.skipped) + len(images)} files")
    if parts.kept_together:
        show.say(
            f"{parts.kept_together} pictures are exact copies of others; copies stay in the same part of the split"
        )
