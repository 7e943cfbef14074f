"""From a data source to a finished run directory."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from latentdial.config import AugmentSettings, DataSettings, Geometry, ModelSettings, Options, RunConfig, TrainSettings
from latentdial.errors import LatentdialError
from latentdial.images import ImageSet, Split, open_images, split_images
from latentdial.images.montage import montage, save_png
from latentdial.latent.codec import Codec
from latentdial.measure.cost import peak_memory_mb
from latentdial.progress import Show
from latentdial.recipes import build
from latentdial.run import CONFIG, MAX_CODES, METRICS, codec_of, read_config, save_codes, save_model
from latentdial.training.card import write_card
from latentdial.training.checkpoint import State, load_checkpoint, save_checkpoint
from latentdial.training.feed import feed
from latentdial.training.loop import Loop, Record
from latentdial.training.precision import choose_device, choose_precision

STRIP = 8  # pictures in a sample strip
STRIPS = 5  # sample strips in a whole run
CHUNK = 256


def train(
    recipe: str,
    data: str | Path,
    out: str | Path,
    *,
    options: Options | None = None,
    resume: bool = False,
    overwrite: bool = False,
    show: Show | None = None,
    **settings,
) -> Codec:
    """Train a recipe on pictures and write a run directory; returns the trained codec.

    `settings` are the fields of Geometry, DataSettings, TrainSettings and AugmentSettings by name, such as size=64,
    epochs=30 or seed=1.
    Raises LatentdialError for bad settings, unreadable data, or a directory that holds a run already.
    """
    config = RunConfig(
        ModelSettings(recipe, options or {}),
        _pick(Geometry, settings),
        replace(_pick(DataSettings, settings), source=str(data)),
        _pick(TrainSettings, settings),
        _pick(AugmentSettings, settings),
    )
    if settings:
        raise LatentdialError(f"there is no setting {sorted(settings)[0]!r}: see latentdial train --help")
    return train_run(config, Path(out), resume, overwrite, show or Show()).codec


@dataclass(frozen=True)
class Finished:
    """A trained run: its codec, its last record, and whether it was interrupted."""

    codec: Codec
    summary: Record
    interrupted: bool


def train_run(config: RunConfig, out: Path, resume: bool, overwrite: bool, show: Show) -> Finished:
    """Train what `config` says into the directory `out`."""
    device = choose_device(config.train.device)
    config = _settled(config, show)
    torch.manual_seed(config.train.seed)
    recipe = build(config.model, config.geometry.shape)
    recipe.model.to(device)
    check_folder(out, config, resume, overwrite)
    images = open_images(config.data, config.geometry, show.advance)
    for name, reason in images.skipped[:5]:
        show.say(f"skipped {name}: {reason}")
    if images.skipped:
        show.say(f"skipped {len(images.skipped)} of {len(images.skipped) + len(images)} files")
    parts = split_images(images, config.data.holdout, config.train.seed)
    if parts.kept_together:
        show.say(
            f"{parts.kept_together} pictures are exact copies of others; copies stay in the same part of the split"
        )
    start_folder(out, config, resume)
    precision = choose_precision(config.train.precision, device)
    loop = Loop(
        recipe,
        config.train,
        feed(images.pixels.take(parts.train), device, config.train.memory),
        feed(images.pixels.take(parts.validation), device, config.train.memory),
        device,
        precision,
        variation=config.augment,
    )
    session = Session(config, out, loop, images, parts, show)
    return session.run(resume)


def _settled(config: RunConfig, show: Show) -> RunConfig:
    """The colour "keep" becomes what the pictures are, so that the run says what its net sees."""
    if config.geometry.colour == "keep":
        config = replace(config, geometry=open_images(config.data, config.geometry, show.advance).geometry)
    size = config.geometry.size
    if config.augment.crop >= size:
        raise LatentdialError(f"--crop {config.augment.crop} is not below the size {size}: use a few pixels")
    return config


@dataclass
class Session:
    """One training run with its directory: metrics, strips, checkpoints, and what is written at the end."""

    config: RunConfig
    out: Path
    loop: Loop
    images: ImageSet
    parts: Split
    show: Show
    _saved: float = field(default_factory=time.monotonic)
    _strips: int = 0

    def run(self, resume: bool) -> Finished:
        if resume:
            state = load_checkpoint(self.out, self.loop.recipe.model, self.loop.optimizer)
            self.loop.step, self.loop.seconds = state.step, state.seconds
            _keep_metrics_until(self.out / METRICS, state.step)
        self._announce()
        with _interruptible() as stopped:
            self.loop.run(self._report, stopped)
        interrupted = self.loop.step < self.loop.steps
        if interrupted or self.config.train.checkpoint:
            self._checkpoint()
        return self._finish(interrupted)

    def _announce(self) -> None:
        loop = self.loop
        parameters = sum(p.numel() for p in loop.recipe.model.parameters())
        self.show.say(
            f"{self.config.model.recipe}: {parameters:,} parameters, {len(loop.pixels):,} training pictures "
            f"({len(self.parts.validation)} validation, {len(self.parts.test)} test), "
            f"{loop.steps} steps of {self.config.train.batch}, {loop.precision} on {loop.device}"
        )

    def _report(self, record: Record) -> None:
        _append(self.out / METRICS, record)
        terms = "  ".join(f"{name} {record[name]:.1f}" for name in self._terms())
        if record["split"] == "train":
            note = f"{terms}  {record['images_per_second']:.0f} images/s"
            self.show.advance(f"training {self.out.name}", self.loop.step, self.loop.steps, note)
            self._strip()
            minutes = self.config.train.checkpoint
            if minutes and time.monotonic() - self._saved > 60 * minutes:
                self._checkpoint()
        elif self.loop.step == self.loop.steps:
            self.show.say(f"validation: {terms}")

    def _terms(self) -> list[str]:
        return ["loss", *(term.name for term in self.loop.recipe.objective)]

    def _strip(self) -> None:
        """Validation pictures over their reconstructions, a few times in a run."""
        due = self.loop.step * STRIPS // self.loop.steps
        if due <= self._strips:
            return
        self._strips = due
        folder = self.out / "samples"
        folder.mkdir(exist_ok=True)
        pictures = self.images.pixels[self.parts.validation[:STRIP]]
        save_png(folder / f"step-{self.loop.step:06d}.png", montage([pictures, self._codec().reconstruct(pictures)]), 2)

    def _checkpoint(self) -> None:
        save_checkpoint(
            self.out, self.loop.recipe.model, self.loop.optimizer, State(self.loop.step, round(self.loop.seconds, 3))
        )
        self._saved = time.monotonic()

    def _finish(self, interrupted: bool) -> Finished:
        model = self.loop.recipe.model.eval()
        codes, kl = _codes_and_kl(self.loop)
        save_codes(self.out, codes, kl)
        save_model(self.out, model)
        summary = self._summary(interrupted)
        _append(self.out / METRICS, summary)
        write_card(self.out, self.config, summary, self.images)
        codec = codec_of(model.requires_grad_(False), self.config, self.out.name, self.loop.device, codes, kl)
        return Finished(codec, summary, interrupted)

    def _summary(self, interrupted: bool) -> Record:
        seconds = max(self.loop.seconds, 1e-9)
        cuda = self.loop.device.startswith("cuda")
        return {
            "split": "summary",
            "step": self.loop.step,
            "steps": self.loop.steps,
            "interrupted": interrupted,
            "seconds": round(seconds, 2),
            "images_per_second": round(
                self.loop.step * min(self.config.train.batch, len(self.loop.pixels)) / seconds, 1
            ),
            "parameters": sum(p.numel() for p in self.loop.recipe.model.parameters()),
            "peak_memory_mb": round(torch.cuda.max_memory_allocated() / 1e6 if cuda else peak_memory_mb()),
            "pictures": len(self.images),
            "training_pictures": len(self.loop.pixels),
            "skipped": len(self.images.skipped),
            "precision": self.loop.precision,
            "device": self.loop.device,
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
        }

    def _codec(self) -> Codec:
        return codec_of(self.loop.recipe.model, self.config, self.out.name, self.loop.device)


def check_folder(out: Path, config: RunConfig, resume: bool, overwrite: bool) -> None:
    """Refuse a directory that must not or cannot be written, before any work is done; nothing in it is touched."""
    if resume:
        _same(read_config(out), config)
    elif (out / CONFIG).exists():
        if not overwrite:
            raise LatentdialError(f"{out} holds a run already: use --resume, --overwrite or another --out")
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise LatentdialError(f"{out} exists and is no run: choose another --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LatentdialError(f"cannot write to {out} ({error.strerror}): choose another --out") from None
    if not os.access(out, os.W_OK):
        raise LatentdialError(f"cannot write to {out} (permission denied): choose another --out")


def start_folder(out: Path, config: RunConfig, resume: bool) -> None:
    """Write the configuration; a run that is overwritten goes only now, when its pictures are known to be there."""
    if not resume and (out / CONFIG).exists():
        shutil.rmtree(out)
        out.mkdir()
    (out / CONFIG).write_text(config.to_json(), encoding="utf-8")


def _same(saved: RunConfig, wanted: RunConfig) -> None:
    """A resumed run may train longer and write checkpoints differently; all else must be as it was."""
    free = {"epochs", "steps", "checkpoint", "device", "memory"}
    for room in ("model", "geometry", "data", "train", "augment"):
        before, now = asdict(getattr(saved, room)), asdict(getattr(wanted, room))
        for name in before:
            if before[name] != now[name] and name not in free:
                raise LatentdialError(
                    f"cannot resume: {name} was {before[name]!r} and is now {now[name]!r}; "
                    "give it as it was, or use another --out"
                )


@torch.inference_mode()
def _codes_and_kl(loop: Loop) -> tuple[np.ndarray, np.ndarray | None]:
    """Posterior means of the training pictures (at most MAX_CODES) and the mean KL of every dimension."""
    model = loop.recipe.model
    means, kls = [], []
    for start in range(0, min(MAX_CODES, len(loop.pixels)), CHUNK):
        chunk = loop.pixels[start : min(start + CHUNK, MAX_CODES)]
        posterior = model.posterior(model.scale(chunk))
        means.append(posterior.mean.cpu())
        if model.prior is not None and posterior.log_variance is not None:
            kls.append(model.prior.kl(posterior.mean, posterior.log_variance).cpu())
    return torch.cat(means).numpy(), torch.cat(kls).mean(0).numpy() if kls else None


@contextmanager
def _interruptible() -> Iterator:
    """Yields a function that says whether Ctrl-C was pressed; a second Ctrl-C quits at once."""
    pressed = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield pressed.is_set
        return
    before = signal.getsignal(signal.SIGINT)

    def press(_number, _frame) -> None:
        pressed.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, press)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, before)


def _append(path: Path, record: Record) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")


def _keep_metrics_until(path: Path, step: int) -> None:
    """Drop records written after the checkpoint, which will be written again."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    kept = [line for line in lines if line.endswith("\n") and _belongs(json.loads(line), step)]
    unfinished = path.with_suffix(".part")
    unfinished.write_text("".join(kept), encoding="utf-8")
    os.replace(unfinished, path)


def _belongs(record: Record, step: int) -> bool:
    return record["split"] != "summary" and int(record["step"]) <= step


def _pick(kind, settings: dict):
    """Build a settings class from its share of `settings`, taking it out."""
    names = kind.__dataclass_fields__.keys() & settings.keys()
    return kind(**{name: settings.pop(name) for name in names})
