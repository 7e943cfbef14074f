"""One training run with its directory: going on, records, strips, checkpoints, and what is written at the end."""

from __future__ import annotations

import hashlib
import math
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from latentdial import storage
from latentdial.config import RunConfig
from latentdial.errors import LatentdialError
from latentdial.images import Check, ImageSet, Split
from latentdial.images.montage import montage, save_png
from latentdial.latent.codec import Codec
from latentdial.latent.sampling import MIN_HELD_OUT, fit_of, fit_prior
from latentdial.measure.cost import peak_memory_mb
from latentdial.model import Model
from latentdial.pixels import to_float, to_levels
from latentdial.priors.stored import save_priors
from latentdial.progress import Show
from latentdial.recipes import build
from latentdial.runs.card import card
from latentdial.runs.labelled import save_labelled, with_labelled_codes
from latentdial.runs.loading import codec_of, save_canonical, save_codes, save_model
from latentdial.runs.records import CARD, MAX_CODES, MODEL, SUMMARY
from latentdial.runs.thin import THIN, save_thin, thin_of
from latentdial.runs.unseen import unseen
from latentdial.training.best import best_of
from latentdial.training.checkpoint import Checkpoint, Checkpoints, State
from latentdial.training.feed import Feed
from latentdial.training.folder import SAMPLES, append, keep_until
from latentdial.training.loop import Loop, Record, WentBad, check_like, evaluating
from latentdial.training.material import Material
from latentdial.training.stopping import Reason, Stop
from latentdial.training.subspace import widen
from latentdial.training.trackers import Tracker, open_trackers
from latentdial.training.trouble import back_to_last_good, out_of_memory
from latentdial.training.verdict import YOUNG, Remedies, both_alike, collapse, forgiven, judge, remedies

STRIP = 8  # pictures in a sample strip
STRIPS = 5  # sample strips in a whole run
CHUNK = 256
LOOKED_AT = 32  # validation pictures at most, when a collapse is looked for
MAX_PRIOR = 512  # numbers of a code, above which fitting priors is left to `latentdial fit-prior`
JUDGED = 1_000  # pictures of training and test, at most, that the verdict is about
BAD_BATCH = "bad-batch.npy"


@dataclass(frozen=True)
class Finished:
    """What came of a session: the trained codec and its last record, or the reason why it stopped before its end.

    A session that was preempted has saved its state and nothing else, so it has no codec.
    """

    summary: Record
    codec: Codec | None = None
    stopped: Reason = ""
    leads: bool = True  # whether this process of torchrun's is the one that speaks


class Changed(Exception):
    """Picture files are no longer as they were when they were decoded; found out while training on them."""


