"""Verdicts of trained runs: what is said, kept and published."""

from __future__ import annotations

import json

import numpy as np
import pytest

import latentdial


def test_training_ends_with_a_verdict_and_the_best_weights(tiny_runs):
    for run in tiny_runs.values():
        summary = json.loads((run / "summary.json").read_text())
        assert "times the squared error of PCA with 6 numbers" in summary["verdict"]
        records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        validation = {record["step"]: record["loss"] for record in records if record["split"] == "validation"}
        assert summary["published_step"] == min(validation, key=validation.__getitem__)


def test_a_collapse_is_said_while_it_trains(discs_file, tmp_path, capsys):
    """A plain start at a rate that saturates the picture."""
    from latentdial.cli import main

    data = f"train fcn-ae {discs_file} --out {tmp_path / 'run'} --size 16 --holdout 0.5 --batch 16 --steps 60"
    net = "--set widths=32 --latent 4 --start random --lr 3 --optimizer sgd --clip 100"
    assert main(f"{data} {net}".split()) == 0
    out = capsys.readouterr()
    assert "collapsed at step" in out.err
    assert "collapsed: " in out.out
    assert "--start pca" in out.out


@pytest.mark.parametrize(
    ("options", "collapsed"),
    [
        ("--start random --lr 1e-6", False),  # all pictures are one at first
        ("--start pca --optimizer adamw --weight-decay 20 --lr 0.05 --warmup 1", True),  # they were told apart before
        ("--start random --lr 1e-6 --epochs 9", True),  # for longer than nets are young
    ],
)
def test_a_net_that_is_only_young_has_not_collapsed(options, collapsed, discs_file, tmp_path, capsys, monkeypatch):
    from latentdial.cli import main

    if collapsed:  # else it is as young as nets may be
        monkeypatch.setattr("latentdial.training.session.YOUNG", 15)
    length = "" if "epochs" in options else "--steps 12"
    data = f"train fcn-ae {discs_file} --out {tmp_path / 'run'} --size 16 --holdout 0.5 --batch 16 {length}"
    assert main(f"{data} --set widths=32 --latent 4 {options}".split()) == 0
    assert ("collapsed" in capsys.readouterr().err) == collapsed
    said = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert bool(said["collapsed"]) == (collapsed and "random" in options)  # else the start is published
    assert said["verdict"].startswith("collapsed: ") == bool(said["collapsed"])
    assert ("alike as yet: train for longer, or use" in said["verdict"]) != collapsed


def test_a_net_of_pictures_of_noise_has_not_collapsed(tmp_path, capsys, monkeypatch):
    from latentdial.cli import main

    monkeypatch.setattr("latentdial.training.session.YOUNG", 0)
    np.save(tmp_path / "noise.npy", np.random.default_rng(0).integers(0, 256, (120, 16, 16, 3)).astype(np.uint8))
    data = f"train fcn-ae {tmp_path / 'noise.npy'} --out {tmp_path / 'run'} --size 16 --steps 30"
    assert main(f"{data} --set widths=32 --latent 4 --priors false".split()) == 0
    said = "".join(capsys.readouterr())
    assert "collapsed" not in said
    assert "and PCA's as well" in said
    assert "few pictures" not in said


def test_a_pca_run_is_a_run_like_any_other(discs_file, tmp_path, capsys):
    from latentdial.cli import main

    out = tmp_path / "pca"
    codec = latentdial.train("pca", discs_file, out, options={"latent": 5}, size=16)
    loaded = latentdial.load(out)
    np.testing.assert_array_equal(loaded.codes, codec.codes)
    assert json.loads((out / "summary.json").read_text())["step"] == 0
    assert main(["dimensions", str(out)]) == 0
    assert main(["sample", str(out), "-n", "4", "--out", str(tmp_path / "samples.png")]) == 0
    np.testing.assert_allclose(np.cov(codec.codes.T), np.eye(5), atol=0.05)


def test_training_fits_priors_where_it_can_judge_them(discs, tmp_path):
    source = tmp_path / "more.npy"
    np.save(source, np.concatenate([discs, discs[:, ::-1], discs[:, :, ::-1]]))
    settings = {"size": 16, "holdout": 0.3, "options": {"latent": 3, "widths": [16]}, "steps": 20}
    codec = latentdial.train("fcn-ae", source, tmp_path / "run", **settings)
    kept = latentdial.load(tmp_path / "run")
    assert kept.fitted.nats == codec.fitted.nats
    np.testing.assert_array_equal(kept.sample(3), codec.sample(3))
    assert latentdial.train("fcn-ae", source, tmp_path / "bare", priors=False, **settings).fitted is None
