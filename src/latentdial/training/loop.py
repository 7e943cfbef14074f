"""The training loop: uint8 pictures, one pass, one loss, one fused optimiser step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from latentdial.config import AugmentSettings, TrainSettings
from latentdial.errors import LatentdialError
from latentdial.images import batch_order
from latentdial.parts.objectives import total
from latentdial.recipes import Recipe
from latentdial.training.augment import augment
from latentdial.training.feed import Feed
from latentdial.training.precision import autocast

LOGS = 200  # records of training terms in a whole run
VALIDATIONS = 20  # records of validation terms
WARMUP = 100  # steps at most, until the learning rate is at its peak

Record = dict[str, float | int | str]


@dataclass
class Loop:
    """One training run in memory; `step` and `seconds` say where it stands."""

    recipe: Recipe
    settings: TrainSettings
    pixels: Feed  # uint8 (N, H, W, C)
    validation: Feed
    device: str
    precision: str
    step: int = 0
    seconds: float = 0.0
    variation: AugmentSettings = field(default_factory=AugmentSettings)
    optimizer: torch.optim.Adam = field(init=False)
    _orders: dict[int, Tensor] = field(default_factory=dict, init=False)  # the order of the present epoch

    def __post_init__(self) -> None:
        parameters = [p for p in self.recipe.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.Adam(parameters, lr=self.settings.lr, fused=self.device != "mps")

    @property
    def batches(self) -> int:
        """Steps an epoch."""
        return math.ceil(len(self.pixels) / self.settings.batch)

    @property
    def steps(self) -> int:
        """Steps in all."""
        return self.settings.steps or max(1, math.ceil(self.settings.epochs * self.batches))

    def run(self, report: Callable[[Record], None], stop: Callable[[], bool]) -> None:
        """Train until all steps are done or `stop` says so; `report` gets a record of terms every so often."""
        log_every, validate_every = max(1, self.steps // LOGS), max(1, self.steps // VALIDATIONS)
        sums: dict[str, Tensor] = {}
        count, since = 0, time.perf_counter()
        while self.step < self.steps and not stop():
            values = self.train_step(self.next_batch())
            sums = {name: sums.get(name, 0) + value for name, value in values.items()}
            count += 1
            if self.step % log_every == 0 or self.step == self.steps:
                means = self._finite({name: float(value) / count for name, value in sums.items()})
                spent = time.perf_counter() - since
                self.seconds += spent
                report(self._record("train", means, images_per_second=count * self.settings.batch / spent))
                sums, count, since = {}, 0, time.perf_counter()
            if self.step % validate_every == 0 or self.step == self.steps:
                pause = time.perf_counter()
                report(self._record("validation", self.evaluate(self.validation)))
                since += time.perf_counter() - pause
        self.seconds += time.perf_counter() - since

    def next_batch(self) -> Tensor:
        """The uint8 pictures of the coming step: a function of seed and step alone."""
        epoch, index = divmod(self.step, self.batches)
        order = self._order(epoch)
        return self.pixels[order[index * self.settings.batch : (index + 1) * self.settings.batch]]

    def train_step(self, pixels: Tensor) -> dict[str, Tensor]:
        """One optimiser step; returns the loss and its terms, still on the device."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr_at(self.step)
        x = self.recipe.model.scale(pixels)
        noise = torch.Generator(self.device).manual_seed(self.settings.seed + (self.step << 32))
        x = augment(x, self.variation, self.recipe.model.likelihood.range, noise)
        with autocast(self.precision, self.device):
            run = self.recipe.model(x, self.recipe.samples, noise)
        loss, terms = total(self.recipe.objective, run, self.step)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.step += 1
        return {"loss": loss.detach()} | {name: value.detach() for name, value in terms.items()}

    @torch.no_grad()
    def evaluate(self, pixels: Feed) -> dict[str, float]:
        """The loss and its terms over uint8 pictures, with the weights of the present step and fixed noise."""
        sums: dict[str, float] = {}
        for i in range(math.ceil(len(pixels) / self.settings.batch)):
            chunk = pixels[i * self.settings.batch : (i + 1) * self.settings.batch]
            noise = torch.Generator(self.device).manual_seed(self.settings.seed + i)
            with autocast(self.precision, self.device):
                run = self.recipe.model(self.recipe.model.scale(chunk), self.recipe.samples, noise)
            loss, terms = total(self.recipe.objective, run, self.step)
            for name, value in {"loss": loss, **terms}.items():
                sums[name] = sums.get(name, 0.0) + float(value) * len(chunk) / len(pixels)
        return sums

    def lr_at(self, step: int) -> float:
        """Linear warm-up, then constant or half a cosine to zero (arXiv 1608.03983, eq. 5 without restarts)."""
        warm = min(WARMUP, max(1, self.steps // 20))
        rise = min(1.0, (step + 1) / warm)
        if self.settings.schedule == "constant":
            return self.settings.lr * rise
        return self.settings.lr * rise * 0.5 * (1 + math.cos(math.pi * step / self.steps))

    def _order(self, epoch: int) -> Tensor:
        if epoch not in self._orders:
            order = torch.from_numpy(batch_order(len(self.pixels), self.settings.seed, epoch))
            self._orders = {epoch: order.to(self.device)}
        return self._orders[epoch]

    def _record(self, kind: str, values: dict[str, float], **more: float) -> Record:
        place: Record = {"split": kind, "step": self.step, "epoch": round(self.step / self.batches, 3)}
        return {**place, "seconds": round(self.seconds, 2), **values, **more}

    def _finite(self, values: dict[str, float]) -> dict[str, float]:
        for name, value in values.items():
            if name != "loss" and not math.isfinite(value):
                raise LatentdialError(
                    f"the term {name} became {value} at step {self.step}: lower --lr (now {self.settings.lr:g}) "
                    "or use --precision float32"
                )
        return values
