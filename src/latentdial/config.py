"""Settings: strict dataclasses that are printed, saved with a run, and checked when read back. Imports no torch."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any, Literal

from latentdial.errors import LatentdialError

FORMAT = 1

Options = dict[str, int | float | list[int]]


@dataclass(frozen=True)
class Geometry:
    """How every picture is fitted to what the net sees."""

    size: int = 64
    """side of the square picture in pixels"""
    fit: Literal["crop", "pad", "stretch"] = "crop"
    """how a picture that is not square becomes square"""
    colour: Literal["rgb", "grey"] = "rgb"
    """colour of the pictures"""
    background: str = "#ffffff"
    """what is put behind transparent pixels and used for padding"""

    def __post_init__(self) -> None:
        _need(4 <= self.size <= 1024, f"size {self.size} is out of range: use 4 to 1024 pixels")

    @property
    def channels(self) -> int:
        return 3 if self.colour == "rgb" else 1

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return self.channels, self.size, self.size


@dataclass(frozen=True)
class DataSettings:
    """Which pictures, and how they are split."""

    source: str = ""
    """a folder of pictures, an .npy or .npz array, or a built-in name"""
    limit: int | None = None
    """use at most this many pictures"""
    holdout: float = 0.1
    """share of the pictures kept from training: half for validation, half for the test figures"""

    def __post_init__(self) -> None:
        _need(self.limit is None or self.limit >= 4, "--limit must be at least 4 pictures")
        _need(0 < self.holdout < 0.9, f"--holdout {self.holdout} is out of range: use a share such as 0.1")


@dataclass(frozen=True)
class TrainSettings:
    """How the model is trained."""

    epochs: float = 30
    """passes over the training pictures"""
    steps: int | None = None
    """optimiser steps; takes the place of --epochs"""
    batch: int = 128
    """pictures a step"""
    lr: float = 1e-3
    """learning rate of Adam at its peak"""
    schedule: Literal["cosine", "constant"] = "cosine"
    """learning rate over the run: cosine falls to zero at the end"""
    seed: int = 0
    """seed of weights, split, batch order and sampling noise"""
    precision: Literal["auto", "bf16", "float32"] = "auto"
    """number format of the nets; auto measures whether bfloat16 is faster here"""
    device: str = "auto"
    """auto, cpu, cuda or mps"""
    checkpoint: float = 5
    """minutes between checkpoints for --resume; 0 writes none"""

    def __post_init__(self) -> None:
        _need(self.epochs > 0, "--epochs must be above 0")
        _need(self.steps is None or self.steps > 0, "--steps must be at least 1")
        _need(self.batch > 0, "--batch must be at least 1")
        _need(0 < self.lr < 10, f"--lr {self.lr} is out of range: try 0.001")
        _need(0 <= self.seed < 2**31, "--seed must be between 0 and 2147483647")
        _need(self.checkpoint >= 0, "--checkpoint must be 0 or more")


@dataclass(frozen=True)
class ModelSettings:
    """Which published model, with which options."""

    recipe: str = "fcn-ae"
    options: Options = field(default_factory=dict)


@dataclass(frozen=True)
class RunConfig:
    """All that a run is made of; `config.json` in its directory."""

    model: ModelSettings = field(default_factory=ModelSettings)
    geometry: Geometry = field(default_factory=Geometry)
    data: DataSettings = field(default_factory=DataSettings)
    train: TrainSettings = field(default_factory=TrainSettings)
    format: int = FORMAT

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"


def from_json(text: str) -> RunConfig:
    """Read a `RunConfig`; unknown keys, wrong types and values out of range are a LatentdialError."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise LatentdialError(f"config.json is not valid JSON ({error}): restore it or train the run again") from None
    if not isinstance(values, dict):
        raise LatentdialError("config.json must hold an object: restore it or train the run again")
    if values.get("format") != FORMAT:
        raise LatentdialError(
            f"config.json has format {values.get('format')!r} and this version reads {FORMAT}: "
            "use the version of latentdial that wrote it"
        )
    return _parse(values)


def _parse(values: dict[str, Any]) -> RunConfig:
    from jsonargparse import ArgumentError

    parser = _parser()
    try:
        return parser.instantiate(parser.parse_object({"run": values})).run
    except (ArgumentError, TypeError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:300]
        raise LatentdialError(f"config.json does not fit this version of latentdial: {reason}") from None


@cache
def _parser():
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--run", type=RunConfig)
    return parser


def _need(condition: bool, message: str) -> None:
    if not condition:
        raise LatentdialError(message)
