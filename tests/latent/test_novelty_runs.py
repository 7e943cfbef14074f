"""Runs keep what is usual of their pictures, and edits tell what is not."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import latentdial
from latentdial.cli import main
from latentdial.measure.anomaly import root_of_squares
from latentdial.report.figures import edit_sheet
from latentdial.runs.loading import save_codes


@pytest.fixture(scope="module")
def run(discs, tmp_path_factory):
    """A run of 240 discs, 24 of them held out."""
    folder = tmp_path_factory.mktemp("novelty")
    rng = np.random.default_rng(0)
    many = np.concatenate([np.roll(discs, rng.integers(-2, 3, 2), (1, 2)) for _ in range(5)])
    np.save(folder / "discs.npy", many)
    latentdial.train("pca", folder / "discs.npy", folder / "run", options={"latent": 12}, size=16, holdout=0.2)
    return folder / "run"


def noise() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 255, (16, 16, 3), np.uint8)


def test_a_run_keeps_what_is_usual_and_an_edit_tells_what_is_not(run, discs):
    codec = latentdial.load(run)
    held = codec.held_out
    assert len(held) == len(codec.held_out_losses) == 24
    usual, odd = latentdial.edit(codec, [discs[0], noise()], "c0+=1")
    assert not usual.novelty.unlike
    assert len(usual.sentences()) == 1
    assert odd.novelty.unlike
    assert odd.sentences()[0].startswith("Note: this picture is unlike the training pictures, stranger than all 24")
    again = codec.levels(codec.encode(noise()))
    ratio = root_of_squares(noise()[None], again)[0] / np.median(codec.held_out_losses[:, 0])
    assert odd.novelty.lost == pytest.approx(ratio, rel=1e-4)
    assert edit_sheet(odd).tobytes() != edit_sheet(replace(odd, novelty=None)).tobytes()


def test_the_command_tells_it_in_words_and_in_json(run, tmp_path, capsys):
    picture = str(tmp_path / "noise.png")
    Image.fromarray(noise()).save(picture)
    assert main(["edit", str(run), picture, "c0+=1"]) == 0
    assert "unlike the training pictures" in capsys.readouterr().out
    assert main(["edit", str(run), picture, "c0+=1", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)["novelty"]
    assert said["unlike"]
    assert said["percentile"] == 100


def test_nothing_is_said_where_too_few_pictures_were_held_out(tiny_runs, discs):
    codec = latentdial.load(tiny_runs["fcn-ae"])
    assert codec.novelty is None
    assert latentdial.edit(codec, discs[0], "c0+=1").novelty is None
    assert codec.fit(discs).novelty is None


def test_a_run_from_before_finds_it_at_the_first_edit_or_says_why_not(run, discs, tmp_path, capsys):
    picture = tmp_path / "noise.png"
    Image.fromarray(noise()).save(picture)
    old, (pictures,) = shutil.copytree(run, tmp_path / "old"), run.parent.glob("*.npy")
    codec = latentdial.load(run)
    save_codes(old, codec.codes, codec.kl, codec.held_out)
    away = pictures.rename(pictures.with_suffix(".away"))
    try:
        assert main(["edit", str(old), str(picture), "c0+=1"]) == 0
    finally:
        away.rename(pictures)
    said = capsys.readouterr()
    assert "does not say which pictures are unlike" in said.err
    assert "unlike" not in said.out
    assert main(["edit", str(old), str(picture), "c0+=1"]) == 0
    assert "unlike the training pictures" in capsys.readouterr().out
    np.testing.assert_allclose(latentdial.load(old).held_out_losses, codec.held_out_losses, rtol=1e-5)
