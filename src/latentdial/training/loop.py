"""The training loop: uint8 pictures, one pass, and a loss and a step for the model and each of its rivals."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from copy import deepcopy
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from latentdial.config import AugmentSettings, TrainSettings
from latentdial.errors import LatentdialError
from latentdial.images import batch_order
from latentdial.machine.precision import autocast
from latentdial.machine.world import ASK_EVERY, World
from latentdial.model import Model, draw
from latentdial.parts.objectives import total
from latentdial.parts.quantisers import Codebook
from latentdial.recipes import Recipe
from latentdial.training.augment import augment
from latentdial.training.feed import Ahead, Feed
from latentdial.training.memory import kept_memory
from latentdial.training.optimizers import kl_schedule, lr_schedule, make_optimizers, set_rate, warmup_steps
from latentdial.training.sharding import average_gradients, like, local, share_out, whole
from latentdial.training.subspace import round_bases
from latentdial.types import Batch, Shape

LOGS = 200  # records of training terms in a whole run
VALIDATIONS = 20  # records of validation terms
FIRST_PLAN = 10  # steps after which a time budget is first turned into a number of steps
UNPLANNED = 10**9

Record = dict[str, float | int | str]
Labels = tuple[Tensor, Tensor] | None  # (N,) of the training pictures and of the validation pictures


class WentBad(LatentdialError):
    """A term that is not a finite number, noticed at `step`."""

    def __init__(self, term: str, value: float, step: int):
        super().__init__(f"the term {term} became {value} at step {step}: lower --lr or use --precision float32")
        self.term, self.value, self.step = term, value, step


@dataclass
class Player:
    """A net that is trained, and how: the model, or one of its rivals."""

    net: nn.Module
    optimizers: list[Optimizer]
    trained: list[nn.Parameter]
    inputs: list[nn.Parameter] | None  # what a backward pass ends at, where others' weights are in its graph too
    averaged: list[nn.Parameter]  # whose gradients nothing else averages over the processes


@dataclass
class Loop:
    """One training run in memory; `step`, `seconds` and the tensors of `state()` say where it stands."""

    recipe: Recipe
    settings: TrainSettings
    pixels: Feed  # uint8 (N, H, W, C)
    validation: Feed
    device: str
    precision: str
    variation: AugmentSettings = field(default_factory=AugmentSettings)
    world: World = field(default_factory=World)
    labels: Labels = None
    step: int = 0
    seconds: float = 0.0  # of training
    wall: float = 0.0  # of training, validation and all that was done in between
    count: int = 0  # steps since the last record
    players: list[Player] = field(init=False)  # the model first
    average: Model | None = field(default=None, init=False)  # of the weights, where the settings ask for it
    steps: int = field(init=False)  # in all

    def __post_init__(self) -> None:
        model, settings = self.recipe.model, self.settings
        self.batch = 128 if settings.batch == "auto" else settings.batch
        self.steps = self._steps_planned()
        round_bases(model, self.precision)
        self.average = deepcopy(model).requires_grad_(False) if settings.ema else None
        if settings.shard:
            share_out(model, self.world)
            if self.average is not None:
                share_out(self.average, self.world)
        for book in (module for module in model.modules() if isinstance(module, Codebook)):
            book.processes = self.world
        self.net: nn.Module = model if settings.shard else self.world.wrap(model)
        rigid = [term.name for term in self.recipe.objective if not term.compiles]
        if settings.compile and rigid:
            raise LatentdialError(f"the term {rigid[0]} of this recipe cannot be compiled: leave out --compile")
        self._losses = torch.compile(self._losses_of) if settings.compile else self._losses_of
        self.players = [self._player(net) for net in (model, *(rival.net for rival in self.recipe.rivals))]
        self._lr, self._kl = lr_schedule(settings), kl_schedule(settings)
        self._pictures = len(self.pixels)
        self._draws: dict[str, Shape] = dict(model.draws)
        for term in self.recipe.objective:
            self._draws |= term.draws
        for rival in self.recipe.rivals:
            self._draws |= rival.draws
        self._sums: dict[str, Tensor] = {}
        self._orders: dict[int, Tensor] = {}  # of the last two epochs that were asked for
        self._ahead = Ahead(self.pixels, lambda step: self._mine(step)[0])

    @property
    def batches(self) -> int:
        """Steps an epoch."""
        return math.ceil(len(self.pixels) / self.batch)

    def run(
        self,
        report: Callable[[Record], None],
        stop: Callable[[], bool],
        after_step: Callable[[], None] = lambda: None,
    ) -> None:
        """Train until all steps are done or `stop` says so; `report` gets a record of terms every so often."""
        clock = Clock(self)
        with closing(self._ahead), kept_memory():
            self._run(clock, report, stop, after_step)
        clock.lap()

    def _run(
        self, clock: Clock, report: Callable[[Record], None], stop: Callable[[], bool], after_step: Callable[[], None]
    ) -> None:
        if self.step == 0 and self.settings.start == "pca":  # what is no better than its start is not published
            with clock.paused():
                report(self._record("validation", self.evaluate(self.validation)))
        while self.step < self.steps and not self._told(stop):
            values = self.train_step(*self.next_batch())
            self._sums = {name: self._sums.get(name, 0) + value for name, value in values.items()}
            self.count += 1
            if self._due(LOGS):
                means = self._means()
                rate = clock.lap() * self.batch
                with clock.paused():
                    report(self._record("train", means, images_per_second=rate))
                self._plan()
            if self._due(VALIDATIONS):
                with clock.paused():
                    report(self._record("validation", self.evaluate(self.validation)))
            after_step()

    def next_batch(self) -> tuple[Tensor, float, Tensor | None]:
        """This process's uint8 pictures of the coming step, a function of seed and step alone, weight and labels."""
        if self.world.size == 1 and self.labels is None:
            return self._ahead.batch(self.step), 1.0, None
        rows, weight = self._mine(self.step)
        return self._ahead.batch(self.step), weight, None if self.labels is None else self.labels[0][rows]

    def _mine(self, step: int) -> tuple[Tensor, float]:
        """This process's rows of the pictures of a step, and their weight."""
        epoch, index = divmod(step, self.batches)
        rows = self._order_of(epoch)[index * self.batch : (index + 1) * self.batch]
        return (rows, 1.0) if self.world.size == 1 else self.world.share(rows)

    def train_step(self, pixels: Tensor, weight: float = 1.0, labels: Tensor | None = None) -> dict[str, Tensor]:
        """One optimizer step; returns the loss and its terms, still on the device."""
        lr, done, generator = self.lr_at(self.step), self.step / self.steps, self._noise(self.step)
        x = augment(self.recipe.model.scale(pixels), self.variation, self.recipe.model.likelihood.range, generator)
        noise = draw(self._draws, self.recipe.samples, len(x), self.device, generator)
        losses, terms = self._losses(self.net, x, noise, done, self._kl(done), labels)
        for player, loss in zip(self.players, losses, strict=True):
            self._learn(player, loss if weight == 1 else loss * weight, lr)
        self.step += 1
        if self.average is not None:
            self._follow(self.average)
        values = {"loss": losses[0].detach()} | {name: value.detach() for name, value in terms.items()}
        return values if weight == 1 else {name: value * weight for name, value in values.items()}

    def _losses_of(
        self,
        net: nn.Module,
        x: Tensor,
        noise: Mapping[str, Tensor],
        done: float = 1.0,
        kl: float = 1.0,
        labels: Tensor | None = None,
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        """All players' losses and all terms, the weight of the KL times `kl`: what `compile` makes one graph of."""
        batch = Batch(x, noise, labels, self._pictures, done)
        with autocast(self.precision, self.device):
            run = net(batch, self.recipe.samples)
        loss, terms = total(self.recipe.objective, run, batch, kl)
        rivals = {rival.name: rival.value(run, batch) for rival in self.recipe.rivals}
        return [loss, *rivals.values()], terms | rivals

    def _learn(self, player: Player, loss: Tensor, lr: float) -> None:
        """A backward pass and an optimizer step of one player."""
        for parameter in player.trained:
            parameter.grad = None
        loss.backward(inputs=player.inputs)
        average_gradients(player.averaged, self.world)
        if self.settings.clip:
            nn.utils.clip_grad_norm_(player.trained, self.settings.clip)
        for optimizer in player.optimizers:
            set_rate(optimizer, lr)
            optimizer.step()

    def _player(self, net: nn.Module) -> Player:
        rival, alone = net is not self.recipe.model, self.world.size == 1
        trained = [p for p in net.parameters() if p.requires_grad]
        inputs = trained if self.recipe.rivals and not self.settings.shard else None
        averaged = [p for p in trained if rival or (self.settings.shard and p.ndim == 0)]
        optimizers = make_optimizers(net, self.settings, self.device)
        return Player(net, optimizers, trained, inputs, [] if alone else averaged)

    @torch.no_grad()
    def evaluate(self, pixels: Feed) -> dict[str, float]:
        """The loss and its terms over uint8 pictures, with the published weights, the final weights of the terms and
        fixed noise; every process takes its share."""
        model = self.recipe.model if self.average is None else self.average
        sums: dict[str, Tensor] = {}
        with evaluating(model, *(player.net for player in self.players)):
            for i in range(math.ceil(len(pixels) / self.batch)):
                rows = torch.arange(i * self.batch, min((i + 1) * self.batch, len(pixels)), device=self.device)
                mine, weight = self.world.share(rows)
                noise = draw(self._draws, self.recipe.samples, len(mine), self.device, self._noise(i))
                labels = None if self.labels is None else self.labels[pixels is self.validation][mine]
                losses, terms = self._losses_of(model, model.scale(pixels[mine]), noise, labels=labels)
                for name, value in {"loss": losses[0], **terms}.items():
                    sums[name] = sums.get(name, 0) + value.double() * (weight * len(rows) / len(pixels))
        return {name: float(value) for name, value in self.world.mean(sums).items()}

    def lr_at(self, step: int) -> float:
        """The learning rate: a linear warm-up, then the schedule."""
        rise = min(1.0, (step + 1) / warmup_steps(self.settings, self.steps))
        return self.settings.peak * rise * self._lr(step / self.steps)

    def state(self) -> dict[str, Tensor]:
        """Every tensor that training goes on from, this process's share of them."""
        tensors = {f"model.{name}": local(t) for name, t in self.recipe.model.state_dict().items()}
        if self.average is not None:
            tensors |= {f"average.{name}": local(t) for name, t in self.average.state_dict().items()}
        for rival in self.recipe.rivals:
            tensors |= {f"rival.{rival.name}.{name}": t for name, t in rival.net.state_dict().items()}
        for i, optimizer in enumerate(self._optimizers()):
            for j, moments in optimizer.state_dict()["state"].items():
                kept = {key: t for key, t in moments.items() if isinstance(t, Tensor)}
                tensors |= {f"optimizer.{i}.{j}.{key}": local(t) for key, t in kept.items()}
        shared = self.world if not self.settings.shard else World()  # with shard each process keeps its own
        return tensors | {f"sums.{name}": shared.gather(t) for name, t in self._sums.items()}

    @torch.no_grad()
    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Go on from the tensors of `state()`."""
        nets: dict[str, nn.Module | None] = {"model": self.recipe.model, "average": self.average}
        nets |= {f"rival.{rival.name}": rival.net for rival in self.recipe.rivals}
        for room, net in nets.items():
            held = {} if net is None else {f"{room}.{name}": local(t) for name, t in net.state_dict().items()}
            check_like({name: tensors[name] for name in held}, held)
            for name, tensor in held.items():
                tensor.copy_(tensors[name])
        round_bases(self.recipe.model, self.precision)
        for i, optimizer in enumerate(self._optimizers()):
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            moments: dict[int, dict[str, Tensor]] = {}
            for name, tensor in tensors.items():
                if name.startswith(f"optimizer.{i}."):
                    j, key = name.split(".")[2:]
                    if tensor.ndim:
                        check_like({name: tensor}, {name: local(parameters[int(j)])})
                    moments.setdefault(int(j), {})[key] = like(parameters[int(j)], tensor)
            optimizer.load_state_dict(optimizer.state_dict() | {"state": moments})
        sums = {n.removeprefix("sums."): t.to(self.device) for n, t in tensors.items() if n.startswith("sums.")}
        if any(t.ndim != 1 for t in sums.values()):
            raise ValueError("its sums are not one number a process")
        self._sums = {n: t[self.world.rank] if len(t) == self.world.size else t.mean(0) for n, t in sums.items()}

    def published(self) -> dict[str, Tensor]:
        """The whole weights as they would be published now; all processes must ask."""
        return whole(self.recipe.model if self.average is None else self.average)

    def _optimizers(self) -> list[Optimizer]:
        return [optimizer for player in self.players for optimizer in player.optimizers]

    def _steps_planned(self) -> int:
        if not self.recipe.steps:
            return 0
        if self.settings.time_budget:
            return UNPLANNED
        return self.settings.steps or max(1, math.ceil(self.settings.epochs * self.batches))

    def _told(self, stop: Callable[[], bool]) -> bool:
        if self.world.size == 1:
            return stop()
        return self.step % ASK_EVERY == 0 and self.world.any(stop())

    def _due(self, times: int) -> bool:
        """Whether this is one of so many steps of the run, or its last."""
        planning = self.steps == UNPLANNED and times == LOGS and self.step == FIRST_PLAN
        return planning or self.step % max(1, self.steps // times) == 0 or self.step == self.steps

    def _plan(self) -> None:
        """As many steps more as the time budget has room for at the rate so far."""
        if self.settings.time_budget:
            left = self.settings.budget_seconds - self.wall
            planned = self.step + math.floor(left * self.step / max(self.wall, 1e-9))
            self.steps = self.world.agree(max(self.step, planned))

    def _means(self) -> dict[str, float]:
        """The mean of every term since the last record; one that is not finite is a LatentdialError."""
        means = {n: float(v) / self.count for n, v in self.world.mean(self._sums).items()}
        self._sums, self.count = {}, 0
        for name, value in means.items():
            if name != "loss" and not math.isfinite(value):
                raise WentBad(name, value, self.step)
        return means

    @torch.no_grad()
    def _follow(self, average: Model) -> None:
        """Move the average towards the weights, faster in the first steps; what counts is copied."""
        keep = min(self.settings.ema, self.step / (self.step + 9))
        torch._foreach_lerp_(list(average.parameters()), list(self.recipe.model.parameters()), 1 - keep)
        for ours, theirs in zip(average.buffers(), self.recipe.model.buffers(), strict=True):
            ours.lerp_(theirs, 1 - keep) if ours.is_floating_point() else ours.copy_(theirs)

    def _noise(self, number: int) -> torch.Generator:
        """A generator of this seed, process and step; the one of the processor looks at 32 bits of a seed alone."""
        mixed = self.settings.seed * 0x85EBCA77 + self.world.rank * 0xC2B2AE3D + number * 0x9E3779B1
        return torch.Generator(self.device).manual_seed(mixed & 0xFFFFFFFF)

    def _order_of(self, epoch: int) -> Tensor:
        if epoch not in self._orders:
            order = torch.from_numpy(batch_order(len(self.pixels), self.settings.seed, epoch))
            self._orders = dict([*self._orders.items()][-1:]) | {epoch: order.to(self.device)}
        return self._orders[epoch]

    def _record(self, kind: str, values: dict[str, float], **more: float) -> Record:
        place: Record = {"split": kind, "step": self.step, "epoch": round(self.step / self.batches, 3)}
        return {**place, "seconds": round(self.seconds, 2), **values, **more}


@contextmanager
def evaluating(*nets: nn.Module) -> Iterator[None]:
    """Within it, nets are in evaluation mode."""
    modes = [net.training for net in nets]
    for net in nets:
        net.eval()
    try:
        yield
    finally:
        for net, mode in zip(nets, modes, strict=True):
            net.train(mode)


def check_like(tensors: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    """Whether tensors have the names and shapes of others; else a ValueError."""
    for name in sorted(tensors.keys() | wanted.keys()):
        if name not in tensors or name not in wanted or tensors[name].shape != wanted[name].shape:
            raise ValueError(f"{name} does not fit the net")


class Clock:
    """Adds the time that passes to a loop's seconds of training, and with the pauses to those of all."""

    def __init__(self, loop: Loop):
        self.loop, self.step = loop, loop.step
        self.since, self.pauses = time.perf_counter(), 0.0

    def lap(self) -> float:
        """Book the time since the last call; returns steps a second of training."""
        now = time.perf_counter()
        spent, steps = now - self.since - self.pauses, self.loop.step - self.step
        self.loop.seconds += spent
        self.loop.wall += now - self.since
        self.since, self.pauses, self.step = now, 0.0, self.loop.step
        return steps / spent if spent else 0.0

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Time that is not training."""
        start = time.perf_counter()
        yield
        self.pauses += time.perf_counter() - start
