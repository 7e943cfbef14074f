"""Settings: strict dataclasses that are printed, saved with a run, and checked when read back. Imports no torch."""

from __future__ import annotations

import json
import math
import re
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
    colour: Literal["rgb", "grey", "keep"] = "rgb"
    """colour of the pictures; keep: grey where every picture is grey, else rgb"""
    background: str = "#ffffff"
    """what is put behind transparent pixels and used for padding"""
    levels: list[float] | None = None
    """the values of float pictures that stand for black and white, such as [0, 1]"""

    def __post_init__(self) -> None:
        _need(4 <= self.size <= 1024, f"size {self.size} is out of range: use 4 to 1024 pixels")
        _need(_is_colour(self.background), f"--background {self.background!r} is no colour: write it as #ffffff")
        pair = self.levels is None or (len(self.levels) == 2 and -math.inf < self.levels[0] < self.levels[1] < math.inf)
        _need(pair, f"--levels {self.levels} is no range: give black and white, such as [0,1]")

    @property
    def channels(self) -> int:
        _need(self.colour != "keep", "--colour keep needs pictures to look at: use rgb or grey here")
        return 3 if self.colour == "rgb" else 1

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return self.channels, self.size, self.size


@dataclass(frozen=True)
class DataSettings:
    """Which pictures, and how they are split."""

    source: str = ""
    """a folder, an array (.npy, .npz, IDX), a table of paths (.csv, .parquet), hf:NAME, or a built-in name"""
    limit: int | None = None
    """use at most this many pictures"""
    holdout: float = 0.1
    """share of the pictures kept from training: half for validation, half for the test figures"""
    split: str = "auto"
    """what says train, validation or test: seed, a column, folder (top folders); auto: the column split, else seed"""
    label: str | None = None
    """the column of a table or data set that holds the label; default: label, class or target"""
    max_skipped: float = 0.2
    """share of the picture files that may be unreadable before the set is refused"""

    def __post_init__(self) -> None:
        _need(self.limit is None or self.limit >= 4, "--limit must be at least 4 pictures")
        _need(0 < self.holdout < 0.9, f"--holdout {self.holdout} is out of range: use a share such as 0.1")
        _need(0 <= self.max_skipped <= 1, f"--max_skipped {self.max_skipped} is out of range: use a share such as 0.2")


@dataclass(frozen=True)
class AugmentSettings:
    """How training pictures are varied at every step; nothing by default."""

    flip: bool = False
    """mirror half of the pictures left to right"""
    crop: int = 0
    """shift every picture by up to this many pixels, its border mirrored"""
    jitter: float = 0.0
    """vary brightness, contrast and saturation by up to this share, such as 0.2"""
    noise: float = 0.0
    """sd of Gaussian noise in levels of 255"""

    def __post_init__(self) -> None:
        _need(0 <= self.crop <= 256, f"--crop {self.crop} is out of range: use a few pixels")
        _need(0 <= self.jitter < 1, f"--jitter {self.jitter} is out of range: use a share such as 0.2")
        _need(0 <= self.noise <= 128, f"--noise {self.noise} is out of range: use levels from 0 to 128")


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
    memory: Literal["auto", "hold", "stream"] = "auto"
    """hold the training pictures in the device's memory or stream them batch by batch; auto holds what fits"""
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
    augment: AugmentSettings = field(default_factory=AugmentSettings)
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


def _is_colour(text: str) -> bool:
    return re.fullmatch("#[0-9a-fA-F]{6}", text) is not None


def _need(condition: bool, message: str) -> None:
    if not condition:
        raise LatentdialError(message)
