"""Find, measure and rank the directions of a run, and keep them in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from latentdial.attributes.known import Attributes
from latentdial.config import DataSettings
from latentdial.discovery.finding import examples_direction, without
from latentdial.discovery.labelled import (
    BLOCK,
    Attribute,
    attribute_directions,
    attributes_of,
    learn_attributes,
    named,
    read_labels,
)
from latentdial.discovery.measuring import TOP, explained_shares, measure, ordered, with_side_effects
from latentdial.errors import LatentdialError
from latentdial.images import ImageSet, open_images, spread
from latentdial.latent.codec import Codec
from latentdial.latent.direction import Direction
from latentdial.latent.effect import alike
from latentdial.latent.naming import canonical_directions, channels_of, direction_of, make_direction
from latentdial.latent.stored import Stored, merged
from latentdial.latent.support import Support, fit_support
from latentdial.measure.disentanglement import binned, scores
from latentdial.progress import Progress, Show, quiet, showing
from latentdial.runs.loading import load, read_directions, save_directions
from latentdial.runs.pictures import run_pictures


@dataclass(frozen=True)
class Request:
    """What to add to the directions of a run: from labels, or from two folders of example pictures."""

    labels: str | None = None  # a CSV file, or "data" for what the pictures themselves carry
    data: str | None = None
    method: str = "mean"
    these: str | None = None
    those: str | None = None
    name: str | None = None
    without: list[str] = field(default_factory=list)


def directions(
    run: str | Path,
    labels: str | None = None,
    *,
    data: str | None = None,
    method: str = "mean",
    these: str | None = None,
    those: str | None = None,
    name: str | None = None,
    again: bool = False,
    show: Show | bool = True,
) -> tuple[Direction, ...]:
    """The directions of a run, measured, in order; found once and kept in the run, with those asked for added.

    `labels` is a CSV of file,attribute,... or "data" for what the pictures carry; `these` and `those` are folders of
    pictures that have and have not what is then called `name`. `load(run)` gives the codec that knows them.

    >>> latentdial.directions("runs/vae", "data")[0].effect.levels  # doctest: +SKIP
    """
    with showing(show) as shown:
        request = Request(labels, data, method, these, those, name)
        return study(run, request, again, shown.advance, shown.say).directions


def study(
    run: str | Path, request: Request, again: bool, progress: Progress, say: Callable[[str], None] = quiet
) -> Stored:
    """The directions of a run with those asked for added; found and measured once, then kept in the run.

    Raises LatentdialError for a run without codes, labels that name no pictures, or groups that do not differ; what
    is asked for is looked at before any work.
    """
    folder, codec = Path(run), load(run)
    if said := alike(codec):
        say(f"{codec.name}: {said}")
    asked = _looked_at(codec, request, progress, say)
    codec = replace(codec, stored_canonical=codec.canonical)
    kept = None if again else read_directions(folder, codec.latent, codec.geometry)
    if kept is None:
        codec = replace(codec, directions=(), attributes=None, stored_support=_support(codec, progress))
        found = canonical_directions(codec)[: codec.canonical.telling]
        if not found:
            raise LatentdialError(f"{codec.name} gives all pictures one code: there is nothing to find, train it anew")
        measured = measure(codec, found, lambda done, total: progress("measuring directions", done, total))
        kept = _ordered(codec, measured, progress)
        save_directions(folder, kept)
    added, learnt = _asked_for(replace(codec, directions=kept.directions), request, asked, progress)
    if added:
        measured = measure(codec, added, lambda done, total: progress("measuring new directions", done, total))
        before = [replace(one, side={}) for one in kept.directions] if learnt else kept.directions
        codec = replace(codec, attributes=learnt or codec.attributes)
        fresh = _ordered(codec, merged(before, measured), progress)
        kept = replace(fresh, support=codec.support, attributes=codec.attributes)
        save_directions(folder, kept)
    return kept


def disentanglement(
    run: str | Path | Codec, data: str | None = None, *, pictures: int = 1000, show: Show | bool = True
) -> dict[str, float]:
    """Disentanglement scores of a run or codec over at most so many pictures with known factors: `data`, or its own.

    Of a code over a grid they are about its channels, each the mean over its places. Pictures without factors are a
    LatentdialError that says how to supply them.

    >>> latentdial.disentanglement("runs/vae", "factors.csv")["MIG"]  # doctest: +SKIP
    """
    codec = run if isinstance(run, Codec) else load(run)
    with showing(show) as shown:
        images, _ = run_pictures(codec, data, shown.advance)
    if not images.factors:
        raise LatentdialError(
            f"the pictures {f'at {data}' if data else f'of {codec.name}'} have no known factors: name others with "
            "--data, a table (.csv, .parquet) with a column of picture files and a column for each factor, or avatars"
        )
    few = images.take(spread(len(images), pictures))
    factors = [v if v.dtype.kind in "iu" else binned(v[:, None], 5)[:, 0] for v in few.factors.values()]
    return scores(channels_of(codec, codec.encode(few.pixels[:])), np.stack(factors, axis=1))


def _ordered(codec: Codec, directions: Sequence[Direction], progress: Progress) -> Stored:
    """The directions in order, each with what it does to the attributes that are known."""
    attributes = [one for one in directions if one.kind == "attribute"]
    fresh = [one for one in directions if one.side.keys() != {other.name for other in attributes}]
    if fresh:
        told = with_side_effects(
            codec, fresh, attributes, lambda done, total: progress("reading attributes", done, total)
        )
        directions = merged(directions, told)
    found = ordered(directions, codec.attributes.weak if codec.attributes else ())
    first = [one for one in found if one.kind == "canonical"][:TOP]
    return Stored(tuple(found), tuple(explained_shares(codec, first)), codec.support)


def _support(codec: Codec, progress: Progress) -> Support:
    """Calibrated on the pictures that were kept from training; on a part of the training codes where they are gone."""
    try:
        _, held_out = run_pictures(codec, progress=progress)
    except LatentdialError:
        return fit_support(codec)
    return fit_support(codec, codec.encode(held_out.pixels[:]))


@dataclass(frozen=True)
class Asked:
    """What a request is about, found and checked: labelled pictures with their attributes, and two groups."""

    labelled: ImageSet | None = None
    attributes: Sequence[Attribute] = ()
    groups: tuple[ImageSet, ...] = ()


def _looked_at(codec: Codec, request: Request, progress: Progress, say: Callable[[str], None]) -> Asked:
    """Open and check everything that is asked for, before anything is computed."""
    examples = (request.these, request.those, request.name)
    if any(examples) and not all(examples):
        raise LatentdialError("a direction from examples needs all of --these DIR, --those DIR and --name NAME")
    if request.name:
        make_direction(codec, request.name, "examples", np.eye(1, codec.latent)[0])
    for name in request.without:
        direction_of(codec, name)
    sides = [side for side in (request.these, request.those) if side]
    asked = Asked(groups=tuple(open_images(DataSettings(side), codec.geometry, progress) for side in sides))
    if request.labels is None:
        return asked
    images, _ = run_pictures(codec, request.data, progress)
    if request.labels == "data":
        return replace(asked, labelled=images, attributes=named(attributes_of(images), say))
    index, attributes = read_labels(Path(request.labels), images.names)
    return replace(asked, labelled=images.take(index), attributes=named(attributes, say))


def _asked_for(
    codec: Codec, request: Request, asked: Asked, progress: Progress
) -> tuple[list[Direction], Attributes | None]:
    added: list[Direction] = []
    learnt = None
    if asked.labelled is not None:
        codes = _encoded(codec, asked.labelled, progress)
        added = attribute_directions(codec, codes, list(asked.attributes), request.method)
        varying = [one.columns for one in asked.attributes if one.varies]
        learnt = learn_attributes(codec, codes, varying, progress=progress)
    if asked.groups:
        added.append(
            examples_direction(codec, str(request.name), *(codec.encode(one.pixels[:]) for one in asked.groups))
        )
    if request.without:
        others = [direction_of(codec, name) for name in request.without]
        added = [without(codec, direction, others) for direction in added]
    return added, learnt


def _encoded(codec: Codec, images: ImageSet, progress: Progress) -> np.ndarray:
    """The codes (N, D) of pictures."""
    found = []
    for start in range(0, len(images), BLOCK):
        found.append(codec.encode(images.pixels[start : start + BLOCK]))
        progress("encoding labelled pictures", min(start + BLOCK, len(images)), len(images))
    return np.concatenate(found)
