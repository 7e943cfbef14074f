"""Nothing that ends training loses work: kills, signals, full disks, broken checkpoints, numbers that go bad."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import latentdial
from latentdial import LatentdialError, storage
from latentdial.cli import main
from latentdial.machine.world import World
from latentdial.progress import Show
from latentdial.training.checkpoint import Checkpoints, State
from latentdial.training.folder import locked
from latentdial.training.stopping import listening
from latentdial.training.verdict import ALL_ALIKE
from processes import Started, start

SMALL = ["--size", "16", "--latent", "4", "--set", "widths=24", "--batch", "16"]
OFTEN = ["--checkpoint", "0.0001", "--keep-checkpoint", "true"]


class Heard(Show):
    """Keeps what was said."""

    def __init__(self):
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def trained(discs_file, out, *more: str) -> Started:
    return start("train", "fcn-vae", discs_file, "--out", out, *SMALL, *more)


def wait_for(condition, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def steps_in(out: Path) -> list[str]:
    return sorted(path.name for path in (out / "checkpoint").glob("step-*"))


def go_on(discs_file, out, steps: int, show: Show | None = None, **settings):
    settings = {"size": 16, "batch": 16, "checkpoint": 0.0001, "keep_checkpoint": True, "steps": steps, **settings}
    options = {"latent": 4, "widths": 24}
    return latentdial.train("fcn-vae", discs_file, out, options=options, resume=True, show=show, **settings)


class EndedBySignal(Show):
    """Sends this process a signal as soon as the run has two checkpoints."""

    def __init__(self, out: Path):
        self.out = out

    def advance(self, what: str, done: int, total: int, note: str = "") -> None:
        if done > 50 and len(steps_in(self.out)) == 2:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture
def half(discs_file, tmp_path) -> Path:
    """A run that was ended by a signal somewhere in its middle, with two checkpoints."""
    out = tmp_path / "half"
    with pytest.raises(LatentdialError, match="stopped by a signal"):
        go_on(discs_file, out, 5_000, EndedBySignal(out))
    return out


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_run_that_is_killed_again_and_again_ends_byte_for_byte_as_one_that_was_not(discs_file, tmp_path, precision):
    """Row 45: kill -9 at random moments, sampling noise, augmentation and an average of the weights."""
    vary = ["--steps", "1500", "--ema", "0.99", "--flip", "true", "--noise", "2", "--precision", precision, *OFTEN]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert trained(discs_file, whole, *vary).wait() == 0
    rng = random.Random(7)
    kills = 0
    while True:
        process = trained(discs_file, killed, *vary, "--resume")
        wait_for(lambda: steps_in(killed) or (killed / "summary.json").exists() or process.poll() is not None)  # noqa: B023
        time.sleep(rng.uniform(0, 0.6))
        if kills < 5:
            kills += process.poll() is None
            process.kill()
        if process.wait() == 0:
            break
    assert kills >= 3
    for name in ("model.safetensors", "metrics.jsonl", "codes.safetensors"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes(), name
    last = Checkpoints(killed).load()
    assert last.state.step == 1500
    expected = Checkpoints(whole).load()
    assert all(torch.equal(tensor, last.tensors[name]) for name, tensor in expected.tensors.items())
    assert {p.name for p in (killed / "samples").iterdir()} == {p.name for p in (whole / "samples").iterdir()}


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1"])
def test_preemption_saves_and_says_so_by_its_exit_code(discs_file, tmp_path, name):
    """Row 46."""
    out = tmp_path / "run"
    process = trained(discs_file, out, "--steps", "200000", "--checkpoint", "60")
    wait_for(lambda: (out / "metrics.jsonl").exists() and '"split": "train"' in (out / "metrics.jsonl").read_text())
    process.send_signal(getattr(signal, name))
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 75
    assert "--resume" in said
    step = Checkpoints(out).load().state.step
    assert step > 0
    heard = Heard()
    codec = go_on(discs_file, out, step + 5, heard)
    assert f"going on from step {step}" in heard.lines
    assert codec.latent == 4


@pytest.fixture
def _ctrl_c_raises():
    """As on a terminal: a process that a script starts in the background would ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_ctrl_c_raises")
