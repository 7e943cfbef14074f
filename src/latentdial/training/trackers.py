"""TensorBoard, Weights & Biases and MLflow behind one small interface; all that they write is in the run directory."""

from __future__ import annotations

import logging
import os
import re
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from latentdial import storage
from latentdial.config import RunConfig
from latentdial.errors import LatentdialError

PLACES = {  # what trackers write in a run; what wandb itself links to lies deeper
    "tensorboard": ("tensorboard", "tensorboard/*"),
    "wandb": ("wandb", "wandb/*run-*", "wandb/*run-*/*"),
    "mlflow": ("mlflow.db*", "mlflow-artifacts", "mlflow-artifacts/**/*"),
}
IDS = "trackers.json"  # the ids under which a resumed run goes on
PROJECT = "latentdial"

Record = dict[str, Any]


class Tracker(Protocol):
    """Where the figures of a run go besides metrics.jsonl."""

    def log(self, record: Record) -> None:
        """A record of terms: its "split" and "step", and numbers, which become `train/nll`, `validation/nll`, ..."""

    def picture(self, name: str, step: int, pixels: np.ndarray) -> None:
        """A picture, uint8 (H, W, C), such as a strip of samples."""

    def finish(self, summary: Record) -> None:
        """The final figures, as `summary/seconds`, ...; closes."""


def open_trackers(names: Sequence[str], out: Path, config: RunConfig) -> list[Tracker]:
    """Open trackers by name for the run in `out`; one process of a run calls this, after `out` holds its config.json.

    A run that is resumed goes on under the ids in its directory. Nothing leaves the machine unless WANDB_MODE or
    MLFLOW_TRACKING_URI says so. An unknown name or a missing package is a LatentdialError. A tracker that fails later
    warns once and is left out; it does not end the training.
    """
    for name in names:
        if name not in TRACKERS:
            raise LatentdialError(f"there is no tracker {name!r}: use {', '.join(TRACKERS)}")
        _refuse_links(name, out)
    return [Steady(name, _open(name, out, config)) for name in dict.fromkeys(names)]


def _refuse_links(name: str, out: Path) -> None:
    """A tracker writes where it is told to, also through a link that somebody else has put there."""
    for path in (found for pattern in PLACES[name] for found in out.glob(pattern)):
        if path.is_symlink():
            raise LatentdialError(f"{path} is a link, through which nothing is written: remove it")


def _open(name: str, out: Path, config: RunConfig) -> Tracker:
    try:
        return TRACKERS[name](out, config)
    except ImportError as error:
        raise LatentdialError(
            f"tracking with {name} needs {error.name or 'a package'}, which is not installed: "
            f"pip install 'latentdial[{name}]'"
        ) from None
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise LatentdialError(f"{name} cannot be opened ({reason}): mend it, or train without --track {name}") from None


@dataclass
class Steady:
    """A tracker that warns once when it fails and is quiet from then on."""

    name: str
    tracker: Tracker
    lost: bool = False

    def log(self, record: Record) -> None:
        self._try(self.tracker.log, record)

    def picture(self, name: str, step: int, pixels: np.ndarray) -> None:
        self._try(self.tracker.picture, name, step, pixels)

    def finish(self, summary: Record) -> None:
        self._try(self.tracker.finish, summary)

    def _try(self, function: Callable[..., None], *args: Any) -> None:
        if self.lost:
            return
        try:
            function(*args)
        except Exception as error:
            self.lost = True
            reason = " ".join(str(error).split())[:200]
            news = f"{self.name} failed and is left out from here on ({reason}); metrics.jsonl has all figures"
            warnings.warn(news, stacklevel=2)


class TensorBoard:
    """Event files in `tensorboard`; a resumed run hides what was logged after the step at which it takes up again."""

    def __init__(self, out: Path, config: RunConfig) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._make, self._folder, self._config = SummaryWriter, out / "tensorboard", config
        self._writer: Any = None

    def log(self, record: Record) -> None:
        writer, step = self._at(int(record["step"])), int(record["step"])
        for name, value in terms(record).items():
            writer.add_scalar(name, value, step)
        writer.flush()

    def picture(self, name: str, step: int, pixels: np.ndarray) -> None:
        self._at(step).add_image(name, pixels, step, dataformats="HWC")

    def finish(self, summary: Record) -> None:
        self.log({**summary, "split": "summary"})
        self._writer.close()

    def _at(self, step: int) -> Any:
        """The writer, made for the first record, whose step is known to be the next."""
        if self._writer is None:
            fresh = not self._folder.exists()
            self._writer = self._make(str(self._folder), purge_step=None if fresh else step)
            if fresh:
                self._writer.add_text("settings", f"```\n{self._config.to_json()}```", 0)
        return self._writer


