"""Trials of a recipe's settings, pruned and resumable, and the best of them trained as a run."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from latentdial import storage
from latentdial.config import ModelSettings, RunConfig, cut
from latentdial.errors import LatentdialError, needs
from latentdial.images import Parts, open_parts
from latentdial.latent.codec import Codec
from latentdial.machine.precision import choose_device
from latentdial.machine.world import World
from latentdial.progress import Show, quiet
from latentdial.runs.records import read_config
from latentdial.texts import suggestion
from latentdial.training.loop import Record, WentBad
from latentdial.training.material import gather_material
from latentdial.training.start import settled, train_run
from latentdial.training.stopping import Stop, listening
from latentdial.tuning.space import TRAINING, Axis, Value, space_of

SEARCH, TRIALS, BEST = "search.json", "trials.jsonl", "best"
STARTUP = 5  # trials that are never pruned
PATIENCE = 4  # validations before which none is pruned
PLACES = 20  # of validations in a whole run, by which trials are compared
MIXER = 0x9E3779B1
BOUND = "bound"

State = Literal["complete", "pruned", "failed"]


@dataclass(frozen=True)
class Trial:
    """One trial: what was chosen, and its validations, each with its place among those of a whole run."""

    number: int
    chosen: dict[str, Value]
    state: State
    values: list[tuple[int, float]] = field(default_factory=list)
    core_seconds: float = 0.0
    reason: str = ""

    @property
    def value(self) -> float:
        """The best validation."""
        return min((value for _, value in self.values), default=math.inf)

    @property
    def ended(self) -> str:
        """How, in words."""
        if self.state == "pruned" and self.values:
            return f"pruned at {self.values[-1][0] / PLACES:.0%}"
        return self.reason or self.state


@dataclass(frozen=True)
class Tuned:
    """All trials, what was searched, and the best as a run; None where the search was stopped before its end."""

    axes: list[Axis]
    trials: list[Trial]
    by: str
    best: Codec | None
    folder: Path

    @property
    def ranked(self) -> list[Trial]:
        """The trials that ended, best first, and after them those that did not."""
        return sorted(self.trials, key=lambda trial: (trial.state != "complete", trial.value))

    def table(self) -> tuple[list[str], list[list[str]]]:
        """The head, and a row of texts for every trial."""
        head = ["trial", f"validation {self.by}", *(axis.name for axis in self.axes), "state", "core-seconds"]
        rows = []
        for trial in self.ranked:
            settings = [_text(axis.value(trial.chosen[axis.name])) for axis in self.axes]
            value = "-" if math.isinf(trial.value) else f"{trial.value:.2f}"
            rows.append([str(trial.number), value, *settings, trial.ended, f"{trial.core_seconds:.1f}"])
        return head, rows

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        trials = [_packed(trial) | {"value": _finite(trial.value)} for trial in self.ranked]
        return {"by": self.by, "searched": [asdict(axis) for axis in self.axes], "trials": trials}


def tune(
    config: RunConfig,
    out: str | Path,
    *,
    trials: int = 20,
    search: Sequence[str] | None = None,
    by: str = BOUND,
    show: Show | None = None,
) -> Tuned:
    """Search the settings of a recipe on its validation pictures, and train the best of them as a run, `out`/best.

    Each trial trains as `config` says but for what is searched; one that is behind the median of those before it is
    pruned (Optuna, arXiv 1907.10902; TPE, NIPS 2011). `by` names the validation term that is made small; "bound" is nll
    and KL unweighted, which weights of the objective cannot make small by themselves. Test pictures are not looked at.
    A search of the same settings that is in `out` goes on where it was; the same seed gives the same trials, in one go
    or not. A LatentdialError for what cannot be searched.
    """
    show, out = show or Show(), Path(out)
    if trials < 1:
        raise LatentdialError("a search needs at least one trial: use trials=20")
    _optuna()
    axes = space_of(config.model.recipe, config.model.options, search)
    done = _begin(out, {"config": json.loads(config.to_json()), "by": by, "axes": [asdict(axis) for axis in axes]})
    parts = open_parts(config, show.advance)
    with listening() as stop:
        for number in range(len(done), trials):
            show.advance("tuning", number, trials, _leading(done))
            trial = _tried(number, axes, config, parts, done, by, stop, show)
            if stop():
                return Tuned(axes, done, by, None, out)
            storage.append(out / TRIALS, json.dumps(_packed(trial)) + "\n")
            done.append(trial)
    show.advance("tuning", trials, trials, _leading(done))
    found = Tuned(axes, done, by, None, out)
    best = found.ranked[0]
    if best.state != "complete":
        raise LatentdialError(f"no trial ended well ({best.reason}): search fewer settings, or lower learning rates")
    wanted = _applied(config, axes, best.chosen)
    finished = train_run(wanted, out / BEST, "resume" if _trained(out / BEST, wanted) else "replace", show)
    return found if finished.stopped else replace(found, best=finished.codec)


def _trained(folder: Path, wanted: RunConfig) -> bool:
    """Whether a run is there that has the settings of the best trial, and not those of one that was the best before."""
    if not folder.is_dir():
        return False
    saved = read_config(folder)
    return saved.model == wanted.model and all(
        getattr(saved.train, name) == getattr(wanted.train, name)
        for name in TRAINING
        if name != "lr" or wanted.train.lr
    )


def _begin(out: Path, record: dict[str, Any]) -> list[Trial]:
    """The trials that are there already; a directory of another search is refused."""
    try:
        before = storage.read_json(out / SEARCH)
    except storage.Missing:
        out.mkdir(parents=True, exist_ok=True)
        storage.write_json(out / SEARCH, record)
        return []
    if changed := _changed(before, json.loads(json.dumps(record))):
        raise LatentdialError(f"{out} holds a search of other settings ({changed}): use another --out")
    try:
        return [_unpacked(line, number) for number, line in enumerate(storage.read_lines(out / TRIALS))]
    except storage.Missing:
        return []
    except (ValueError, TypeError) as error:
        raise LatentdialError(f"{out / TRIALS} is damaged ({error}): use another --out") from None


def _changed(before: Any, now: Any, name: str = "") -> str:
    """The first setting that is another one, as it was and is; empty where all are equal."""
    if isinstance(before, dict) and isinstance(now, dict):
        parts = ((key, before.get(key), now.get(key)) for key in {**before, **now})
        return next(filter(None, (_changed(was, new, key) for key, was, new in parts)), "")
    if name == "axes" and _searched(before) != _searched(now):
        name, before, now = "search", _searched(before), _searched(now)
    return "" if before == now else f"{name} was {cut(before)} and is {cut(now)}"


def _searched(axes: Any) -> str:
    """The names of axes, as they are written."""
    return " ".join(str(axis.get("name")) for axis in axes if isinstance(axis, dict)) if isinstance(axes, list) else ""


def _tried(
    number: int,
    axes: list[Axis],
    config: RunConfig,
    parts: Parts,
    before: list[Trial],
    by: str,
    stop: Stop,
    show: Show,
) -> Trial:
    """Train one trial in memory until its end, or until it is pruned."""
    study, begin = _study(config.train.seed, number, axes, before), time.process_time()
    asked = study.ask({axis.name: _distribution(axis) for axis in axes})
    chosen, values = dict(asked.params), list[tuple[int, float]]()
    pruned = False

    def report(record: Record) -> None:
        nonlocal pruned
        show.advance(f"trial {number}", int(record["step"]), loop.steps)
        if record["split"] == "validation":
            place = round(PLACES * int(record["step"]) / loop.steps)
            values.append((place, _value(record, by)))
            asked.report(values[-1][1], place)
            pruned = asked.should_prune() and int(record["step"]) < loop.steps

    def ended(state: State, reason: str = "") -> Trial:
        return Trial(number, chosen, state, values, round(time.process_time() - begin, 1), reason)

    try:
        trying = settled(_applied(config, axes, chosen), show)
        device = choose_device(config.train.device)
        material = gather_material(trying, parts.images, parts.split, World(), device, quiet)
        loop = material.loop(trying.train)
        loop.run(report, lambda: stop() or pruned)
    except WentBad as bad:
        return ended("failed", str(bad).partition(":")[0])
    return ended("pruned" if pruned else "complete")


def _study(seed: int, number: int, axes: list[Axis], before: list[Trial]) -> Any:
    """A study that knows the trials before; its sampler is a function of seed and number, so that resuming repeats."""
    optuna = _optuna()
    sampler = optuna.samplers.TPESampler(seed=(seed * MIXER + number) & 0xFFFFFFFF)
    pruner = optuna.pruners.MedianPruner(STARTUP, PATIENCE)
    study = optuna.create_study(sampler=sampler, pruner=pruner)
    states = {
        "complete": optuna.trial.TrialState.COMPLETE,
        "pruned": optuna.trial.TrialState.PRUNED,
        "failed": optuna.trial.TrialState.FAIL,
    }
    distributions = {axis.name: _distribution(axis) for axis in axes}
    for trial in before:
        study.add_trial(
            optuna.trial.create_trial(
                state=states[trial.state],
                value=trial.value if trial.state == "complete" else None,
                params=trial.chosen,
                distributions=distributions,
                intermediate_values=dict(trial.values),
            )
        )
    return study


def _optuna() -> Any:
    with needs("tune", "the search of settings"):
        import optuna
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _distribution(axis: Axis) -> Any:
    distributions = _optuna().distributions
    if axis.kind == "choice":
        return distributions.CategoricalDistribution(axis.choices)
    if axis.kind == "int":
        return distributions.IntDistribution(int(axis.low), int(axis.high), log=True)
    return distributions.FloatDistribution(axis.low, axis.high, log=True)


def _applied(config: RunConfig, axes: list[Axis], chosen: dict[str, Value]) -> RunConfig:
    """The configuration with what a trial has chosen."""
    values = {axis.name: axis.value(chosen[axis.name]) for axis in axes}
    train = {name: values.pop(name) for name in TRAINING if name in values}
    model = ModelSettings(config.model.recipe, {**config.model.options, **values})
    return replace(config, model=model, train=replace(config.train, **train))


def _value(record: Record, by: str) -> float:
    if by == BOUND:
        return float(record.get("nll", record["loss"])) + float(record.get("kl", 0.0))
    if by not in record:
        terms = sorted(record.keys() - {"split", "step", "epoch", "seconds"})
        raise LatentdialError(f"there is no validation term {by!r}: {suggestion(by, [BOUND, *terms], '--by takes')}")
    return float(record[by])


def _leading(done: list[Trial]) -> str:
    values = [trial.value for trial in done if trial.state == "complete"]
    return f"best {min(values):.2f}" if values else ""


def _packed(trial: Trial) -> dict[str, Any]:
    return asdict(trial)


def _unpacked(line: dict[str, Any], number: int) -> Trial:
    storage.need(
        line, {"number": int, "chosen": dict, "state": str, "values": list, "core_seconds": float, "reason": str}
    )
    if line["number"] != number or line["state"] not in ("complete", "pruned", "failed"):
        raise ValueError(f"trial {number} is not in its place")
    values = [(int(place), float(value)) for place, value in line["values"]]
    return Trial(number, line["chosen"], line["state"], values, line["core_seconds"], line["reason"])


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    with suppress(TypeError):
        return f"{value:.3g}" if isinstance(value, float) else str(value)
    return str(value)