@dataclass
class Session:
    """One training run with its directory: metrics, strips, checkpoints, and what is written at the end."""

    config: RunConfig
    out: Path
    material: Material
    images: ImageSet
    parts: Split
    show: Show
    stop: Stop
    check: Check = field(default_factory=Check)
    resuming: bool = False
    loop: Loop = field(init=False)
    _saved: float = field(default_factory=time.monotonic)
    _strips: int = 0
    _warned: bool = False
    _told: bool = False  # pictures apart, at a validation so far

    def __post_init__(self) -> None:
        self.world = self.material.world
        self.checkpoints = Checkpoints(self.out, self.world, self.config.train.shard)
        self.loop = self.material.loop(self.config.train, started=not (self.resuming and self.checkpoints.exist()))
        self.best = best_of(self.loop.recipe, self.config.train)
        self.trackers: list[Tracker] = []

    def run(self) -> Finished:
        if self.resuming:
            self._resume()
        self._announce()
        if self.world.leads:
            self.trackers = open_trackers(self.config.train.track, self.out, self.config)
        try:
            self.loop.run(self._report, self._stopping, self._after_step)
        except WentBad as bad:
            raise self._gone_bad(bad) from None
        except (torch.OutOfMemoryError, RuntimeError) as error:
            raise out_of_memory(error, self.loop) from None
        changed = self.check.changed or (self.stop.reason != "preempted" and self.check.wait())
        if changed:
            raise Changed(f"{changed} picture files have changed since they were decoded")
        reason = self._agreed_reason()
        stopped: Reason = "" if self.loop.step >= self.loop.steps else reason
        if stopped or self.config.train.checkpoint:
            self._checkpoint()
            self.checkpoints.wait()
        if stopped == "preempted":
            return Finished(self._summary(True), None, stopped, self.world.leads)
        finished = self._finish(stopped)
        if not (stopped or self.config.train.keep_checkpoint):
            self.checkpoints.remove()
        return finished

    # going on ---------------------------------------------------------------------------------------------------------

    def _resume(self) -> None:
        if not self.checkpoints.exist():
            self._begin_again()
            return
        found = self.checkpoints.load(self._room(), self._stand_at)
        for broken in found.broken:
            self.show.say(f"the checkpoint {broken} is broken: going on from the one of step {found.state.step}")
        self._check_same(found.state)
        state = found.state
        self.best.step, self.best.waited, self.best.weights = state.best_step, state.waited, found.best
        if state.best is not None:
            self.best.value = state.best
        self._strips, self._told = self._strips_due(), state.told
        if self.world.leads:
            keep_until(self.out, state.step)
        self.show.say(f"going on from step {state.step}")

    def _begin_again(self) -> None:
        """A run that was ended before its first checkpoint begins again; one that never wrote any cannot go on."""
        if not self.config.train.checkpoint or (self.out / MODEL).exists():
            raise LatentdialError(f"{self.out} has no checkpoint to resume from: train it anew with --overwrite")
        self.show.say(f"{self.out} has no checkpoint yet: beginning at step 0")
        if self.world.leads:
            keep_until(self.out, -1)

    def _room(self) -> int:
        """Bytes that a file of a checkpoint has at most: weights, their average and moments, with room to spare."""
        weights = self.loop.recipe.model.state_dict().values()
        return 16 * sum(tensor.numel() * tensor.element_size() for tensor in weights) + 2**24

    def _stand_at(self, found: Checkpoint) -> None:
        loop, state = self.loop, found.state
        loop.restore(found.tensors)
        if found.best is not None:
            check_like(found.best, loop.published())
        loop.step, loop.count, loop.seconds, loop.wall = state.step, state.count, state.seconds, state.wall
        if loop.settings.time_budget:
            loop.steps = state.steps

    def _check_same(self, state: State) -> None:
        if state.data != self._data_digest():
            raise LatentdialError(
                "cannot resume: the pictures are not those that the run was trained on; "
                "restore them, or train a new run in another --out"
            )
        now = self._setting()
        changed = [
            f"{name} {state.setting.get(name)} -> {now[name]}" for name in now if state.setting.get(name) != now[name]
        ]
        if changed:
            self.show.say(f"not bit-exact from here on, because of {', '.join(changed)}")

    def _setting(self) -> dict[str, str | int]:
        return {
            "torch": torch.__version__,
            "device": self.loop.device.split(":")[0],
            "precision": self.loop.precision,
            "threads": torch.get_num_threads(),
            "processes": self.world.size,
        }

    def _data_digest(self) -> str:
        """A digest of all training and validation pictures, from the hashes that the image set holds."""
        rows = np.concatenate([self.parts.train, self.parts.validation])
        return hashlib.blake2b(self.images.hashes[rows].tobytes(), digest_size=16).hexdigest()

    # while it runs ----------------------------------------------------------------------------------------------------

    def _announce(self) -> None:
        loop = self.loop
        parameters = self._parameters
        budget = self.config.train.time_budget
        together = f", {self.world.size} processes" if self.world.size > 1 else ""
        self.show.say(
            f"{self.config.model.recipe}: {parameters:,} parameters, {len(loop.pixels):,} training pictures "
            f"({len(self.parts.validation)} validation, {len(self.parts.test)} test), "
            f"{f'{budget} in' if budget else loop.steps} steps of {loop.batch}, "
            f"{loop.precision} on {loop.device}{together}"
        )
        if most := self.material.varied.most:
            trains = ", and trains on such (--crop 0 does not)" * (self.config.augment.crop is None)
            self.show.say(
                f"few pictures: the net starts from copies of them moved by up to {most} pixel{'s' * (most > 1)}, "
                f"which served those that were left out best{trains}"
            )

    def _report(self, record: Record) -> None:
        if self.world.leads:
            append(self.out, record)
            for tracker in self.trackers:
                tracker.log(record)
        terms = "  ".join(f"{name} {record[name]:z.1f}" for name in self._terms())
        if record["split"] == "train":
            note = f"{terms}  {record['images_per_second']:.0f} images/s"
            self.show.advance(f"training {self.out.name}", self.loop.step, self.loop.steps, note)
            self._strip()
            return
        if self.best.better(record):
            self.best.weights = self.loop.published()
        if self.loop.step == self.loop.steps:
            self.show.say(f"validation: {terms}")
        else:
            self._warn_of_collapse()

    def _warn_of_collapse(self) -> None:
        """Say once that reconstructions no longer tell anything of their pictures."""
        pictures = self.images.pixels[self.parts.validation[:LOOKED_AT]]
        model = self._published_model()
        if self._warned or not self.world.leads or len(pictures) < 4:
            return
        with evaluating(model):
            codec = codec_of(model, self.config, self.out.name, self.loop.device)
            made = codec.levels(codec.encode(pictures))
        found = "" if both_alike(pictures, made, self._by_pca(pictures)) else collapse(pictures, made)
        self._told = self._told or not found
        if said := forgiven(found, self._young):
            self._warned = True
            self.show.say(f"collapsed at step {self.loop.step}: {said}; {self._remedies.collapse}")

    @property
    def _young(self) -> bool:
        """Whether the net may still learn to tell pictures apart, which it never has."""
        return not self._told and self.loop.step < YOUNG

    @property
    def _remedies(self) -> Remedies:
        return remedies(self.loop.recipe, self.config.train, self.config.augment)

    def _agreed_reason(self) -> Reason:
        """Why training was told to stop, the same in all processes: a signal may have reached only some as yet."""
        reasons: tuple[Reason, ...] = ("preempted", "interrupted")
        told = [reason for reason in reasons if self.world.any(self.stop.reason == reason)]
        return told[0] if told else ""

    def _stopping(self) -> bool:
        patience = self.config.train.patience
        return self.stop() or self.check.changed > 0 or (patience > 0 and self.best.waited >= patience)

    def _after_step(self) -> None:
        minutes = self.config.train.checkpoint
        if not minutes:
            return
        due = time.monotonic() - self._saved > self.checkpoints.due_after(minutes)
        if self.world.size > 1:  # between two records, where no process has sums that the others do not know
            due = self.loop.count == 0 and due
        if self.checkpoints.sharded:
            due = self.world.any(due)
        if due:
            self._checkpoint()

    def _terms(self) -> list[str]:
        recipe = self.loop.recipe
        return ["loss", *(term.name for term in recipe.objective), *(rival.name for rival in recipe.rivals)]

    def _strips_due(self) -> int:
        return self.loop.step * STRIPS // max(self.loop.steps, 1)

    def _strip(self) -> None:
        """Validation pictures over their reconstructions, a few times in a run."""
        if self._strips_due() <= self._strips:
            return
        self._strips = self._strips_due()
        model = self._published_model()
        if not self.world.leads:
            return
        pictures = self.images.pixels[self.parts.validation[:STRIP]]
        with evaluating(model):
            codec = codec_of(model, self.config, self.out.name, self.loop.device)
            made = codec.levels(codec.encode(pictures))
        if np.isnan(made).any():  # the loop will say so
            return
        strip = montage([pictures, made.round().astype(np.uint8)])
        save_png(self.out / SAMPLES / f"step-{self.loop.step:06d}.png", strip, 2, self.out)
        for tracker in self.trackers:
            tracker.picture("samples", self.loop.step, strip)

    def _checkpoint(self) -> None:
        loop, best = self.loop, self.best
        state = State(
            step=loop.step,
            steps=loop.steps,
            count=loop.count,
            seconds=round(loop.seconds, 3),
            wall=round(loop.wall, 3),
            best=best.value if math.isfinite(best.value) else None,
            best_step=best.step,
            waited=best.waited,
            told=self._told,
            data=self._data_digest(),
            setting=self._setting(),
        )
        self.checkpoints.save(loop.state(), state, best.weights)
        self._saved = time.monotonic()

    # when something is wrong ------------------------------------------------------------------------------------------

    def _gone_bad(self, bad: WentBad) -> LatentdialError:
        """Keep the last finite weights and the batch that ended them; the error that says so."""
        self.show.say(f"{bad.term} became {bad.value}: looking for the step where it happened")
        self.loop = self.material.loop(self.config.train)
        self.checkpoints.wait()
        if self.checkpoints.exist():
            self.checkpoints.load(self._room(), self._stand_at)
        batch = back_to_last_good(self.loop, bad.step)
        if batch is None:
            return bad
        with storage.writing(self.out / BAD_BATCH) as file:
            np.save(file, batch.cpu().numpy())
        self._finish("interrupted")
        return LatentdialError(
            f"the term {bad.term} became {bad.value} after step {self.loop.step + 1}: "
            f"lower --lr (now {self.config.train.peak:g}), set --clip 1, or use --precision float32. "
            f"{self.out} holds the last finite weights, and the pictures of that step are in {self.out / BAD_BATCH}"
        )

    # at the end -------------------------------------------------------------------------------------------------------

    def _published_model(self) -> Model:
        """The model with the weights that are published, whole and on its own."""
        if not self.config.train.shard:
            return self.loop.recipe.model if self.loop.average is None else self.loop.average
        model = build(self.config.model, self.config.geometry.shape).model
        model.load_state_dict(self.loop.published())
        return model.to(self.loop.device)

    def _finish(self, stopped: Reason) -> Finished:
        model = self._published_model()
        step = self.loop.step
        if self.best.weights is not None and self.best.step != step:
            model.load_state_dict(self.best.weights)
            step = self.best.step
            name = f"the validation {self.config.train.monitor}"
            self.show.say(f"{name} was best after step {step:,} of {self.loop.step:,}: these weights are published")
        model.eval().requires_grad_(False)
        thin = thin_of(model)
        widen(model)
        bare = codec_of(model, self.config, self.out.name, self.loop.device, thin=thin)
        summary = self._summary(bool(stopped)) | {"published_step": step} | self._verdict(bare)
        codes, kl = _codes_and_kl(thin or model, self.loop.pixels)
        held_out, lost = unseen(bare, self.images, self.parts) if self.world.leads else (None, None)
        if self.world.leads:
            if np.isfinite(codes).all():
                save_codes(self.out, codes, kl, held_out, lost)
            storage.remove(self.out / THIN)
            save_model(self.out, model, self.config.geometry.shape)
            if thin is not None:
                save_thin(self.out, thin)
            storage.write(self.out / CARD, card(self.config, summary, self.out.name, str(self.out)))
            storage.write_json(self.out / SUMMARY, summary)
            for tracker in self.trackers:
                tracker.finish(summary)
        codec = replace(bare, training_codes=codes, kl=kl, address=str(self.out))
        codec = replace(codec, held_out=held_out, held_out_losses=lost)
        if self.world.leads and self.config.model.labels:
            codec = with_labelled_codes(codec, self.images, self.parts.train)
            save_labelled(self.out, codec)
        if self.world.leads and np.isfinite(codes).all():
            save_canonical(self.out, codec.canonical)
            codec = codec if stopped or not self.config.train.priors else self._with_priors(codec)
        return Finished(summary, codec, stopped, self.world.leads)

    def _with_priors(self, codec: Codec) -> Codec:
        """Priors fitted to the codes and kept, where there are enough validation pictures to judge them on."""
        rows = self.parts.validation[:JUDGED]
        if codec.quantiser is not None:
            self.show.say(f"to draw new pictures of its words: {codec.command('fit-prior')}")
            return codec
        if len(rows) < MIN_HELD_OUT or codec.latent > MAX_PRIOR:
            return codec
        fitted = fit_prior(codec, codec.encode(self.images.pixels[rows]), progress=self.show.advance)
        save_priors(self.out, fitted, codec.codes)
        codec = replace(codec, fitted=fitted)
        if said := fit_of(codec).sentence(str(self.out)):
            self.show.say(said)
        return codec

    def _verdict(self, codec: Codec) -> Record:
        """How the codec does on unseen pictures, beside PCA."""
        if not self.world.leads:
            return {}
        few = np.linspace(0, len(self.parts.train) - 1, min(len(self.parts.train), JUDGED)).astype(int)
        train, test = (self.images.pixels[rows] for rows in (self.parts.train[few], self.parts.test[:JUDGED]))
        found = judge(
            lambda pixels: codec.levels(codec.encode(pixels)),
            self._by_pca,
            train,
            test,
            len(self.material.principal.variances),
            self._young,
            self._remedies,
        )
        return found.as_dict()

    def _by_pca(self, pixels: np.ndarray) -> np.ndarray:
        """Reconstructions of uint8 pictures (N, H, W, C) by the principal components, in levels of 255."""
        principal, scale = self.material.principal, self.material.plain.likelihood.range
        x = to_float(torch.from_numpy(pixels).to(principal.mean.device), scale)
        return to_levels(principal.restore(principal.project(x)).view_as(x), scale).cpu().numpy()

    @property
    def _parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.material.plain.parameters())

    def _summary(self, interrupted: bool) -> Record:
        loop = self.loop
        seconds = max(loop.seconds, 1e-9)
        cuda = loop.device.startswith("cuda")
        return {
            "step": loop.step,
            "steps": loop.steps,
            "interrupted": interrupted,
            "seconds": round(seconds, 2),
            "images_per_second": round(loop.step * min(loop.batch, len(loop.pixels)) / seconds, 1),
            "parameters": self._parameters,
            "peak_memory_mb": round(torch.cuda.max_memory_allocated() / 1e6 if cuda else peak_memory_mb()),
            "pictures": len(self.images),
            "training_pictures": len(loop.pixels),
            "skipped": len(self.images.skipped),
            "processes": self.world.size,
            "precision": loop.precision,
            "device": loop.device,
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
        }


@torch.inference_mode()
def _codes_and_kl(model: Model, pixels: Feed) -> tuple[np.ndarray, np.ndarray | None]:
    """Posterior means of the training pictures (at most MAX_CODES) and the mean KL of every dimension."""
    means, kls = [], []
    for start in range(0, min(MAX_CODES, len(pixels)), CHUNK):
        chunk = pixels[start : min(start + CHUNK, MAX_CODES)]
        codes, kl = model.codes_and_kl(model.scale(chunk))
        means.append(codes.cpu())
        if kl is not None:
            kls.append(kl.cpu())
    return torch.cat(means).numpy(), torch.cat(kls).mean(0).numpy() if kls else None