class WeightsAndBiases:
    """A run in `wandb`, offline unless WANDB_MODE says otherwise; `wandb sync` sends it."""

    def __init__(self, out: Path, config: RunConfig) -> None:
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        import wandb

        mode, known = os.environ.get("WANDB_MODE", "offline"), read_ids(out).get("wandb")
        self._image = wandb.Image
        self._run = wandb.init(
            dir=str(out),
            mode=mode,  # type: ignore[arg-type]
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=out.name,
            id=known,
            resume="allow" if known and mode == "online" else None,
            config=None if known else settings(config),
            settings=wandb.Settings(silent=True, console="off", disable_git=True, save_code=False),
        )
        keep_id(out, "wandb", self._run.id)

    def log(self, record: Record) -> None:
        self._run.log(terms(record), step=int(record["step"]))

    def picture(self, name: str, step: int, pixels: np.ndarray) -> None:
        self._run.log({name: self._image(pixels)}, step=step)

    def finish(self, summary: Record) -> None:
        self._run.summary.update(terms({**summary, "split": "summary"}))
        self._run.finish()


@dataclass
class MLflow:
    """A run in `mlflow.db` (SQLite), or at MLFLOW_TRACKING_URI; a resumed run logs each step once."""

    out: Path
    config: RunConfig
    _last: dict[str, int] = field(default_factory=dict)  # the last step of each term that is logged already

    def __post_init__(self) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        import sqlalchemy  # noqa: F401 - what mlflow-skinny needs for SQLite and does not bring
        from mlflow import MlflowClient, entities

        logging.getLogger("mlflow").setLevel(logging.WARNING)
        self._entities = entities
        uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{self.out.resolve() / 'mlflow.db'}"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of SQLAlchemy, in mlflow's own code
            self._client = MlflowClient(tracking_uri=uri)
            known = read_ids(self.out).get("mlflow")
            self._id = self._started() if known is None else self._resumed(known)

    def log(self, record: Record) -> None:
        step, now = int(record["step"]), int(1000 * time.time())
        fresh = {name: value for name, value in terms(record).items() if step > self._last.get(name, -1)}
        metrics = [self._entities.Metric(name, value, now, step) for name, value in fresh.items()]
        self._client.log_batch(self._id, metrics=metrics)

    def picture(self, name: str, step: int, pixels: np.ndarray) -> None:
        self._client.log_image(self._id, pixels, key=name, step=step)

    def finish(self, summary: Record) -> None:
        self.log({**summary, "split": "summary"})
        self._client.set_terminated(self._id, "KILLED" if summary.get("interrupted") else "FINISHED")

    def _started(self) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        found = self._client.get_experiment_by_name(name)
        remote = os.environ.get("MLFLOW_TRACKING_URI")
        place = None if remote else (self.out / "mlflow-artifacts").resolve().as_uri()
        experiment = found.experiment_id if found else self._client.create_experiment(name, artifact_location=place)
        run = self._client.create_run(experiment, run_name=self.out.name).info.run_id
        params = [self._entities.Param(key, str(value)) for key, value in settings(self.config).items()]
        self._client.log_batch(run, params=params)
        keep_id(self.out, "mlflow", run)
        return run

    def _resumed(self, run: str) -> str:
        self._client.update_run(run, "RUNNING")
        for name in self._client.get_run(run).data.metrics:
            if not name.startswith("summary/"):
                self._last[name] = max(entry.step for entry in self._client.get_metric_history(run, name))
        return run


TRACKERS: dict[str, Callable[[Path, RunConfig], Tracker]] = {
    "tensorboard": TensorBoard,
    "wandb": WeightsAndBiases,
    "mlflow": MLflow,
}


def terms(record: Record) -> dict[str, float]:
    """The numbers of a record under the names that trackers use, such as `train/nll`."""
    numbers = {name: value for name, value in record.items() if isinstance(value, int | float) and name != "step"}
    return {f"{record['split']}/{name}": float(value) for name, value in numbers.items()}


def settings(config: RunConfig) -> dict[str, Any]:
    """The settings of a run by dotted name, such as `train.lr`."""
    rooms = {room: values for room, values in asdict(config).items() if isinstance(values, dict)}
    return {f"{room}.{name}": value for room, values in rooms.items() for name, value in values.items()}


def read_ids(out: Path) -> dict[str, str]:
    """The ids that a run has with its trackers; those that are no plain word are left out."""
    try:
        found = storage.read_json(out / IDS)
    except LatentdialError:
        return {}
    words = {name: key for name, key in found.items() if isinstance(key, str)}
    return {name: key for name, key in words.items() if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", key)}


def keep_id(out: Path, name: str, key: str) -> None:
    """Note the id of a run with a tracker."""
    storage.write_json(out / IDS, read_ids(out) | {name: key})
