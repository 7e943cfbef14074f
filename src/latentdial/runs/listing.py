"""Every run below a directory with its settings and results, once or as they change."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from latentdial import storage
from latentdial.config import ModelSettings
from latentdial.errors import LatentdialError
from latentdial.runs.records import (
    CODES,
    CONFIG,
    LOCK,
    METRICS,
    TIMES,
    read_config,
    read_metrics,
    read_summary,
    read_times,
)

PLACE = {"split", "step", "epoch"}


@dataclass(frozen=True)
class RunRow:
    """One run: settings, and results so far; `reason` says why a directory cannot be read."""

    run: str
    state: str  # running, finished, interrupted, stopped (killed, with no results written) or broken
    when: float  # seconds since 1970 of the last change
    reason: str = ""
    recipe: str = ""
    data: str = ""
    size: int | None = None
    latent: int | None = None
    batch: int | str | None = None
    lr: float | None = None
    epochs: float | None = None
    precision: str = ""
    step: int = 0
    steps: int | None = None  # for a run without results: estimated from the epochs so far
    seconds: float | None = None
    images_per_second: float | None = None
    validation: dict[str, float] = field(default_factory=dict)  # the last terms

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def value(self, column: str) -> Any:
        """What `--sort` compares: a field, or a validation term."""
        return self.validation.get(column) if column in self.validation else asdict(self).get(column)


def list_runs(folder: str | Path, sort: str = "time") -> list[RunRow]:
    """All runs in or below a directory, the newest first, or by a column or validation term, the lowest first.

    A run that cannot be read is a row with its reason. No run at all, or a column that no run has, is a
    LatentdialError.
    """
    root = Path(folder)
    if not root.is_dir():
        raise LatentdialError(f"there is no directory {folder}: give one that has runs in it")
    rows = [_row(path, root) for path in find_runs(root)]
    if not rows:
        raise LatentdialError(f"there are no runs in {folder}: train one with latentdial train RECIPE DATA --out DIR")
    if sort == "time":
        return sorted(rows, key=lambda row: -row.when)
    known = [row for row in rows if row.value(sort) not in (None, "")]
    if not known or isinstance(known[0].value(sort), dict):
        terms = sorted({name for row in rows for name in row.validation})
        raise LatentdialError(
            f"no run has a column {sort!r}: sort by time, run, state, lr, seconds, {', '.join(terms)}"
        )
    text = any(isinstance(row.value(sort), str) for row in known)
    ordered = sorted(known, key=lambda row: str(row.value(sort)) if text else row.value(sort))
    return [*ordered, *(row for row in rows if row not in known)]


def watch_runs(folder: str | Path, sort: str = "time", every: float = 2.0) -> Iterator[list[RunRow]]:
    """The runs now and every few seconds; ends when runs were seen running and none is any more."""
    seen = False
    while True:
        rows = list_runs(folder, sort)
        running = any(row.state == "running" for row in rows)
        yield rows
        if seen and not running:
            return
        seen = seen or running
        time.sleep(every)


def find_runs(root: Path) -> list[Path]:
    """Directories that hold a run's settings or figures; nothing inside a run is looked at."""
    found = []
    for place, folders, files in os.walk(root):
        if CONFIG in files or METRICS in files:
            found.append(Path(place))
            folders.clear()
        folders[:] = sorted(name for name in folders if not name.startswith("."))
    return found


def is_running(folder: Path) -> bool:
    """Whether a process trains in this directory, by its lock."""
    if (folder / LOCK).is_symlink() or not (folder / LOCK).is_file():
        return False
    lock = FileLock(folder / LOCK)
    try:
        with lock.acquire(timeout=0):
            return False
    except Timeout:
        return True
    except OSError:
        return False


def _row(folder: Path, root: Path) -> RunRow:
    name = str(folder.relative_to(root)) if folder != root else folder.resolve().name
    try:
        return _read(folder, _plain(name))
    except (LatentdialError, OSError, ValueError, TypeError, KeyError) as error:
        return RunRow(_plain(name), "broken", _changed(folder), _plain(" ".join(str(error).split())[:300]))


def _read(folder: Path, name: str) -> RunRow:
    config, summary = read_config(folder), read_summary(folder)
    records, times = read_metrics(folder), read_times(folder)
    validation: dict[str, Any] = next((r for r in reversed(records) if r.get("split") == "validation"), {})
    last = records[-1] if records else {}
    step = _number((summary or last).get("step"))
    clock = summary or (times[-1] if times else {})
    if summary is not None:
        state = "interrupted" if summary.get("interrupted") else "finished"
    else:
        state = "running" if is_running(folder) else "stopped"
    return RunRow(
        run=name,
        state=state,
        when=_changed(folder),
        recipe=_plain(config.model.recipe),
        data=_plain(config.data.source),
        size=config.geometry.size,
        latent=_latent(folder, config.model),
        batch=config.train.batch,
        lr=config.train.peak,
        epochs=config.train.epochs,
        precision=_plain((summary or {}).get("precision") or config.train.precision),
        step=int(step or 0),
        steps=_steps(config.train, summary, last),
        seconds=_number(clock.get("seconds")),
        images_per_second=_number(clock.get("images_per_second")),
        validation={_plain(k): float(v) for k, v in validation.items() if k not in PLACE and _number(v) is not None},
    )


def _latent(folder: Path, model: ModelSettings) -> int | None:
    """Numbers of a code: of the codes that a run has written, else as its settings say.

    Only the default of a recipe asks for the recipes, and with them for torch.
    """
    with suppress(LatentdialError):
        shape = storage.tensor_shapes(folder / CODES).get("codes", ())
        if len(shape) == 2:
            return shape[1]
    if "latent" not in model.options:
        from latentdial.recipes import options_of

        with suppress(LatentdialError):
            return _whole(options_of(model.recipe).get("latent"))
    return _whole(model.options.get("latent"))


def _whole(value: Any) -> int | None:
    found = _number(value)
    return None if found is None else int(found)


def _steps(settings: Any, summary: dict[str, Any] | None, last: dict[str, Any]) -> int | None:
    """Steps in all: as the results say, as set, or from how far the epochs have come."""
    if summary is not None or settings.steps is not None:
        return _whole((summary or {}).get("steps", settings.steps))
    step, epoch = _number(last.get("step")), _number(last.get("epoch"))
    if not step or not epoch or settings.time_budget is not None:
        return None
    return max(int(step), math.ceil(round(step / epoch) * settings.epochs))


def _changed(folder: Path) -> float:
    times = [(folder / name).stat().st_mtime for name in (METRICS, TIMES, CONFIG) if (folder / name).is_file()]
    return max(times, default=0.0)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value


def _plain(text: Any) -> str:
    """Text that cannot steer a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in str(text))
