"""What a reproduction is: what is trained, what is measured, and what is published, read from one file each."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.resources import files
from typing import Literal

from latentdial.config import Options, typed
from latentdial.errors import LatentdialError
from latentdial.storage import parse_object
from latentdial.texts import suggestion

FOLDER = files("latentdial.reproduction") / "protocols"
BUDGETS = ("tiny", "15m", "1h", "full")  # from the least to the paper's own

Settings = dict[str, bool | int | float | str | list[float]]


@dataclass(frozen=True)
class Row:
    """A run: a recipe, its options, and what differs from the settings of the whole protocol."""

    name: str
    recipe: str
    options: Options = field(default_factory=dict)
    train: Settings = field(default_factory=dict)
    pictures: int | None = None  # of the training part, at most
    extra: bool = False  # not in the paper


@dataclass(frozen=True)
class Budget:
    """How much is trained and measured, and what that cannot tell."""

    epochs: float
    pictures: int | None = None  # for training at most
    options: Options = field(default_factory=dict)
    train: Settings = field(default_factory=dict)
    rows: list[str] | None = None  # that are trained; all where none are named
    test: int = 10_000  # pictures that are measured on at most
    samples: int = 64  # codes a picture for likelihoods
    features: Literal["auto", "pixels-pca"] = "auto"  # in which samples are compared
    cannot: str = ""


@dataclass(frozen=True)
class Published:
    """A published number, the tolerance within which ours confirms it, and the least budget at which they compare."""

    row: str
    figure: str
    value: float
    tolerance: float
    source: str
    budget: str = "full"
    better: Literal["lower", "higher", "same"] = "lower"


@dataclass(frozen=True)
class Order:
    """What is said to be better than what, by one figure: rows as [row, figure]."""

    says: str
    better: list[str]
    worse: list[str]
    source: str
    lower: bool = True
    by: float = 0.0  # at least


@dataclass(frozen=True)
class Protocol:
    """One reproduction."""

    title: str
    about: str
    data: str  # what the paper trained on
    measures: list[Literal["likelihood", "reconstruction", "samples"]]
    figures: list[str]  # shown, in order
    train: Settings
    budgets: dict[str, Budget]
    rows: list[Row]
    size: int = 28
    colour: Literal["rgb", "grey"] = "grey"
    published: list[Published] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    draws: list[Literal["bounds", "manifold"]] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)


def names() -> list[str]:
    """The reproductions that there are."""
    return sorted(path.name.removesuffix(".json") for path in FOLDER.iterdir() if path.name.endswith(".json"))


def read_protocol(name: str) -> Protocol:
    """The protocol of a name; an unknown one is a LatentdialError."""
    if name not in names():
        raise LatentdialError(f"there is no reproduction {name!r}: {suggestion(name, names())}")
    return typed(Protocol, parse_object((FOLDER / f"{name}.json").read_bytes()), "it")
