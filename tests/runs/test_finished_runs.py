"""What is left of a run that has ended well, and what `latentdial clean` takes away."""

from __future__ import annotations

import json

import pytest
from filelock import FileLock

import latentdial
from latentdial import LatentdialError
from latentdial.cli import main
from latentdial.progress import Show
from latentdial.runs.records import LOCK

SMALL = {"size": 16, "batch": 16, "options": {"latent": 4, "widths": [8]}}


class Heard(Show):
    def __init__(self):
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def train(data, out, steps=20, **settings):
    return latentdial.train("fcn-ae", data, out, steps=steps, **SMALL, **settings)


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_that_ended_well_holds_no_checkpoints(discs_file, tmp_path):
    train(discs_file, tmp_path / "run")
    assert not (tmp_path / "run" / "checkpoint").exists()
    assert not [path for path in (tmp_path / "run").iterdir() if path.name.endswith(".part")]


def test_with_nothing_left_to_do_resume_is_quick_and_changes_nothing(discs_file, tmp_path):
    """So that a job that is put back into the queue can always be started with --resume."""
    out, show = tmp_path / "run", Heard()
    trained = train(discs_file, out)
    before = files(out)
    codec = train(discs_file, out, resume=True, show=show)
    assert "nothing is left to do" in show.lines[0]
    assert (codec.codes == trained.codes).all()
    assert files(out) == before


def test_more_epochs_say_what_to_do_and_change_nothing(discs_file, tmp_path):
    out = tmp_path / "run"
    train(discs_file, out)
    before = files(out)
    with pytest.raises(LatentdialError, match="--keep-checkpoint"):
        train(discs_file, out, 30, resume=True)
    assert files(out) == before


def test_a_run_that_keeps_its_checkpoints_goes_on(discs_file, tmp_path):
    out = tmp_path / "run"
    train(discs_file, out, keep_checkpoint=True)
    train(discs_file, out, 30, resume=True)
    assert json.loads((out / "summary.json").read_text())["step"] == 30
    assert not (out / "checkpoint").exists()


def test_clean_says_and_then_removes_what_finished_runs_do_not_need(discs_file, tmp_path, capsys):
    finished, stopped, busy = (tmp_path / name for name in ("finished", "stopped", "busy"))
    for out in (finished, stopped, busy):
        train(discs_file, out, keep_checkpoint=True)
    (stopped / "summary.json").unlink()
    (stopped / ".model.safetensors.0123456789abcdef.part").write_bytes(b"x" * 100_000)
    (tmp_path / "mine").write_text("no run")
    before = files(tmp_path)
    with FileLock(busy / LOCK):
        assert main(["clean", str(tmp_path)]) == 0
        said = capsys.readouterr().out
        assert "checkpoints of a finished run" in said
        assert "nothing was removed yet" in said
        assert files(tmp_path) == before
        assert main(["clean", str(tmp_path), "--yes", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
    assert {one["path"].rsplit("/", 1)[0] for one in found["found"]} == {str(finished), str(stopped)}
    assert found["bytes"] > 100_000
    gone = before.keys() - files(tmp_path).keys()
    assert all(name.startswith("finished/checkpoint/") or name.endswith(".part") for name in gone)
    assert len(gone) >= 3
    assert main(["clean", str(stopped)]) == 0
    assert "nothing" in capsys.readouterr().out
    latentdial.load(finished)
