"""What is said of a run when its training has ended."""

from __future__ import annotations

import numpy as np
import pytest

from latentdial.config import AugmentSettings, ModelSettings, TrainSettings
from latentdial.measure.reconstruction import Reconstruction
from latentdial.recipes import build
from latentdial.training.verdict import Remedies, Verdict, collapse, forgiven, judge, remedies

DO = Remedies("do", "learn")


def verdict(test: float, train: float, pca: float, **more) -> Verdict:
    """Of these squared errors, with unseen pictures at 19 dB and those of PCA at 20."""
    given = {"numbers": 8, "remedies": Remedies(by_heart="use --flip")} | more
    return Verdict(
        test=Reconstruction(test, 19.0), train=Reconstruction(train, 0.0), pca=Reconstruction(pca, 20.0), **given
    )


def test_a_codec_is_judged_beside_pca():
    rng = np.random.default_rng(0)
    train, test = rng.integers(60, 200, (2, 40, 4, 4, 1)).astype(np.uint8)
    found = judge(lambda pixels: pixels + 5.1, lambda pixels: pixels + 10.2, train, test, 3)
    assert (found.test.mse, found.pca.mse) == (pytest.approx(0.0004), pytest.approx(0.0016))
    assert "34.0 dB PSNR, 0.25 times the squared error of PCA with 3 numbers (28.0 dB)" in found.sentence()
    assert found.as_dict()["collapsed"] == ""


def test_where_pca_is_the_better_codec_that_is_said():
    better = "PCA with 8 numbers (20.0 dB), so that the recipe pca is the better one here"
    assert better in verdict(0.012, 0.012, 0.01).sentence()
    assert "1.20 times" in verdict(0.012, 0.012, 0.01).sentence()
    assert "better" not in verdict(0.01199, 0.012, 0.01).sentence()
    assert f"over 100 times the squared error of {better}" in verdict(1.0, 0.5, 0.01).sentence()
    assert "99.00 times" in verdict(0.99, 0.5, 0.01).sentence()


def test_a_net_that_knows_its_pictures_by_heart_is_told_so():
    said = verdict(0.02, 0.005, 0.01).sentence()
    assert "with 0.25 times their error" in said
    assert "--flip" in said
    assert "--flip" not in verdict(0.009, 0.005, 0.01).sentence()
    assert "--flip" not in verdict(0.010049, 0.0, 0.01).sentence()  # PCA itself, but for rounding


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
        ("conditional-vae", {"start": "random"}, "use --start pca or a lower --lr or --kl-schedule linear"),
    ],
)
def test_the_remedy_of_a_collapse_is_what_the_recipe_can_do_and_was_not_told_to(recipe, settings, said):
    labels = ("a", "b") if recipe == "conditional-vae" else ()
    net = build(ModelSettings(recipe, labels=labels), (3, 16, 16))
    assert remedies(net, TrainSettings(**settings), AugmentSettings()).collapse == said


@pytest.mark.parametrize(
    ("recipe", "varied", "said"),
    [
        ("fcn-ae", {}, "use --flip, fewer --epochs or more pictures"),
        ("fcn-ae", {"flip": True}, "use fewer --epochs or more pictures"),
        ("fcn-ae", {"flip": True, "crop": 0}, "use no --crop 0, fewer --epochs or more pictures"),
        ("pca", {"crop": 2}, "use --flip or more pictures"),
        ("pca", {"flip": True}, "use more pictures"),
    ],
)
def test_the_remedy_of_learning_by_heart_is_what_was_not_told_to(recipe, varied, said):
    found = remedies(build(ModelSettings(recipe), (3, 16, 16)), TrainSettings(), AugmentSettings(**varied))
    assert found.by_heart == said
    assert verdict(0.02, 0.005, 0.01, remedies=found).sentence().endswith(f"times their error: {said}")


@pytest.mark.parametrize(
    ("test", "train", "pca", "told"),
    [(0.03, 0.02, 0.025, True), (0.0299, 0.02, 0.025, False), (0.03, 0.02, 0.03, False), (0.03, 0.0, 0.02, True)],
)
def test_by_heart_is_half_as_wrong_again_and_worse_than_pca(test, train, pca, told):
    assert ("those it was trained on" in verdict(test, train, pca).sentence()) == told


def test_a_verdict_is_kept_to_six_digits_and_a_perfect_pca_divides_nothing():
    one = verdict(0.0123456789, 0.01, 0.0)
    kept = one.as_dict()
    assert kept["test_mse"] == 0.012346
    assert (kept["numbers"], kept["verdict"]) == (8, one.sentence())
    assert "PCA with 1 number (" in verdict(0.02, 0.02, 0.01, numbers=1).sentence()
    assert one.sentence().startswith("unseen pictures come back at 19.0 dB PSNR, over 100 times")
    assert "; use this" in verdict(1.0, 1.0, 1.0, collapsed="all of it", remedies=Remedies("use this")).sentence()


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
    found = judge(lambda some: some.astype(float), lambda some: some + 1.0, discs[:9], discs[9:12], 3, remedies=DO)
    assert (found.test.mse, found.train.mse, found.numbers, found.remedies) == (0, 0, 3, DO)
    assert found.pca.mse == pytest.approx(1 / 255**2)
    assert not found.as_yet


@pytest.mark.parametrize(
    ("tested", "said"), [(1, "1 unseen picture comes"), (19, "19 unseen pictures come"), (20, "unseen")]
)
def test_of_few_unseen_pictures_it_is_said_how_many_they_are(tested, said):
    assert verdict(0.02, 0.02, 0.01, tested=tested).sentence().startswith(said)


@pytest.mark.parametrize("young", [True, False])
def test_what_pca_does_not_tell_apart_either_is_no_collapse(young):
    noise = np.random.default_rng(0).integers(0, 256, (30, 4, 4, 1))
    grey, same = (lambda some: np.full(some.shape, 127.0)), (lambda some: some)
    black = lambda some: np.zeros(some.shape)  # noqa: E731
    found = judge(grey, grey, noise[:9], noise[9:], 3, young, DO)
    assert not found.collapsed
    assert found.sentence().endswith("alike, and PCA's as well: so many numbers tell next to nothing of such pictures")
    assert "as yet" not in found.sentence()
    assert found.tested == 21
    assert bool(judge(grey, same, noise[:9], noise[9:], 3, young, DO).collapsed) != young
    assert "black or white" in judge(black, grey, noise[:9], noise[9:], 3, young, DO).collapsed


def test_a_collapse_is_said_and_one_of_a_young_net_as_yet(discs):
    def still(young: bool) -> Verdict:
        grey, same = (lambda some: np.full(some.shape, 99.0)), (lambda some: some)
        return judge(grey, same, discs[:9], discs[9:12], 3, young, DO)

    assert still(young=False).sentence() == "collapsed: all reconstructions are alike; do"
    assert still(young=False).train != still(young=False).test
    assert not still(young=True).collapsed
    assert still(young=True).sentence().endswith("; all reconstructions are alike as yet: train for longer, or do")
