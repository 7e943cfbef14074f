"""What is said of a run when its training has ended."""

from __future__ import annotations

import json

import numpy as np
import pytest

import latentdial
from latentdial.config import ModelSettings, TrainSettings
from latentdial.recipes import build
from latentdial.training.verdict import Verdict, collapse, forgiven, judge, remedy


def test_a_codec_is_judged_beside_pca():
    rng = np.random.default_rng(0)
    train, test = rng.integers(60, 200, (2, 40, 4, 4, 1)).astype(np.uint8)
    found = judge(lambda pixels: pixels + 5.1, lambda pixels: pixels + 10.2, train, test, 3)
    assert (found.test_mse, found.pca_mse) == (pytest.approx(0.0004), pytest.approx(0.0016))
    assert "34.0 dB PSNR, 0.25 times the squared error of PCA with 3 numbers (28.0 dB)" in found.sentence()
    assert found.as_dict()["collapsed"] == ""


def test_a_net_that_knows_its_pictures_by_heart_is_told_so():
    said = Verdict(0.02, 17.0, 0.005, 0.01, 20.0, 8).sentence()
    assert "with 0.25 times their error" in said
    assert "--flip" in said
    assert "--flip" not in Verdict(0.009, 20.5, 0.005, 0.01, 20.0, 8).sentence()


def test_collapse_is_seen_and_good_codecs_are_not_called_so():
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (20, 4, 4, 3)).astype(float)
    assert collapse(pictures, np.broadcast_to(pictures.mean(0), pictures.shape)) == "all reconstructions are alike"
    assert "black or white" in collapse(pictures, np.where(pictures > 128, 255.0, 0.0))
    assert not collapse(pictures, 0.5 * pictures + 64)
    assert not forgiven("all reconstructions are alike", young=True)
    assert forgiven("all reconstructions are alike", young=False)
    assert forgiven(collapse(pictures, np.where(pictures > 128, 255.0, 0.0)), young=True)
    assert not collapse(np.where(pictures > 128, 255.0, 0.0), np.where(pictures > 128, 255.0, 0.0))
    assert not collapse(np.full((5, 2, 2, 1), 9.0), np.full((5, 2, 2, 1), 9.0))


@pytest.mark.parametrize(
    ("recipe", "settings", "said"),
    [
        ("fcn-ae", {"start": "random"}, "use --start pca or a lower --lr"),
        ("fcn-ae", {}, "use a lower --lr"),
        ("fcn-vae", {"start": "random"}, "use --start pca or a lower --lr or --kl-schedule linear"),
        ("fcn-vae", {"kl_schedule": "linear"}, "use a lower --lr"),
        ("vq-vae", {"start": "random"}, "use a lower --lr"),
        ("logistic-vae", {"start": "random"}, "use a lower --lr or --kl-schedule linear"),
    ],
)
def test_the_remedy_of_a_collapse_is_what_the_recipe_can_do_and_was_not_told_to(recipe, settings, said):
    net = build(ModelSettings(recipe), (3, 16, 16))
    assert remedy(net, TrainSettings(**settings)) == said


@pytest.mark.parametrize(
    ("test", "train", "pca", "told"),
    [(0.03, 0.02, 0.025, True), (0.0299, 0.02, 0.025, False), (0.03, 0.02, 0.03, False), (0.03, 0.0, 0.02, True)],
)
def test_by_heart_is_half_as_wrong_again_and_worse_than_pca(test, train, pca, told):
    assert ("those it was trained on" in Verdict(test, 15.0, train, pca, 16.0, 8).sentence()) == told


def test_a_verdict_is_kept_to_six_digits_and_a_perfect_pca_divides_nothing():
    one = Verdict(0.0123456789, 19.0, 0.01, 0.0, 99.0, 8)
    kept = one.as_dict()
    assert kept["test_mse"] == 0.012346
    assert (kept["numbers"], kept["verdict"]) == (8, one.sentence())
    assert one.sentence().startswith("unseen pictures come back at 19.0 dB PSNR, 12345678900.00 times")
    assert "; use this" in Verdict(1.0, 0, 1.0, 1.0, 0, 8, "all of it", "use this").sentence()


def test_pictures_are_alike_below_a_fiftieth_of_their_variance():
    """Of values 110 and 120 the variance is 25."""
    pictures = np.array([110.0, 120])[:, None, None, None]
    assert not collapse(pictures, 115 + 0.1415 * (pictures - 115))
    assert collapse(pictures, 115 + 0.1413 * (pictures - 115)) == "all reconstructions are alike"
    values = np.arange(100.0).reshape(2, 50, 1, 1)
    assert collapse(values, np.full((2, 50, 1, 1), 70.0)) == "all reconstructions are alike"


def test_more_than_half_of_the_values_are_black_or_white():
    grey = np.linspace(100, 150, 8).reshape(2, 4, 1, 1)
    half = np.array([0, 255, 0.9, 254.1, 9, 10, 11, 12.0]).reshape(2, 4, 1, 1)
    assert not collapse(grey, half)
    more = half.copy()
    more[0, 3] = more[1, 0] = 254.5
    assert collapse(grey, more) == "62% of all values are black or white, 0% in the pictures"
    edges = np.array([1, 254, 1, 254, 254, 1, 254, 1.0]).reshape(2, 4, 1, 1)
    assert not collapse(grey, edges)
    assert not collapse(half, more)


def test_a_codec_is_held_against_what_it_was_trained_on(discs):
    found = judge(lambda some: some.astype(float), lambda some: some + 1.0, discs[:9], discs[9:12], 3, remedy="do")
    assert (found.test_mse, found.train_mse, found.numbers, found.remedy) == (0, 0, 3, "do")
    assert found.pca_mse == pytest.approx(1 / 255**2)
    still = judge(lambda some: np.full(some.shape, 99.0), lambda some: some, discs[:9], discs[9:12], 3)
    assert still.collapsed == "all reconstructions are alike"
    assert still.train_mse != still.test_mse
    assert not judge(
        lambda some: np.full(some.shape, 99.0), lambda some: some, discs[:9], discs[9:12], 3, True
    ).collapsed


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

    monkeypatch.setattr("latentdial.training.session.YOUNG", 15)
    length = "" if "epochs" in options else "--steps 12"
    data = f"train fcn-ae {discs_file} --out {tmp_path / 'run'} --size 16 --holdout 0.5 --batch 16 {length}"
    assert main(f"{data} --set widths=32 --latent 4 {options}".split()) == 0
    assert ("collapsed" in capsys.readouterr().err) == collapsed
    said = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert bool(said["collapsed"]) == (collapsed and "random" in options)  # else the start is published
    assert said["verdict"].startswith("collapsed: ") == bool(said["collapsed"])
    assert ("alike as yet: train for longer, or use" in said["verdict"]) != collapsed


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
