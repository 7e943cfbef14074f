"""Several processes train as one: torchrun with gloo on one machine, the command that a user would type."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

import latentdial
from latentdial.machine.world import World
from latentdial.training.checkpoint import Checkpoints
from processes import Started, start

SMALL = ["--size", "16", "--latent", "4", "--set", "widths=24", "--batch", "15", "--device", "cpu"]
CURVE = ["--keep-checkpoint", "true", "--crop", "0", "--steps", "60", "--holdout", "0.3", "--precision", "float32"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "latentdial"]


def train(data: Path, out: Path, *more: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [*TORCHRUN, "train", "fcn-ae", str(data), "--out", str(out), *SMALL, *more],
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )


def metrics(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def alone(discs_file, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("alone") / "run"
    assert start("train", "fcn-ae", discs_file, "--out", out, *SMALL, *CURVE).wait() == 0
    return out


def test_every_picture_has_one_process_and_the_weights_make_the_global_mean():
    rows = torch.arange(7)
    shares = [World(rank, 3).share(rows) for rank in range(3)]
    assert sorted(torch.cat([mine for mine, _ in shares]).tolist()) == rows.tolist()
    assert sum(weight * mine.double().mean().item() for mine, weight in shares) / 3 == pytest.approx(3.0)
    assert World(2, 3).share(rows[:2])[1] == 0


@pytest.mark.parametrize("shard", ["false", "true"])
def test_two_processes_give_the_curve_of_one(discs_file, tmp_path, alone, shard):
    """The sums are rounded in another order, so the curves agree to a relative 1e-4; batches of 15 do not split evenly.

    There is one writer, one line for a person, and one safetensors file of whole weights, sharded or not.
    """
    out = tmp_path / "run"
    said = train(discs_file, out, *CURVE, "--shard", shard)
    assert said.stdout.count("trained") == 1
    ours, expected = metrics(out), metrics(alone)
    assert [(r["split"], r["step"]) for r in ours] == [(r["split"], r["step"]) for r in expected]
    np.testing.assert_allclose([r["nll"] for r in ours], [r["nll"] for r in expected], rtol=1e-4)
    codec, other = latentdial.load(out), latentdial.load(alone)
    np.testing.assert_allclose(codec.codes, other.codes, atol=2e-3)
    assert len(list((out / "checkpoint" / "step-00000060").glob("state-*"))) == (2 if shard == "true" else 1)


@pytest.mark.parametrize(("shard", "precision"), [("true", "float32"), ("true", "bf16"), ("false", "bf16")])
def test_two_processes_go_on_where_they_were(discs_file, tmp_path, shard, precision):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    more = ["--shard", shard, "--precision", precision, "--schedule", "constant", "--warmup", "5", "--ema", "0.9"]
    more += ["--keep-checkpoint", "true"]
    ended(two(discs_file, whole, *more, "--steps", "40"))
    ended(two(discs_file, parts, *more, "--steps", "20"))
    said = ended(two(discs_file, parts, *more, "--steps", "40", "--resume"))[0]
    assert "going on from step 20" in said
    assert precision in said
    assert (parts / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


@pytest.mark.parametrize(("name", "shard"), [("SIGTERM", "false"), ("SIGUSR1", "true")])
def test_a_signal_to_one_process_stops_all_and_the_run_goes_on_to_the_same_weights(discs_file, tmp_path, name, shard):
    """Row 46."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    more = ["--shard", shard, "--schedule", "constant", "--warmup", "5", "--keep-checkpoint", "true"]
    processes = two(discs_file, parts, *more, "--steps", "100000")
    wait_for_step(parts, processes)
    processes[1].send_signal(getattr(signal, name))
    ended(processes, 75)
    leader = World(0, 2)
    step = Checkpoints(parts, leader, shard == "true").load().state.step
    for out, resume in ((whole, []), (parts, ["--resume"])):
        said = ended(two(discs_file, out, *more, "--steps", str(step + 7), *resume))
    assert f"going on from step {step}" in said[0]
    for share in sorted((whole / "checkpoint" / f"step-{step + 7:08d}").glob("state-*.safetensors")):
        assert (parts / share.relative_to(whole)).read_bytes() == share.read_bytes()


def test_records_of_a_run_that_two_processes_went_on_with_are_the_same_bytes(discs_file, tmp_path):
    """Stopped between two records, when each process has sums of its own."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    more = ["--steps", "600", "--checkpoint", "60"]
    stopped = two(discs_file, parts, *more)
    while len(metrics(parts) if (parts / "metrics.jsonl").exists() else []) < 20:
        assert stopped[0].poll() is None
        time.sleep(0.01)
    stopped[0].send_signal(signal.SIGTERM)
    ended(stopped, 75)
    assert Checkpoints(parts, World(0, 2)).load().state.count > 0
    for out, resume in ((whole, []), (parts, ["--resume"])):
        ended(two(discs_file, out, *more, *resume))
    for name in ("metrics.jsonl", "model.safetensors"):
        assert (parts / name).read_bytes() == (whole / name).read_bytes(), name


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="reads the names of threads from Linux's /proc")
@pytest.mark.parametrize("shard", ["false", "true"])
def test_after_training_no_thread_of_the_group_is_left(discs_file, tmp_path, shard):
    """One that lets go of a tensor while Python is shut down aborts the process, whose exit status is lost."""
    tells = (
        "import sys, pathlib;"
        "sys.stderr.write(str([task.read_text() for task in pathlib.Path('/proc/self/task').glob('*/comm')]))"
    )
    for words in ended(two(discs_file, tmp_path / "run", "--steps", "20", "--shard", shard, and_then=tells)):
        assert "python" in words
        assert "gloo" not in words


def two(data: Path, out: Path, *more: str, and_then: str = "") -> list[Started]:
    """Two processes that train together, on a free port of this machine; torchrun would hide their exit statuses."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["train", "fcn-vae", data, "--out", out, *SMALL, *more]
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    return [start(*command, and_then=and_then, **place, RANK=str(rank), LOCAL_RANK=str(rank)) for rank in range(2)]


def ended(processes: list[Started], status: int = 0) -> list[str]:
    """What each said to standard error, once all have ended with this status."""
    said = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [status] * len(processes), said
    return said


def wait_for_step(out: Path, processes: list[Started]) -> None:
    """Until the first terms are recorded, while all processes live."""
    end = time.monotonic() + 120
    while not (out / "metrics.jsonl").exists():
        assert all(process.poll() is None for process in processes)
        assert time.monotonic() < end
        time.sleep(0.05)


def test_when_one_process_dies_all_end_and_the_run_goes_on(discs_file, tmp_path):
    """Row 56; and row 57: another number of processes goes on too, and is told that this is not bit-exact."""
    out = tmp_path / "run"
    more = ["--steps", "100000", "--checkpoint", "0.0001"]
    command = [*TORCHRUN, "train", "fcn-vae", str(discs_file), "--out", str(out), *SMALL, *more]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 120
    while not list((out / "checkpoint").glob("step-*")):
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.05)
    workers = psutil.Process(process.pid).children(recursive=True)
    second = next(w for w in workers if w.environ().get("RANK") == "1")
    os.kill(second.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert not any(worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE for worker in workers)
    step = Checkpoints(out).load().state.step
    more = ["--steps", str(step + 5), "--checkpoint", "0.0001", "--resume"]
    (said,) = ended([start("train", "fcn-vae", discs_file, "--out", out, *SMALL, *more)])
    assert "not bit-exact from here on, because of processes 2 -> 1" in said
