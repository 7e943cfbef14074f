"""Recipes by name: found, their options checked, and built."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import entry_points
from typing import Any, Literal, cast, get_args, get_origin, get_type_hints

import torch
from torch import nn

from latentdial.config import ModelSettings, Options, cut
from latentdial.errors import LatentdialError
from latentdial.model import Model
from latentdial.parts.likelihoods import Gaussian
from latentdial.parts.penalties import sharpness
from latentdial.texts import suggestion
from latentdial.types import ImageShape, Rival, Term

GROUP = "latentdial.recipes"
MAX_PARAMETERS = 2_000_000_000
MAX_WIDTH = 131_072
MAX_LAYERS = 16
MAX_LABELS = 10_000
LABELS = "labels"  # the parameter of a builder that takes their number


@dataclass(frozen=True)
class Recipe:
    """A model, the objective that trains it with `samples` codes an image, and its rivals.

    `lr` is the peak of the learning rate that the nets bear from a linear start; a model without steps *is* its start.
    """

    model: Model
    objective: Sequence[Term]
    samples: int = 1
    rivals: Sequence[Rival] = ()
    lr: float = 5e-4
    steps: bool = True

    @property
    def beta(self) -> float:
        """What the objective weighs the KL with; 1 where it has none."""
        return next((term.weight for term in self.objective if term.name == "kl"), 1.0)


Builder = Callable[..., Recipe]

RECIPES: dict[str, Builder] = {}
# Options of every recipe: a code ordered by nested dropout, and the weight of details in its objective.
COMMON: dict[str, Any] = {"ordered": False, "sharpness": 0.0}


def recipe(builder: Builder) -> Builder:
    """Register a builder under its name: its first parameter is the shape of the pictures, the others are options."""
    RECIPES[builder.__name__.replace("_", "-")] = builder
    _hints(builder)  # annotations are evaluated when a recipe is imported, never when a run is read
    return builder


def names() -> list[str]:
    """The recipes that there are, those of other packages last."""
    return [*RECIPES, *sorted(_elsewhere().keys() - RECIPES.keys())]


def builder_of(name: str) -> Builder:
    """The builder of a recipe; an unknown name, or one whose package is broken, is a LatentdialError."""
    if name in RECIPES:
        return RECIPES[name]
    if name not in _elsewhere():
        raise LatentdialError(f"there is no recipe {name!r}: {suggestion(name, names())}")
    entry = _elsewhere()[name]
    try:
        return entry.load()
    except Exception as error:  # whatever another package raises while it is imported
        raise LatentdialError(
            f"the recipe {name!r} of {entry.value} cannot be loaded ({' '.join(str(error).split())[:120]}): "
            "mend or remove that package"
        ) from error


def options_of(name: str) -> dict[str, Any]:
    """The options of a recipe with their defaults; an unknown name is a LatentdialError."""
    parameters = [p for p in list(inspect.signature(builder_of(name)).parameters.values())[1:] if p.name != LABELS]
    own = {p.name: list(p.default) if isinstance(p.default, tuple) else p.default for p in parameters}
    return own | {name: default for name, default in COMMON.items() if name not in own}


def hints_of(name: str) -> dict[str, Any]:
    """The types of a recipe's options, by name."""
    return _hints(builder_of(name))


def takes_labels(name: str) -> bool:
    """Whether a recipe learns from labels."""
    return LABELS in inspect.signature(builder_of(name)).parameters


