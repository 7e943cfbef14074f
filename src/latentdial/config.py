"""Settings: strict dataclasses that are printed, saved with a run, and checked when read back. Imports no torch."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from functools import cache
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from latentdial.errors import LatentdialError
from latentdial.storage import parse_object

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Settings = TypeVar("Settings", bound="DataclassInstance")
FORMAT = 1
RANDOM_LR = 1e-3
MOST, MOST_EPOCHS, MOST_BATCH = 10**9, 10**6, 10**6
PRIOR_STEPS = 1_000  # that a diffusion of codes learns for
MOST_HOURS = 8784  # of a time budget: a year

Options = dict[str, bool | int | float | str | list[int]]


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
    """the values that stand for black and white in pictures of floats or of more than 8 bits, such as [0, 1]"""

    def __post_init__(self) -> None:
        _need(4 <= self.size <= 1024, f"size {cut(self.size)} is out of range: use 4 to 1024 pixels")
        _need(_is_colour(self.background), f"--background {cut(self.background)!r} is no colour: write it as #ffffff")
        pair = self.levels is None or (len(self.levels) == 2 and -math.inf < self.levels[0] < self.levels[1] < math.inf)
        _need(pair, f"--levels {cut(self.levels)} is no range: give black and white, such as [0,1]")

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
    """the column of a table, data set or avatars that holds the label; default: label, class or target"""
    max_skipped: float = 0.2
    """share of the picture files that may be unreadable before the set is refused"""

    def __post_init__(self) -> None:
        _need(self.limit is None or 4 <= self.limit <= MOST, f"--limit must be from 4 to {MOST:,} pictures")
        _need(0 < self.holdout < 0.9, f"--holdout {self.holdout} is out of range: use a share such as 0.1")
        _need(0 <= self.max_skipped <= 1, f"--max-skipped {self.max_skipped} is out of range: use a share such as 0.2")


@dataclass(frozen=True)
class AugmentSettings:
    """How training pictures are varied at every step; many pictures are not by default."""

    flip: bool = False
    """mirror half of the pictures left to right"""
    crop: int | None = None
    """shift every picture by up to this many pixels, its border mirrored; default: few pictures as far as serves those
    that were left out for that, others not"""
    jitter: float = 0.0
    """vary brightness, contrast and saturation by up to this share, such as 0.2"""
    noise: float = 0.0
    """sd of Gaussian noise in levels of 255"""

    def __post_init__(self) -> None:
        _need(0 <= (self.crop or 0) <= 256, f"--crop {cut(self.crop)} is out of range: use a few pixels")
        _need(0 <= self.jitter < 1, f"--jitter {self.jitter} is out of range: use a share such as 0.2")
        _need(0 <= self.noise <= 128, f"--noise {self.noise} is out of range: use levels from 0 to 128")


@dataclass(frozen=True)
class TrainSettings:
    """How the model is trained."""

    epochs: float = 30
    """passes over the training pictures"""
    steps: int | None = None
    """optimiser steps; takes the place of --epochs"""
    time_budget: str | None = None
    """train for so long, such as 90s, 10m or 2h, and end the schedule on time; takes the place of --epochs"""
    batch: int | Literal["auto"] = 64
    """pictures a step, over all devices; auto: the largest that fits in memory and leaves 20 steps an epoch"""
    optimizer: Literal["adam", "adamw", "sgd", "adagrad", "muon"] = "adam"
    """sgd has momentum 0.9; muon steers the matrices and leaves all else to adamw"""
    start: Literal["pca", "random"] = "pca"
    """weights before the first step: the best linear codec of the pictures, where the net has one, or random ones"""
    subspace: int = 512
    """principal components in which the outer layers of a fully connected net are trained from a linear start, which
    is many times as fast; the net is a plain one in the end. 0: every weight by itself"""
    lr: float | None = None
    """learning rate at its peak; default: what the recipe bears from a linear start, or 0.001 from a random one"""
    weight_decay: float = 0.0
    """weight decay, as the optimizer defines it"""
    schedule: Literal["cosine", "constant", "step"] = "cosine"
    """learning rate over the run: cosine falls to zero at the end; step falls by --decay at --decay-at"""
    warmup: int | None = None
    """steps until the learning rate is at its peak; default: 100, and at most a twentieth of the run"""
    decay_at: list[float] = field(default_factory=lambda: [0.5, 0.75])
    """shares of the run at which the schedule "step" falls"""
    decay: float = 0.1
    """factor by which the schedule "step" falls"""
    clip: float = 0.0
    """largest norm of the gradient; 0 does not clip"""
    ema: float = 0.0
    """decay of the moving average of the weights that is validated and published, such as 0.999; 0: no average"""
    kl_schedule: Literal["constant", "linear", "cyclic"] = "constant"
    """weight of the KL over the run: linear rises once from zero, cyclic --kl-cycles times"""
    kl_rise: float = 0.5
    """share of the run, or of a cycle, in which the weight of the KL rises"""
    kl_cycles: int = 4
    """cycles of the weight of the KL"""
    monitor: str = "loss"
    """validation term that says which weights are the best; by the loss of a recipe with a critic, the last are"""
    patience: int = 0
    """stop when the monitored term was not better for so many validations, and publish the best; 0 never stops"""
    seed: int = 0
    """seed of weights, split, batch order and sampling noise"""
    precision: Literal["auto", "bf16", "float32"] = "auto"
    """number format of the nets; auto measures whether bfloat16 is faster here, and takes it on a GPU that has it"""
    device: str = "auto"
    """auto, cpu, cuda or mps"""
    memory: Literal["auto", "hold", "stream"] = "auto"
    """hold the training pictures in the device's memory or stream them batch by batch; auto holds what fits,
    on the processor up to 300 MB"""
    compile: bool = False
    """compile the nets with torch.compile; needs a C++ compiler and a minute"""
    shard: bool = False
    """share weights and optimizer state among the processes of torchrun (FSDP2), for nets too large for one device"""
    checkpoint: float = 5
    """minutes between checkpoints for --resume, which never take more than 2% of the time; 0 writes none"""
    keep_checkpoint: bool = False
    """keep the last checkpoints of a run that has ended well, so that it can go on with more --epochs"""
    priors: bool = True
    """fit priors for new pictures when training has ended, which takes some seconds; else fit-prior does it later"""
    track: list[Literal["tensorboard", "wandb", "mlflow"]] = field(default_factory=list)
    """trackers that get every record beside metrics.jsonl"""

    def __post_init__(self) -> None:
        _need(0 < self.epochs <= MOST_EPOCHS, f"--epochs must be above 0 and at most {MOST_EPOCHS:,}")
        _need(self.steps is None or 0 < self.steps <= MOST, f"--steps must be from 1 to {MOST:,}")
        _need(
            self.batch == "auto" or 0 < self.batch <= MOST_BATCH, f"--batch must be from 1 to {MOST_BATCH:,}, or auto"
        )
        _need(self.lr is None or 0 < self.lr < 10, f"--lr {self.lr} is out of range: try 0.001")
        _need(0 <= self.subspace <= MOST, f"--subspace must be from 0 to {MOST:,} principal components")
        _need(0 <= self.seed < 2**31, "--seed must be from 0 to 2147483647")
        _need(0 <= self.checkpoint <= MOST, f"--checkpoint must be from 0 to {MOST:,} minutes")
        _need(
            self.time_budget is None or 0 < self.budget_seconds <= MOST_HOURS * 3600,
            f"--time-budget must be above 0 and at most {MOST_HOURS}h",
        )
        _need(0 <= self.weight_decay <= 1e6, "--weight-decay must be from 0 to 1e6")
        _need(self.warmup is None or 0 <= self.warmup <= MOST, f"--warmup must be from 0 to {MOST:,} steps")
        _need(all(0 <= share <= 1 for share in self.decay_at), "--decay-at takes shares of the run, such as [0.5,0.75]")
        _need(0 < self.decay <= 1, f"--decay {self.decay} is out of range: use a factor such as 0.1")
        _need(0 <= self.clip <= 1e12, "--clip must be from 0 to 1e12")
        _need(0 <= self.ema < 1, f"--ema {self.ema} is out of range: use a decay such as 0.999")
        _need(0 < self.kl_rise <= 1, f"--kl-rise {self.kl_rise} is out of range: use a share such as 0.5")
        _need(0 < self.kl_cycles <= MOST_EPOCHS, f"--kl-cycles must be from 1 to {MOST_EPOCHS:,}")
        _need(0 <= self.patience <= MOST, f"--patience must be from 0 to {MOST:,} validations")
        _need(not (self.patience and self.time_budget), "--patience and --time-budget exclude each other")

    @property
    def peak(self) -> float:
        """The learning rate at its peak, where none is given that of a random start."""
        return RANDOM_LR if self.lr is None else self.lr

    @property
    def budget_seconds(self) -> float:
        """The time budget in seconds."""
        found = re.fullmatch(r"(\d+(?:\.\d+)?) *([smh]?)", str(self.time_budget).strip().lower())
        if found is None:
            raise LatentdialError(f"cannot read --time-budget {cut(self.time_budget)}: write 90s, 10m or 2h")
        return float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]]


@dataclass(frozen=True)
class ModelSettings:
    """Which published model, with which options."""

    recipe: str = "fcn-ae"
    options: Options = field(default_factory=dict)
    labels: list[str] = field(default_factory=list)
    """the labels that the model learns from, where its recipe does: those of the pictures"""


@dataclass(frozen=True)
class RunConfig:
    """All that a run is made of; `config.json` in its directory."""

    model: ModelSettings = field(default_factory=ModelSettings)
    geometry: Geometry = field(default_factory=Geometry)
    data: DataSettings = field(default_factory=DataSettings)
    train: TrainSettings = field(default_factory=TrainSettings)
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    origin: str = ""
    """what was done after training, and to which run"""
    format: int = FORMAT

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"


def settings_in(kind: type[Settings], given: Mapping[str, Any]) -> Settings:
    """Settings of one kind, from those of its fields that are among `given`."""
    return kind(**{field.name: given[field.name] for field in fields(kind) if field.name in given})


KINDS = (Geometry, DataSettings, TrainSettings, AugmentSettings)
SETTING_NAMES = {field.name for kind in KINDS for field in fields(kind)}


def make_config(recipe: str, source: str, options: Options, given: Mapping[str, Any]) -> RunConfig:
    """The configuration of a run, from the fields of all its settings by name; other names are passed over."""
    return RunConfig(
        ModelSettings(recipe, options),
        settings_in(Geometry, given),
        replace(settings_in(DataSettings, given), source=source),
        settings_in(TrainSettings, given),
        settings_in(AugmentSettings, given),
    )


def from_json(text: str | bytes) -> RunConfig:
    """Read a `RunConfig`; unknown keys, wrong types and values out of range are a LatentdialError."""
    try:
        values = parse_object(text)
    except ValueError as error:
        raise LatentdialError(f"config.json cannot be used ({error}): restore it or train the run again") from None
    if values.get("format") != FORMAT:
        raise LatentdialError(
            f"config.json has format {str(values.get('format'))[:40]!r} and this version reads {FORMAT}: "
            "use the version of latentdial that wrote it"
        )
    try:
        return typed(RunConfig, values, "it")
    except ValueError as error:
        raise LatentdialError(f"config.json does not fit this version of latentdial: {error}") from None


def typed(wanted: Any, value: Any, name: str) -> Any:
    """A value as read from JSON, if it is of the type that is wanted; else a ValueError that says which is not."""
    kinds = get_args(wanted) or (wanted,)
    if get_origin(wanted) in (Union, UnionType):
        for kind in kinds:
            with suppress(ValueError):
                return typed(kind, value, name)
    elif is_dataclass(wanted) and isinstance(value, dict):
        hints = _hints(wanted)  # type: ignore[arg-type]
        odd = sorted(value.keys() - hints.keys())
        if odd:
            raise ValueError(f"there is no setting {odd[0][:40]!r}")
        return wanted(**{key: typed(hints[key], one, key) for key, one in value.items()})  # type: ignore[operator]
    elif get_origin(wanted) is Literal and value in kinds:
        return value
    elif get_origin(wanted) is list and isinstance(value, list):
        return [typed(kinds[0], one, name) for one in value]
    elif get_origin(wanted) is dict and isinstance(value, dict):
        return {key: typed(kinds[1], one, key) for key, one in value.items()}
    elif type(value) is wanted or (wanted is float and type(value) is int):
        return value
    raise ValueError(f"{name[:40]} cannot be {str(value)[:40]!r}")


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def cut(value: Any) -> str:
    """A value as it was given, for a message of one line.

    >>> cut("9" * 400)
    '99999999999999999999...'
    """
    text = str(value)
    return text if len(text) <= 40 else f"{text[:20]}..."


def _is_colour(text: str) -> bool:
    return re.fullmatch("#[0-9a-fA-F]{6}", text) is not None


def _need(condition: bool, message: str) -> None:
    if not condition:
        raise LatentdialError(message)