def test_ctrl_c_asks_and_the_second_quits_at_once():
    """Row 47; a whole run that is interrupted once is tested with the command line."""
    with listening() as stop:
        assert not stop()
        os.kill(os.getpid(), signal.SIGINT)
        assert stop()
        assert stop.reason == "interrupted"
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_full_disk_is_an_error_and_the_last_good_checkpoint_stays(discs_file, tmp_path):
    """Row 48: files may not grow beyond a limit that the second, larger checkpoint passes."""
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save({"model.a": torch.zeros(1000)}, State(1), None)
    checkpoints.wait()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        checkpoints.save({"model.a": torch.zeros(100_000)}, State(2), None)
        with pytest.raises(LatentdialError, match="free some space"):
            checkpoints.wait()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert steps_in(tmp_path) == ["step-00000001"]
    assert not list((tmp_path / "checkpoint").glob(".tmp-*"))
    assert Checkpoints(tmp_path).load().state.step == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_directory_is_refused_before_training(discs_file, tmp_path):
    """Row 49."""
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(LatentdialError, match="another --out"):
        latentdial.train("fcn-ae", discs_file, tmp_path / "closed" / "run", size=16, steps=1)


def test_a_place_where_no_directory_can_be_made_is_refused_before_training(discs_file, tmp_path):
    """Row 49, also for root."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(LatentdialError, match="another --out"):
        latentdial.train("fcn-ae", discs_file, tmp_path / "file" / "run", size=16, steps=1)
    assert (tmp_path / "file").read_text() == "in the way"


def failing(at: str, monkeypatch) -> None:
    def fail(*_args, **_more):
        raise LatentdialError("no such luck: try again")

    monkeypatch.setattr(at, fail)


@pytest.mark.parametrize(
    "at",
    [
        "latentdial.training.start.open_at_once",
        "latentdial.training.start.gather_material",
        "latentdial.training.session.open_trackers",
        "latentdial.training.loop.Loop.train_step",
    ],
)
def test_a_start_that_fails_leaves_nothing_in_the_way_of_the_next(at, discs_file, tmp_path, monkeypatch):
    out, settings = tmp_path / "runs" / "one", {"options": {"latent": 4, "widths": [8]}, "size": 16, "steps": 1}
    with monkeypatch.context() as patched:
        failing(at, patched)
        with pytest.raises(LatentdialError, match="no such luck"):
            latentdial.train("fcn-ae", discs_file, out, **settings)
        assert list(tmp_path.iterdir()) == []
        out.mkdir(parents=True)  # a folder of the user's stays, and so does what is beside it
        (tmp_path / "runs" / "notes.txt").write_text("mine")
        with pytest.raises(LatentdialError, match="no such luck"):
            latentdial.train("fcn-ae", discs_file, out, **settings)
        assert list(out.iterdir()) == []
    latentdial.train("fcn-ae", discs_file, out, **settings)
    assert (tmp_path / "runs" / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("how", [{}, {"overwrite": True}, {"resume": True}])
def test_a_start_that_fails_leaves_a_run_that_was_there(how, discs_file, half, monkeypatch):
    before = {path: path.read_bytes() for path in half.rglob("*") if path.is_file()}
    failing("latentdial.training.start.gather_material", monkeypatch)
    with pytest.raises(LatentdialError):
        latentdial.train("fcn-vae", discs_file, half, **how, size=16)
    assert {path: path.read_bytes() for path in half.rglob("*") if path.is_file()} == before


def spoil(folder: Path) -> None:
    path = folder / "state-0.safetensors"
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)


def test_a_broken_checkpoint_gives_way_to_the_one_before_it(discs_file, half):
    """Row 50: one flipped bit; said loudly."""
    before, newest = steps_in(half)
    spoil(half / "checkpoint" / newest)
    heard = Heard()
    step = int(newest.removeprefix("step-"))
    go_on(discs_file, half, step + 3, heard)
    assert any(newest in line and "broken" in line for line in heard.lines)
    assert f"going on from step {int(before.removeprefix('step-'))}" in heard.lines


@pytest.mark.parametrize("older", [False, True])
def test_whether_a_net_has_told_pictures_apart_goes_on_with_it(discs_file, tmp_path, monkeypatch, older):
    """A young net whose pictures are all alike has collapsed only if they were not before; older states do not say."""
    out, heard = tmp_path / "run", Heard()
    with pytest.raises(LatentdialError, match="stopped by a signal"):
        go_on(discs_file, out, 300, EndedBySignal(out), holdout=0.5)
    assert Checkpoints(out).load().state.told
    for path in out.glob("checkpoint/*/state.json") if older else ():
        record = json.loads(path.read_text())
        record["state"].pop("told")
        path.write_text(json.dumps(record))
    monkeypatch.setattr("latentdial.training.session.collapse", lambda pictures, made: ALL_ALIKE)
    go_on(discs_file, out, 300, heard, holdout=0.5)
    assert any("collapsed at step" in line for line in heard.lines) is not older


def test_broken_checkpoints_only_are_an_error_and_never_a_silent_restart(discs_file, half):
    """Row 51."""
    for name in steps_in(half):
        spoil(half / "checkpoint" / name)
    with pytest.raises(LatentdialError, match=r"no checkpoint .* can be read"):
        go_on(discs_file, half, 10)


def test_half_written_checkpoints_are_swept_away(half):
    leftover = half / "checkpoint" / ".tmp-7"
    leftover.mkdir()
    (leftover / "state-0.safetensors").write_bytes(b"half")
    assert Checkpoints(half).load().state.step > 7
    assert not leftover.exists()


def test_another_model_is_refused_with_the_difference(discs_file, half):
    """Row 52: another recipe, and the same with another width; the run stays as it was."""
    before = (half / "config.json").read_bytes()
    with pytest.raises(LatentdialError, match="recipe was 'fcn-vae' and is now 'fcn-ae'"):
        latentdial.train("fcn-ae", discs_file, half, resume=True, size=16, batch=16, steps=5)
    with pytest.raises(LatentdialError, match=r"options was .*24.* and is now .*25"):
        latentdial.train(
            "fcn-vae", discs_file, half, options={"latent": 4, "widths": 25}, resume=True, size=16, batch=16, steps=5
        )
    assert (half / "config.json").read_bytes() == before


def test_shares_of_another_number_of_processes_are_refused(tmp_path):
    """Row 57, with --shard: two processes left a share each, and three come back."""
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save({"model.a": torch.zeros(3)}, State(1), None)
    checkpoints.wait()
    folder = tmp_path / "checkpoint" / "step-00000001"
    record = json.loads((folder / "state.json").read_text())
    shutil.copy(folder / "state-0.safetensors", folder / "state-1.safetensors")
    record["digests"]["state-1.safetensors"] = record["digests"]["state-0.safetensors"]
    (folder / "state.json").write_text(json.dumps(record))
    assert Checkpoints(tmp_path, World(1, 2), True).load().state.step == 1
    with pytest.raises(LatentdialError, match="written by 2 processes with --shard: go on with as many"):
        Checkpoints(tmp_path, World(0, 3), True).load()


def test_other_settings_and_other_pictures_are_refused_with_the_difference(discs_file, half, discs, tmp_path):
    """Rows 52 and 53."""
    with pytest.raises(LatentdialError, match=r"lr was 0\.0005 and is now 0\.01"):
        go_on(discs_file, half, 10, lr=0.01)
    config = json.loads((half / "config.json").read_text())
    other = tmp_path / "other.npy"
    np.save(other, 255 - discs)
    config["data"]["source"] = str(other)
    (half / "config.json").write_text(json.dumps(config))
    with pytest.raises(LatentdialError, match="the pictures are not those"):
        go_on(other, half, 10)


def test_numbers_that_go_bad_leave_the_last_finite_weights_and_the_batch(discs_file, tmp_path, discs):
    """Row 54: the step is found again exactly, whatever the distance of the records."""
    out = tmp_path / "run"
    with pytest.raises(LatentdialError, match=r"became .* after step \d+: lower --lr") as raised:
        latentdial.train(
            "fcn-vae",
            discs_file,
            out,
            options={"latent": 4, "widths": [24]},
            size=16,
            steps=400,
            batch=16,
            lr=5.0,
            optimizer="sgd",
            checkpoint=0.0001,
        )
    assert "bad-batch.npy" in str(raised.value)
    batch = np.load(out / "bad-batch.npy")
    assert batch.dtype == np.uint8
    assert all((picture == discs).all((1, 2, 3)).any() for picture in batch)
    codec = latentdial.load(out)
    assert np.isfinite(codec.codes).all()
    assert json.loads((out / "summary.json").read_text())["interrupted"]


def test_out_of_memory_names_a_batch_to_try(discs_file, tmp_path, monkeypatch):
    """Row 55, with a real allocation that fails."""
    from latentdial.training.loop import Loop

    monkeypatch.setattr(Loop, "evaluate", lambda self, pixels: torch.empty(2**60))
    with pytest.raises(LatentdialError, match=r"out of memory with --batch 16 on \w+: try --batch 8"):
        latentdial.train("fcn-ae", discs_file, tmp_path / "run", size=16, steps=2, batch=16)


def test_only_one_process_trains_in_a_directory(discs_file, tmp_path):
    """Row 59."""
    out = tmp_path / "run"
    out.mkdir()
    with locked(out), pytest.raises(LatentdialError, match="another process trains"):
        latentdial.train("fcn-ae", discs_file, out, size=16, steps=2)
    latentdial.train("fcn-ae", discs_file, out, size=16, steps=2)


def test_fewer_pictures_than_a_batch_is_fine(discs_file, tmp_path, capsys):
    """Row 60."""
    args = ["train", "fcn-ae", str(discs_file), "--out", str(tmp_path / "run"), "--size", "16", "--steps", "2"]
    assert main([*args, "--batch", "5000", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["step"] == 2


def test_resume_where_there_is_nothing_yet_begins(discs_file, tmp_path):
    """So that a job that is put back into the queue has one command for its first and its later starts."""
    out = tmp_path / "run"
    go_on(discs_file, out, 20)
    assert json.loads((out / "summary.json").read_text())["step"] == 20


def test_a_run_that_never_wrote_checkpoints_cannot_go_on(discs_file, tmp_path):
    out = tmp_path / "run"
    go_on(discs_file, out, 20, checkpoint=0)
    with pytest.raises(LatentdialError, match="no checkpoint to resume from"):
        go_on(discs_file, out, 30, checkpoint=0)


def test_writing_takes_at_most_two_percent_of_the_time(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.cost = 6.0
    assert checkpoints.due_after(5) == pytest.approx(300)
    assert checkpoints.due_after(1) == pytest.approx(300)
    assert checkpoints.due_after(10) == pytest.approx(600)


def test_training_goes_on_while_a_checkpoint_is_written(tmp_path, monkeypatch):
    """The copy that is written is of the moment of the call, whatever happens to the weights meanwhile."""
    opened = threading.Event()
    save = storage.save_tensors
    monkeypatch.setattr(storage, "save_tensors", lambda *args, **kw: (opened.wait(10), save(*args, **kw)))
    checkpoints, weights = Checkpoints(tmp_path), torch.zeros(8)
    checkpoints.save({"model.a": weights}, State(1), None)
    weights.add_(1)
    assert steps_in(tmp_path) == []
    opened.set()
    checkpoints.wait()
    assert Checkpoints(tmp_path).load().tensors["model.a"].sum() == 0


def test_the_best_weights_are_kept_apart_from_the_last(discs_file, tmp_path):
    out = tmp_path / "run"
    go_on(discs_file, out, 200, lr=0.02)
    found = Checkpoints(out).load()
    metrics = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    losses = {record["step"]: record["loss"] for record in metrics if record["split"] == "validation"}
    assert found.state.best == min(losses.values())
    assert losses[found.state.best_step] == found.state.best
    assert set(found.best or {}) == {name.removeprefix("model.") for name in found.tensors if name.startswith("model.")}
    shutil.rmtree(out)