def build(settings: ModelSettings, image: ImageShape) -> Recipe:
    """Make the recipe for pictures (C, H, W), its options checked before anything is allocated."""
    builder, defaults = builder_of(settings.recipe), options_of(settings.recipe)
    hints = _hints(builder)
    options = {}
    for name, value in settings.options.items():
        if name not in defaults:
            raise LatentdialError(f"{settings.recipe} has no option {name!r}: {suggestion(name, defaults, 'it takes')}")
        options[name] = _checked(name, value, defaults[name], hints.get(name))
    if len(settings.labels) > MAX_LABELS:
        raise LatentdialError(f"{len(settings.labels):,} labels are more than {MAX_LABELS:,}: use fewer")
    labels = len(settings.labels)
    with torch.device("meta"):
        made = _make(builder, image, options, labels)
        parameters = sum(p.numel() for net in _nets(made) for p in net.state_dict().values())
    if parameters > MAX_PARAMETERS:
        raise LatentdialError(
            f"{settings.recipe} would have {parameters:,} parameters, more than {MAX_PARAMETERS:,}: "
            "use fewer or smaller layers, or a smaller --size"
        )
    return _make(builder, image, options, labels)


def _make(builder: Builder, image: ImageShape, options: Options, labels: int) -> Recipe:
    """What a builder makes of its own options, and of those of every recipe."""
    own = inspect.signature(builder).parameters
    given: dict[str, Any] = {LABELS: labels} if LABELS in own else {}
    made = builder(image, **given, **{name: value for name, value in options.items() if name in own})
    if options.get("ordered") and "ordered" not in own:
        made.model.order()
    if options.get("sharpness") and "sharpness" not in own:
        made = _sharpened(made, cast(float, options["sharpness"]))
    return made


def _sharpened(made: Recipe, weight: float) -> Recipe:
    """The recipe whose objective counts details too."""
    likelihood = made.model.likelihood
    if not made.steps or not isinstance(likelihood, Gaussian):
        raise LatentdialError("sharpness is for nets that are trained with a Gaussian picture: leave it out")
    term = sharpness(likelihood.mean, lambda: (-2 * likelihood.log_sigma).exp(), weight)
    return replace(made, objective=[*made.objective, term])


def parse_options(assignments: Sequence[str], latent: int | None = None) -> Options:
    """Read `name=value` assignments, with lists as `widths=2048,512`; `latent` stands for latent=N."""
    options: Options = {} if latent is None else {"latent": latent}
    for assignment in assignments:
        name, _, text = assignment.partition("=")
        try:
            options[name] = _value(text)
        except ValueError:
            raise LatentdialError(
                f"cannot read --set {cut(assignment)}: write name=number, name=number,number, name=true or name=word"
            ) from None
    return options


def _nets(made: Recipe) -> list[nn.Module]:
    return [made.model, *(rival.net for rival in made.rivals)]


@cache
def _hints(builder: Builder) -> dict[str, Any]:
    return get_type_hints(builder)


@cache
def _elsewhere() -> dict[str, Any]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def _value(text: str) -> bool | int | float | str | list[int]:
    if text in ("true", "false"):
        return text == "true"
    if re.fullmatch("[a-z][a-z0-9_-]+", text):
        return text
    numbers = [float(part) if "." in part or "e" in part else int(part) for part in text.split(",")]
    return [int(number) for number in numbers] if "," in text else numbers[0]


def _checked(name: str, value: Any, default: Any, hint: Any) -> Any:
    """An option's value, of the kind that its default is of."""
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise LatentdialError(f"{name} must be true or false, and is {cut(value)}")
    elif isinstance(default, str):
        choices = get_args(hint) if get_origin(hint) is Literal else (default,)
        if value not in choices:
            raise LatentdialError(f"{name} must be one of {', '.join(choices)}, and is {cut(value)}")
    elif isinstance(default, list):
        value = value if isinstance(value, list) else [value]
        if not 1 <= len(value) <= MAX_LAYERS or not all(_whole(width) for width in value):
            raise LatentdialError(f"{name} must be 1 to {MAX_LAYERS} whole numbers from 1 to {MAX_WIDTH}")
    elif isinstance(default, int) and not _whole(value):
        raise LatentdialError(f"{name} must be a whole number from 1 to {MAX_WIDTH}, and is {cut(value)}")
    elif isinstance(default, float) and not (_number(value) and 0 <= value < 1e6):
        raise LatentdialError(f"{name} must be a number from 0 to 1e6, and is {cut(value)}")
    return value


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_WIDTH
