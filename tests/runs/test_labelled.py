"""Codes that were told their labels, as a file of a run."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

import latentdial
from latentdial import LatentdialError
from latentdial.runs.labelled import NAME, read_labelled


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder, out = tmp_path_factory.mktemp("pictures"), tmp_path_factory.mktemp("runs") / "labels"
    rng = np.random.default_rng(0)
    for i in range(40):
        (folder / "ab"[i % 2]).mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(folder / "ab"[i % 2] / f"{i}.png")
    options = {"latent": 3, "channels": [4]}
    latentdial.train("conditional-vae", folder, out, options=options, size=8, steps=2, priors=False)
    return out


def test_they_come_back_as_they_were_written(run):
    codec = latentdial.load(run)
    codes, labels = read_labelled(run, 3, 2)
    assert codes.shape == (len(codec.codes), 3)
    assert sorted(set(labels.tolist())) == [0, 1]
    assert np.array_equal(codec.labelled_codes, codes)
    assert np.array_equal(codec.labels, labels)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"labels": np.full(3, 2)}, "labels that the run does not know"),
        ({"labels": np.full(3, -1)}, "labels that the run does not know"),
        ({"labels": np.zeros(3, np.float32)}, NAME),
        ({"codes": np.zeros((3, 4), np.float32)}, NAME),
        ({"codes": np.full((3, 3), np.nan, np.float32)}, NAME),
        ({"labels": np.zeros(0, np.int64), "codes": np.zeros((0, 3), np.float32)}, "must hold 1 to 10000 codes"),
        ({"more": np.zeros(1, np.float32)}, NAME),
    ],
)
def test_what_does_not_fit_its_run_is_refused(run, tmp_path, change, said):
    broken = shutil.copytree(run, tmp_path / "run")
    good = {"codes": np.zeros((3, 3), np.float32), "labels": np.array([0, 1, 1])}
    save_file(good, broken / NAME)
    assert len(latentdial.load(broken).labels) == 3
    save_file(good | change, broken / NAME)
    with pytest.raises(LatentdialError, match=said):
        latentdial.load(broken)


def test_a_run_without_them_works_as_one_that_knows_no_pictures_of_a_label(run, tmp_path):
    bare = shutil.copytree(run, tmp_path / "run")
    (bare / NAME).unlink()
    codec = latentdial.load(bare)
    assert codec.labels is None
    assert np.array_equal(codec.given("a").codes, codec.codes)
    assert load_file(run / NAME).keys() == {"codes", "labels"}
