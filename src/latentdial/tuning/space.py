"""What is searched: settings of a recipe, by its own signature, and of training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from latentdial.config import Options
from latentdial.errors import LatentdialError
from latentdial.recipes import hints_of, options_of
from latentdial.texts import suggestion

Value = bool | int | float | str

FACTOR = 10.0  # a number is searched from a tenth of its default to ten times it
SCALES = (0.5, 1.0, 2.0)  # of layers
TRAINING = ("lr", "batch", "weight_decay")
USERS = {"latent", "ordered", "sharpness"}  # searched where they are asked for: for people to say, not for a loss


@dataclass(frozen=True)
class Axis:
    """One setting: numbers from low to high, even in their logarithm, or one of some choices."""

    name: str
    kind: Literal["float", "int", "choice"]
    low: float = 0.0
    high: float = 0.0
    choices: tuple[Value, ...] = ()
    base: tuple[int, ...] = ()  # layers, of which a choice is a multiple

    def value(self, chosen: Value) -> Any:
        """What the setting becomes: a choice as it is, layers as so many times their widths."""
        if not self.base:
            return chosen
        return [max(1, round(width * float(chosen))) for width in self.base]


def space_of(recipe: str, fixed: Options, wanted: Sequence[str] | None = None) -> list[Axis]:
    """The axes of a recipe and of training; `fixed` options are left as they are, `wanted` names what is searched.

    An option that is zero or empty by default has no scale of its own and is searched only where it is fixed otherwise.
    """
    defaults = options_of(recipe)
    own = [_axis(name, value, hints_of(recipe).get(name)) for name, value in defaults.items() if name not in fixed]
    axes = {axis.name: axis for axis in [*own, *map(_of_training, TRAINING)] if axis is not None}
    for name in wanted or []:
        if name in fixed:
            raise LatentdialError(f"{name} is set and searched at once: leave out one of them")
        if name not in axes:
            raise LatentdialError(f"cannot search {name!r}: {suggestion(name, axes, 'these can be searched:')}")
    chosen = [name for name in axes if name not in USERS] if wanted is None else list(wanted)
    if not chosen:
        raise LatentdialError(f"nothing is left to search: name something with --search, such as {', '.join(axes)}")
    return [axes[name] for name in chosen]


def _of_training(name: str) -> Axis:
    if name == "batch":
        return Axis(name, "choice", choices=(32, 64, 128, 256))
    return Axis(name, "float", *((1e-4, 1e-2) if name == "lr" else (1e-6, 1e-2)))


def _axis(name: str, default: Any, hint: Any) -> Axis | None:
    if isinstance(default, bool):
        return Axis(name, "choice", choices=(True, False))
    if isinstance(default, str):
        return Axis(name, "choice", choices=get_args(hint)) if get_origin(hint) is Literal else None
    if isinstance(default, list):
        return Axis(name, "choice", choices=SCALES, base=tuple(default)) if default else None
    if isinstance(default, int):
        return Axis(name, "int", max(1, default // 2), 2 * default)
    return Axis(name, "float", default / FACTOR, default * FACTOR) if default > 0 else None
