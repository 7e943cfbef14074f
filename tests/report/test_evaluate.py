"""`latentdial evaluate`: its figures, its forms, and what it says when something is missing."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import latentdial
from latentdial import LatentdialError
from latentdial.cli import main
from latentdial.features import FeatureNet
from latentdial.report import evaluate as module
from latentdial.report.evaluate import cached, evaluate
from latentdial.report.evaluation import PCA, REAL
from latentdial.report.pca_codec import fit_pca


@pytest.fixture(scope="module")
def run(tiny_runs, discs_file, tmp_path_factory) -> Path:
    """The tiny VAE with priors fitted to its codes."""
    folder = tmp_path_factory.mktemp("evaluate") / "vae"
    shutil.copytree(tiny_runs["fcn-vae"], folder)
    assert main(["fit-prior", str(folder), "--kind", "mixture"]) == 0
    return folder


@pytest.fixture(scope="module")
def found(run, discs_file):
    return evaluate(run, str(discs_file), features="pixels-pca", samples=8)


def figures(found) -> dict:
    return found.as_dict()["figures"]


def test_every_figure_of_reconstruction_stands_beside_pca(found, run):
    pair = {"vae", PCA}
    for key in ("mse", "psnr", "mse_1", "mse_4", "frechet", "kid", "moved_by_flip"):
        assert pair <= figures(found)[key].keys(), key
    priors = {f"samples: {kind}" for kind in ("model", "gaussian", "mixture")}
    assert priors == {name for name in found.columns if name.startswith("samples")}
    for key in ("frechet", "kid", "precision", "recall", "density", "coverage", "nearest", "copies"):
        assert figures(found)[key].keys() == {REAL, *pair, *priors}
    assert found.features == "FD-pixels-pca"


def test_reconstruction_is_what_the_codec_gives(found, run, discs):
    codec = latentdial.load(run)
    error = np.square((codec.reconstruct(discs).astype(float) - discs) / 255).mean()
    assert figures(found)["mse"]["vae"] == pytest.approx(error, rel=1e-3)
    for count in (1, 2, 4):
        coordinates = codec.canonical.coordinates(codec.encode(discs))
        coordinates[:, count:] = 0
        kept = np.square((codec.decode(codec.canonical.codes(coordinates)).astype(float) - discs) / 255).mean()
        assert figures(found)[f"mse_{count}"]["vae"] == pytest.approx(kept, rel=1e-3)
    assert figures(found)["mse_1"]["vae"] > figures(found)["mse_4"]["vae"] > 0.8 * error
    assert figures(found)["mse_1"][PCA] > figures(found)["mse_4"][PCA]


def test_no_more_coordinates_are_kept_than_codes_have(run, discs_file, monkeypatch):
    codec = latentdial.load(run)
    few = replace(codec, training_codes=codec.codes[:4], fitted=None, stored_canonical=None)
    monkeypatch.setattr(module, "load", lambda *_: few)
    found = evaluate(run, str(discs_file), features="pixels-pca", samples=1)
    assert [key for key in figures(found) if key.startswith("mse_")] == ["mse_1", "mse_2"]


def test_likelihood_is_between_the_elbo_and_what_is_possible(found):
    nll, elbo = figures(found)["nll"]["vae"], figures(found)["elbo"]["vae"]
    assert nll <= -elbo + 1e-6
    assert figures(found)["bits_per_dim"]["vae"] == pytest.approx(nll / (16 * 16 * 3) / np.log(2))
    assert 0 < figures(found)["bits_per_dim"][PCA] < 10


def test_reconstructions_are_nearer_to_real_pictures_than_noise(run, discs_file, monkeypatch):
    noise = np.random.default_rng(0).integers(0, 256, (48, 16, 16, 3)).astype(np.uint8)
    monkeypatch.setattr(latentdial.Codec, "sample", lambda self, n, seed=0, temperature=1.0, prior="auto": noise[:n])
    distances = figures(evaluate(run, str(discs_file), features="pixels-pca", samples=1))["frechet"]
    assert distances[REAL] < distances["vae"] < distances["samples: model"]


def test_an_autoencoder_has_no_likelihood_and_every_set_of_features_a_name(tiny_runs, discs_file):
    found = evaluate(tiny_runs["fcn-ae"], str(discs_file), features="own")
    assert "nll" not in figures(found)
    assert found.features == "FD-own"
    assert any("fit-prior" in note for note in found.notes)
    other = evaluate(tiny_runs["fcn-ae"], str(discs_file), features=str(tiny_runs["fcn-vae"]))
    assert other.features == "FD-fcn-vae"


def test_the_forms(run, discs_file, found, tmp_path, capsys):
    for kind in ("html", "json", "csv"):
        out = tmp_path / f"new.{kind}"
        arguments = [str(run), str(discs_file), "--features", "pixels-pca", "--samples", "2", "--out", str(out)]
        assert main(["evaluate", *arguments]) == 0
    assert "reconstruction: PSNR" in capsys.readouterr().out
    assert json.loads((tmp_path / "new.json").read_text())["figures"]["mse"] == figures(found)["mse"]
    rows = {row["figure"]: row for row in csv.DictReader((tmp_path / "new.csv").read_text().splitlines())}
    assert float(rows["psnr"]["vae"]) == figures(found)["psnr"]["vae"]
    assert rows["psnr"][REAL] == ""
    page = (tmp_path / "new.html").read_text()
    assert page.count("http") == page.count("http-equiv") == 1
    assert page.count("<img") == 3 * module.SHOWN + 2 * module.NEIGHBOURS
    pandas = pytest.importorskip("pandas")
    frame = found.to_frame()
    assert isinstance(frame, pandas.DataFrame)
    assert frame.loc["psnr", "vae"] == figures(found)["psnr"]["vae"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--features", "inception"], "no features 'inception'"),
        (["--out", "figures.pdf"], "ending in .html"),
        (["-n", "1"], "from 2 to"),
        (["nowhere"], "nowhere"),
    ],
)
def test_what_cannot_be_measured_is_told_in_one_line(run, arguments, reason, capsys):
    assert main(["evaluate", str(run), *arguments]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("latentdial evaluate: ")
    assert reason in error


def test_a_run_whose_pictures_are_gone_is_measured_on_what_is_given(run, discs_file, tmp_path):
    alone = tmp_path / "alone"
    shutil.copytree(run, alone)
    config = json.loads((alone / "config.json").read_text())
    config["data"]["source"] = str(tmp_path / "gone.npy")
    (alone / "config.json").write_text(json.dumps(config))
    with pytest.raises(LatentdialError, match="gone"):
        evaluate(alone, features="pixels-pca")
    found = evaluate(alone, str(discs_file), features="pixels-pca", samples=1)
    assert (found.test, found.reference) == (24, 24)
    assert "stands in" in found.notes[0]


def test_pca_gives_the_likelihood_of_its_gaussian():
    rng = np.random.default_rng(0)
    pictures = (128 + 20 * rng.standard_normal((400, 12)) @ rng.standard_normal((12, 12)) / 3).clip(0, 255)
    pictures = pictures.astype(np.uint8).reshape(400, 2, 2, 3)
    pca = fit_pca(pictures, 4)
    covariance = pca.axes.T @ np.diag(pca.variances - pca.left) @ pca.axes + pca.left * np.eye(12)
    from scipy.stats import multivariate_normal

    known = multivariate_normal(pca.mean, covariance).logpdf(pictures.reshape(400, -1))
    assert np.allclose(pca.log_likelihood(pictures), known, rtol=1e-4)
    assert fit_pca(pictures[:3], 9).encode(pictures).shape == (400, 2)
    fewer, fresh = pca.first(2), fit_pca(pictures, 2)
    assert fewer.left == pytest.approx(fresh.left, rel=1e-3)
    assert fewer.likelihood(pictures).log_px == pytest.approx(fresh.likelihood(pictures).log_px, rel=1e-3)
    assert pca.first(9).left == pytest.approx(pca.left)


def test_features_of_real_pictures_are_kept(tmp_path, monkeypatch, discs):
    monkeypatch.setenv("LATENTDIAL_CACHE", str(tmp_path / "cache"))
    calls = []

    def features(pictures):
        calls.append(len(pictures))
        return pictures.reshape(len(pictures), -1)[:, :7].astype(np.float32)

    net = FeatureNet("FD-EfficientNetLite0", features)
    first = cached(net, discs)
    assert np.array_equal(cached(net, discs), first)
    assert calls == [48]
    cached(net, discs[:20])
    (path,) = (tmp_path / "cache" / "features").glob("*-48-*")
    path.write_bytes(b"broken")
    assert np.array_equal(cached(net, discs), first)
    assert calls == [48, 20, 48]


def test_pca_claims_no_likelihood_of_few_pictures():
    """Ten components of 20 pictures leave nine directions, which vary less than those that were kept."""
    rng = np.random.default_rng(0)
    pictures = rng.integers(100, 156, (60, 4, 4, 3)).astype(np.uint8)
    assert fit_pca(pictures[:21], 10).unlikely == ""
    told = fit_pca(pictures[:20], 10).unlikely
    assert told.startswith("20 training pictures leave PCA with 10 numbers too little")
    assert told.endswith("that takes more than 20")
    assert fit_pca(pictures[:20], 12).first(4).unlikely == ""


def test_the_noise_of_pca_is_what_its_components_leave_of_the_same_pictures():
    """Down to one direction, in which the sum of all variances and theirs must have the same denominator."""
    rng = np.random.default_rng(0)
    pictures = rng.integers(100, 156, (6, 4, 4, 3)).astype(np.uint8)
    spectrum = np.linalg.svd(pictures.reshape(6, -1) - pictures.reshape(6, -1).mean(0), compute_uv=False) ** 2 / 6
    pca = fit_pca(pictures, 4)
    assert pca.variances == pytest.approx(spectrum[:4], rel=1e-3)
    assert pca.left == pytest.approx(spectrum[4] / 44, rel=1e-2)


def test_pictures_that_components_say_all_of_are_as_likely_as_the_width_of_a_level():
    """Three levels of one grey: PCA leaves nothing but where in its level each of the other values lies."""
    pictures = np.repeat(np.array([90, 100, 110], np.uint8), 40).repeat(12).reshape(120, 2, 2, 3)
    found = fit_pca(pictures, 1).likelihood(pictures)
    one = 0.5 * np.log(2 * np.pi / 12) + 0.5  # nats of each of the eleven others
    along = 0.5 * np.log(2 * np.pi * 12 * 200 / 3) + 0.5
    assert found.nll == pytest.approx(11 * one + along, abs=0.3)


def test_the_figures_of_few_pictures_stand_beside_none_of_pca(run, tmp_path):
    rng = np.random.default_rng(0)
    few = tmp_path / "few.npy"
    np.save(few, rng.integers(0, 255, (20, 16, 16, 3)).astype(np.uint8))
    options = {"latent": 12, "widths": [8]}
    latentdial.train("fcn-vae", few, tmp_path / "run", options=options, size=16, steps=2, holdout=0.2)
    found = evaluate(tmp_path / "run", features="pixels-pca", samples=2)
    assert {key for key, of in figures(found).items() if PCA in of and key in ("nll", "bits_per_dim", "rate")} == set()
    assert figures(found)["mse"][PCA] > 0
    assert any("leave PCA with 12 numbers too little to estimate noise" in note for note in found.notes)
    compared = latentdial.compare([tmp_path / "run"], None)
    assert compared.pca_bits is None
    (row,) = (line for line in compared.lines() if "bits a value" in line["title"])
    assert row["values"][0] != "-"
    assert row["values"][1] == "-"
    assert any("12 numbers too little" in note for note in compared.notes)
    assert not any("likelier" in claim.text for claim in compared.claims())
