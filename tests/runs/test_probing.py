"""Weights that fit another net than the one that was trained are refused, and so are weights that were changed."""

from __future__ import annotations

import json
import shutil

import pytest
from safetensors.torch import load_file, save_file
from torch import nn

import latentdial
from latentdial import LatentdialError, storage
from latentdial.parts.likelihoods import Gaussian
from latentdial.runs.probing import NAME


@pytest.fixture
def run(tiny_runs, tmp_path):
    return shutil.copytree(tiny_runs["fcn-vae"], tmp_path / "run")


def keep(run, change=lambda state: None, probe=lambda text: text):
    """Write the weights anew, changed, beside what is kept of them."""
    path = run / "model.safetensors"
    state, kept = load_file(path), storage.tensor_metadata(path)[NAME]
    change(state)
    path.unlink()
    save_file(state, path, {NAME: probe(kept)})


def test_a_net_that_was_changed_since_is_refused(run, monkeypatch):
    """As a recipe whose activation is another in the next version: every name and shape of its weights fits."""
    latentdial.load(run)
    monkeypatch.setattr(nn.ReLU, "forward", lambda self, x: nn.functional.softplus(x))
    with pytest.raises(LatentdialError, match="another code than when they were written by version") as refusal:
        latentdial.load(run)
    assert "\n" not in str(refusal.value)


def test_another_decoder_is_refused_too(run, monkeypatch):
    monkeypatch.setattr(Gaussian, "mean", lambda self, output: output.clamp(-1, 1) ** 3)
    with pytest.raises(LatentdialError, match="another picture than when"):
        latentdial.load(run)


def test_weights_that_were_changed_are_refused_and_rounding_is_not(run):
    keep(run, lambda state: state["decoder.0.weight"].mul_(1 + 1e-4))
    latentdial.load(run)
    keep(run, lambda state: state["decoder.0.weight"].mul_(-1))
    with pytest.raises(LatentdialError, match="they were changed, or the net of this recipe was"):
        latentdial.load(run)


def test_runs_of_versions_that_kept_nothing_are_read(run):
    path = run / "model.safetensors"
    state = load_file(path)
    path.unlink()
    save_file(state, path)
    latentdial.load(run)


@pytest.mark.parametrize(
    "odd",
    [
        "[]",
        "{",
        "{}",
        '{"version": "1", "code": [], "picture": []}',
        '{"version": "1", "code": [null], "picture": [1]}',
        '{"version": "1", "code": "x", "picture": [1]}',
        '{"version": "1", "code": [1e400], "picture": [1]}',
    ],
)
def test_what_is_kept_is_checked(run, odd):
    keep(run, probe=lambda text: odd)
    with pytest.raises(LatentdialError, match="of a test picture") as refusal:
        latentdial.load(run)
    assert "\n" not in str(refusal.value)


def test_huge_numbers_are_refused_without_a_warning(run):
    keep(run, probe=lambda text: json.dumps({**json.loads(text), "code": [1.7e308] * len(json.loads(text)["code"])}))
    with pytest.raises(LatentdialError, match="another code"):
        latentdial.load(run)
