"""Thin outer layers: kept with the run, the same to rounding, and never in the place of what the run says."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import latentdial
from latentdial.errors import LatentdialError
from latentdial.layers import Lifted, Projected
from latentdial.runs.thin import THIN
from latentdial.training import train

OPTIONS = {"latent": 4, "widths": [40, 30]}
KEPT = {"subspace": 24, "keep_checkpoint": True}
LAYERS = [f"{layer}.{key}" for layer in ("decoder.4", "encoder.0") for key in ("basis", "bias", "offset", "weight")]


@pytest.fixture(scope="module")
def trained(discs_file, tmp_path_factory):
    run = tmp_path_factory.mktemp("thin") / "run"
    return run, train("fcn-vae", discs_file, run, options=OPTIONS, size=16, steps=30, batch=16, **KEPT)


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained[0], tmp_path / "run")


def test_a_run_that_learnt_in_components_keeps_them_beside_its_plain_weights(run, trained, discs):
    arrays = load_file(run / THIN)
    assert sorted(arrays) == LAYERS
    codec = latentdial.load(run)
    assert type(codec.thin.encoder[1]) is Projected
    assert type(codec.thin.decoder[4]) is Lifted
    assert {type(layer) for layer in (codec.model.encoder[1], codec.model.decoder[4])} == {torch.nn.Linear}
    plain = replace(codec, thin=None)
    codes = codec.encode(discs)
    assert np.allclose(codes, plain.encode(discs), atol=1e-5)
    assert not np.array_equal(codes, plain.encode(discs))  # thin ones are what is used
    assert np.abs(codec.levels(codes) - plain.levels(codes)).max() < 0.01
    assert not np.array_equal(codec.levels(codes), plain.levels(codes))
    assert np.array_equal(codes, trained[1].encode(discs))  # as it was when training ended
    assert np.array_equal(codec.codes, trained[1].codes)
    assert codec.thin.decoder[0].weight is codec.model.decoder[0].weight
    assert not any(p.requires_grad for p in codec.thin.parameters())
    assert not codec.thin.training


def test_components_may_be_twice_as_many_as_units(discs_file, tmp_path, discs):
    options = {"latent": 4, "widths": [40]}
    codec = train("fcn-ae", discs_file, tmp_path / "run", options=options, size=16, steps=2, batch=16, subspace=80)
    again = latentdial.load(tmp_path / "run")
    assert again.thin.encoder[1].basis.shape == (80, 768)
    assert np.array_equal(again.reconstruct(discs), codec.reconstruct(discs))


def test_a_run_works_without_them(run, discs):
    (run / THIN).unlink()
    codec = latentdial.load(run)
    assert codec.thin is None
    assert np.isfinite(codec.reconstruct(discs)).all()


def test_a_run_trained_anew_with_plain_layers_has_none(run, discs_file):
    train("fcn-vae", discs_file, run, options=OPTIONS, size=16, steps=2, batch=16, subspace=0, overwrite=True)
    assert not (run / THIN).exists()


def test_those_of_before_go_first_when_training_goes_on(run, discs_file, monkeypatch):
    monkeypatch.setattr("latentdial.training.session.save_thin", lambda *_: None)  # where a process may be killed
    train("fcn-vae", discs_file, run, options=OPTIONS, size=16, steps=32, batch=16, resume=True, **KEPT)
    assert not (run / THIN).exists()


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("encoder.0.weight", lambda w: w + 0.1, "encoder.0 does something else"),
        ("decoder.4.basis", lambda w: w.flip(1), "decoder.4 does something else"),
        ("decoder.4.offset", lambda w: w + 1, "decoder.4 does something else"),
        ("decoder.4.bias", lambda w: w[:-1], "decoder.4.bias"),
        ("encoder.0.basis", lambda w: w[:0], "components at most"),
        ("encoder.0.basis", lambda w: torch.zeros(769, 768), "encoder.0 has 768 components at most"),
        ("encoder.0.basis", lambda w: torch.zeros(768, 768), "encoder.0.basis|encoder.0.weight|encoder.0.offset"),
        ("encoder.0.bias", lambda w: w * torch.inf, "encoder.0.bias"),
    ],
)
def test_thin_layers_that_do_not_fit_are_refused(run, name, change, reason):
    arrays = load_file(run / THIN)
    save_file(arrays | {name: change(arrays[name]).contiguous()}, run / THIN)
    with pytest.raises(LatentdialError, match=f"{reason}.*remove it, the run works without"):
        latentdial.load(run)


def test_nets_without_outer_layers_take_none(run, discs_file, tmp_path):
    train("conv-ae", discs_file, tmp_path / "conv", options={"latent": 4, "channels": [4]}, size=16, steps=1)
    shutil.copy(run / THIN, tmp_path / "conv" / THIN)
    with pytest.raises(LatentdialError, match="its nets have no outer layers"):
        latentdial.load(tmp_path / "conv")
