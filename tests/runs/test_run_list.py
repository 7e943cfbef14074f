"""The list of runs: settings and results, states, broken directories, and following one that trains."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time

import pytest
from filelock import FileLock

from latentdial import LatentdialError
from latentdial.cli import main
from latentdial.runs.listing import list_runs, watch_runs
from latentdial.runs.records import CODES, CONFIG, LOCK, METRICS, SUMMARY
from processes import start


@pytest.fixture
def folder(tiny_runs, tmp_path):
    for name, run in tiny_runs.items():
        shutil.copytree(run, tmp_path / "deep" / name)
    return tmp_path


def test_settings_and_results(folder):
    rows = {row.run: row for row in list_runs(folder)}
    row = rows["deep/fcn-vae"]
    assert (row.state, row.recipe, row.size, row.latent, row.batch, row.lr) == ("finished", "fcn-vae", 16, 6, 16, 3e-3)
    assert (row.step, row.steps) == (400, 400)
    assert {"loss", "nll", "kl"} <= row.validation.keys()
    assert row.seconds > 0
    assert row.images_per_second > 0
    losses = [one.validation["loss"] for one in list_runs(folder, "loss")]
    assert losses == sorted(losses)
    assert [one.run for one in list_runs(folder, "run")] == sorted(rows)
    with pytest.raises(LatentdialError, match="no run has a column"):
        list_runs(folder, "nothing")


def test_states(folder):
    run = folder / "deep" / "fcn-ae"
    summary = json.loads((run / SUMMARY).read_text())
    (run / SUMMARY).write_text(json.dumps(summary | {"interrupted": True}))
    assert list_runs(run)[0].state == "interrupted"
    (run / SUMMARY).unlink()
    assert list_runs(run)[0].state == "stopped"
    with FileLock(run / LOCK):
        assert list_runs(run)[0].state == "running"
        watch = watch_runs(run, every=0.01)
        assert next(watch)[0].state == "running"
    assert [rows[0].state for rows in watch] == ["stopped"]


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '{"format": 99}', '{"format": 1, "x": 1}'])
def test_a_broken_run_is_a_row(folder, text, capsys):
    (folder / "deep" / "fcn-ae" / "config.json").write_text(text)
    rows = {row.run: row for row in list_runs(folder)}
    assert rows["deep/fcn-ae"].state == "broken"
    assert "config.json" in rows["deep/fcn-ae"].reason
    assert rows["deep/fcn-vae"].state == "finished"
    assert main(["runs", str(folder)]) == 0
    assert "broken" in capsys.readouterr().out


def test_odd_figures_and_bytes_are_no_crash(folder):
    run = folder / "deep" / "fcn-ae"
    (run / SUMMARY).write_text('{"step": "x", "steps": [], "seconds": null, "precision": "\\u001b[31m"}')
    assert "\x1b" not in list_runs(run)[0].precision
    (run / METRICS).write_bytes(b"\xff\xfe\n")
    assert list_runs(run)[0].validation == {}


def test_command_for_machines(folder, capsys):
    assert main(["runs", str(folder), "--json"]) == 0
    assert {row["run"] for row in json.loads(capsys.readouterr().out)} == {"deep/fcn-ae", "deep/fcn-vae"}
    assert main(["runs", str(folder / "deep" / "fcn-ae" / "samples")]) == 1
    assert "no runs in" in capsys.readouterr().err


def test_watch_follows_a_run_from_another_process_to_its_end(discs_file, tmp_path):
    """As two people would: one trains, one watches from another terminal; the watch ends with the run."""
    small = ["--size", "16", "--latent", "4", "--set", "widths=24", "--steps", "200000", "--checkpoint", "0"]
    out = tmp_path / "run"
    trains = start("train", "fcn-ae", discs_file, "--out", out, *small)
    while not (out / METRICS).exists():
        assert trains.poll() is None
        time.sleep(0.05)
    command = [sys.executable, "-m", "latentdial", "runs", str(tmp_path), "--watch", "--json"]
    watches = subprocess.Popen(command, stdout=subprocess.PIPE)
    first, second = (json.loads(watches.stdout.readline()) for _ in range(2))
    assert (first["state"], second["state"]) == ("running", "running")
    assert first["step"] < second["step"] < second["steps"]
    trains.send_signal(signal.SIGTERM)
    trains.wait()
    said, _ = watches.communicate(timeout=60)
    assert json.loads(said.splitlines()[-1])["state"] == "stopped"
    assert watches.returncode == 0


def test_the_length_of_a_code_is_that_of_the_codes_or_else_of_the_settings(tiny_runs, tmp_path):
    """A code over a grid has more numbers than its setting `latent`, and fsq-ae has no such setting."""
    run = shutil.copytree(tiny_runs["fcn-ae"], tmp_path / "run")
    config = json.loads((run / CONFIG).read_text())
    config["model"] = {**config["model"], "recipe": "fsq-ae", "options": {}}
    (run / CONFIG).write_text(json.dumps(config))
    assert list_runs(run)[0].latent == 6
    (run / CODES).unlink()
    assert list_runs(run)[0].latent is None
    config["model"]["recipe"] = "conv-vae"
    (run / CONFIG).write_text(json.dumps(config))
    assert list_runs(run)[0].latent == 128
    config["model"]["options"] = {"latent": 9}
    (run / CONFIG).write_text(json.dumps(config))
    assert list_runs(run)[0].latent == 9
