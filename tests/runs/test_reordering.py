"""Runs whose own dimensions are in order: the same pictures, for every net that has linear layers next to its code."""

from dataclasses import replace

import numpy as np
import pytest

import latentdial
from latentdial.cli import main
from latentdial.errors import LatentdialError
from latentdial.runs.loading import load
from latentdial.runs.records import MODEL
from latentdial.runs.reordering import _fold, reorder
from latentdial.training import train

OPTIONS = {
    "fcn-ae": {"widths": [32]},
    "conv-ae": {"channels": [4, 8]},
    "res-ae": {"width": 8, "blocks": [1, 1]},
    "pca": {},
}


@pytest.mark.parametrize("recipe", OPTIONS)
def test_the_same_pictures_with_the_dimensions_in_order(recipe, discs_file, discs, tmp_path):
    run, options = tmp_path / "run", {"latent": 5} | OPTIONS[recipe]
    train(recipe, discs_file, run, options=options, size=16, batch=16, **({} if recipe == "pca" else {"steps": 30}))
    before, after = load(run), reorder(run, tmp_path / "new")
    assert after.levels(after.encode(discs)) == pytest.approx(before.levels(before.encode(discs)), abs=0.02)
    count = len(before.canonical.steps)
    expected = before.canonical.coordinates(before.encode(discs))
    assert after.encode(discs)[:, :count] == pytest.approx(expected, abs=5e-3)
    assert after.codes.mean(0)[:count] == pytest.approx(np.zeros(count), abs=1e-3)
    assert np.cov(after.codes[:, :count].T, bias=True) == pytest.approx(np.eye(count), abs=1e-3)
    raw = {row.name: row.effect for row in latentdial.dimensions(after, raw=True).rows}
    for row in latentdial.dimensions(before).rows:
        assert raw[row.name[1:]] == pytest.approx(row.effect, rel=0.02, abs=0.01)
    assert after.config.origin == f"reordered from {before.name}"
    assert "reordered" in (tmp_path / "new" / "README.md").read_text().lower()


def test_codes_of_lower_rank_keep_their_pictures_too(discs_file, discs, tmp_path):
    run = tmp_path / "run"
    train("fcn-ae", discs_file, run, options={"latent": 60, "widths": [32]}, size=16, steps=20, batch=16)
    before, after = load(run), reorder(run, tmp_path / "new")
    assert len(before.canonical.steps) < 60  # fewer training pictures than dimensions
    noise = np.random.default_rng(0).integers(0, 256, discs.shape, np.uint8)  # codes unlike the training codes
    assert after.levels(after.encode(noise)) == pytest.approx(before.levels(before.encode(noise)), abs=0.05)


def test_a_variational_run_says_why_not(tiny_runs, tmp_path):
    with pytest.raises(LatentdialError, match=r"has a prior over its code.*and its posterior not diagonal: .*c0"):
        reorder(tiny_runs["fcn-vae"], tmp_path / "new")
    assert not (tmp_path / "new").exists()
    plain = load(tiny_runs["fcn-ae"])  # as of a WAE: a prior, and codes that are points
    with pytest.raises(LatentdialError, match="prior over its code, which would be another: its canonical"):
        _fold(replace(plain, prior=plain.sample), plain.canonical)


def test_the_command_makes_a_run_and_overwrites_none(tiny_runs, tmp_path, capsys):
    out = str(tmp_path / "new")
    assert main(["reorder", str(tiny_runs["fcn-ae"]), "--out", out]) == 0
    assert "in order of what they do" in capsys.readouterr().out
    assert main(["dimensions", out, "--raw"]) == 0
    weights = (tmp_path / "new" / MODEL).read_bytes()
    assert main(["reorder", str(tiny_runs["fcn-ae"]), "--out", out]) == 1
    assert "exists already" in capsys.readouterr().err
    assert (tmp_path / "new" / MODEL).read_bytes() == weights
