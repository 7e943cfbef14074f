"""Searches repeat, go on where they were stopped, prune, and end with the best as a run."""

from __future__ import annotations

import json
import signal

import numpy as np
import pytest

from latentdial import LatentdialError, load
from latentdial.cli import main
from latentdial.config import make_config
from latentdial.progress import Show
from latentdial.tuning import searching
from latentdial.tuning.searching import Trial, tune
from latentdial.tuning.space import space_of

pytest.importorskip("optuna")


@pytest.fixture
def config(discs_file):
    given = {"size": 16, "epochs": 6, "start": "random"}
    return make_config("fcn-vae", str(discs_file), {"latent": 3, "widths": [16]}, given)


def test_spaces_come_from_the_signature():
    axes = {axis.name: axis for axis in space_of("beta-tcvae", {})}
    assert (axes["beta"].low, axes["beta"].high) == pytest.approx((0.6, 60))
    assert axes["net"].choices == ("conv", "fcn")
    assert {"lr", "batch", "weight_decay"} <= axes.keys()
    assert not {"latent", "ordered", "sharpness", "layers"} & axes.keys()
    layers = next(axis for axis in space_of("fcn-ae", {}, ["widths"]))
    assert [layers.value(scale) for scale in layers.choices] == [[1024, 256], [2048, 512], [4096, 1024]]
    (latent,) = space_of("fcn-ae", {}, ["latent"])
    assert (latent.low, latent.high) == (64, 256)
    assert "beta" not in [axis.name for axis in space_of("fcn-vae", {"beta": 2.0})]


@pytest.mark.parametrize(
    ("recipe", "fixed", "wanted", "reason"),
    [
        ("fcn-ae", {}, ["width"], "did you mean widths?"),
        ("fcn-vae", {"beta": 1.0}, ["beta"], "set and searched"),
        ("fcn-ae", {}, [], "nothing is left"),
    ],
)
def test_what_cannot_be_searched_is_said(recipe, fixed, wanted, reason):
    with pytest.raises(LatentdialError, match=reason.replace("?", r"\?")):
        space_of(recipe, fixed, wanted)


def without_times(found) -> list[dict]:
    return [{name: value for name, value in vars(trial).items() if name != "core_seconds"} for trial in found.trials]


def test_a_search_that_was_stopped_goes_on_as_if_it_had_not_been(config, tmp_path):
    whole = tune(config, tmp_path / "whole", trials=4, search=["lr", "beta"])
    tune(config, tmp_path / "parts", trials=2, search=["lr", "beta"])
    parts = tune(config, tmp_path / "parts", trials=4, search=["lr", "beta"])
    assert without_times(parts) == without_times(whole)
    assert len({trial.chosen["lr"] for trial in whole.trials}) == 4
    best = whole.ranked[0]
    assert best.value == min(trial.value for trial in whole.trials)
    codec = load(tmp_path / "whole" / "best")
    assert codec.config.train.lr == best.chosen["lr"]
    assert codec.config.model.options["beta"] == best.chosen["beta"]
    lines = (tmp_path / "whole" / "best" / "metrics.jsonl").read_text().splitlines()
    records = [record for record in map(json.loads, lines) if record["split"] == "validation"]
    assert min(record["nll"] + record["kl"] for record in records) == pytest.approx(best.value)
    head, rows = whole.table()
    assert head[:4] == ["trial", "validation bound", "lr", "beta"]
    assert rows[0][0] == str(best.number)


def test_a_trial_that_is_behind_is_pruned_and_one_that_breaks_is_told(config, tmp_path, monkeypatch):
    good = [Trial(n, {"lr": 1e-3}, "complete", [(place, -1e6) for place in range(21)]) for n in range(6)]
    monkeypatch.setattr(searching, "_begin", lambda *_: list(good))
    (tmp_path / "out").mkdir()
    found = tune(config, tmp_path / "out", trials=7, search=["lr"])
    assert found.trials[-1].state == "pruned"
    assert 0 < len(found.trials[-1].values) < 20
    share = found.trials[-1].values[-1][0] / 20
    assert 0.2 <= share < 0.5
    assert found.table()[1][-1][-2] == f"pruned at {share:.0%}"

    def breaks(*_args, **_more):
        raise searching.WentBad("nll", float("nan"), 3)

    monkeypatch.setattr(searching, "gather_material", breaks)
    monkeypatch.setattr(searching, "_begin", lambda *_: [])
    (tmp_path / "bad").mkdir()
    with pytest.raises(LatentdialError, match="no trial ended well"):
        tune(config, tmp_path / "bad", trials=1, search=["lr"])
    assert json.loads((tmp_path / "bad" / "trials.jsonl").read_text())["state"] == "failed"


class Interrupting(Show):
    """Presses Ctrl-C in the middle of a task."""

    def __init__(self, task: str) -> None:
        self.task = task

    def advance(self, what: str, done: int, total: int, note: str = "") -> None:
        if what == self.task and done > 3:
            self.task = ""
            signal.raise_signal(signal.SIGINT)


def test_ctrl_c_ends_a_search_and_the_same_search_goes_on(config, tmp_path, monkeypatch):
    """In the middle of a trial, and of the best one's training."""
    whole = tune(config, tmp_path / "whole", trials=2, search=["lr"])

    for where in ("trial 1", "training best"):
        found = tune(config, tmp_path / "parts", trials=2, search=["lr"], show=Interrupting(where))
        assert found.best is None
    found = tune(config, tmp_path / "parts", trials=2, search=["lr"])
    assert without_times(found) == without_times(whole)
    weights = [(tmp_path / name / "best" / "model.safetensors").read_bytes() for name in ("whole", "parts")]
    assert weights[0] == weights[1]


def test_the_command(discs_file, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["tune", "fcn-ae", str(discs_file), "--out", str(out), "--size", "16", "--latent", "3"]
    arguments += ["--set", "widths=16", "--epochs", "2", "--trials", "1", "--search", "lr"]
    assert main(arguments) == 0
    assert f"the best, trial 0, is trained in {out / 'best'}" in capsys.readouterr().out
    assert main([*arguments[:-1], "batch"]) == 1
    assert "other settings (search was lr and is batch)" in capsys.readouterr().err
    assert main([*arguments, "--fit", "pad"]) == 1
    assert "other settings (fit was crop and is pad)" in capsys.readouterr().err
    assert main([*arguments, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["searched"][0]["name"] == "lr"
    assert np.isfinite(record["trials"][0]["value"])
    (out / "trials.jsonl").write_text('{"number": 7}\n')
    assert main(arguments) == 1
    assert "damaged" in capsys.readouterr().err
    assert main(["tune", "fcn-ae", str(discs_file), "--out", str(tmp_path / "new"), "--by", "los", *arguments[5:]]) == 1
    assert "did you mean loss?" in capsys.readouterr().err
