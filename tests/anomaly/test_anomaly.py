"""Which pictures do not belong: scores against closed forms, thresholds that keep their word, bad input."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import multivariate_normal
from sklearn.metrics import roc_auc_score
from torch import nn

import latentdial
from latentdial import LatentdialError
from latentdial.anomaly import stored
from latentdial.anomaly.calibrating import corrected, fit_tails, realised_range, threshold_for
from latentdial.anomaly.densities import fit_density
from latentdial.anomaly.detecting import anomalies, heat_of, scored
from latentdial.anomaly.detector import crossed, fit_detector, new_to
from latentdial.anomaly.places import fit_places
from latentdial.anomaly.scoring import MOST, Measured, Scorer, sums_of
from latentdial.anomaly.shifted import shifted
from latentdial.cli import main
from latentdial.images import open_parts
from latentdial.measure.anomaly import (
    pixel_auroc,
    region_overlap,
    regions,
    root_of_squares,
    separation,
    ssim_map,
)


def many_discs(n: int, seed: int) -> np.ndarray:
    """Coloured discs like those of the shared runs, uint8 (n, 16, 16, 3)."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:16, :16]
    pictures = np.full((n, 16, 16, 3), 230, np.uint8)
    for picture in pictures:
        x, y, radius = [*rng.uniform(5, 11, 2).tolist(), rng.uniform(2, 5)]
        picture[(rows - y) ** 2 + (columns - x) ** 2 < radius**2] = rng.integers(0, 200, 3)
    return pictures


def scratched(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same with a bright stroke in a corner, and masks of it."""
    made, masks = pictures.copy(), np.zeros(pictures.shape[:3], bool)
    masks[:, 2:4, 1:6] = True
    made[masks] = (20, 20, 200)
    return made, masks


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A small convolutional VAE of discs with 60 held-out ones."""
    folder = tmp_path_factory.mktemp("anomaly")
    np.save(folder / "discs.npy", many_discs(150, 1))
    options = {"latent": 6, "channels": [12, 24]}
    settings = {"size": 16, "steps": 120, "batch": 16, "lr": 3e-3, "holdout": 0.4}
    latentdial.train("conv-vae", folder / "discs.npy", folder / "run", options=options, **settings)
    anomalies(folder / "run", many_discs(2, 3))
    return folder / "run"


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """A folder of 20 discs and 20 scratched ones, with a CSV of labels and a folder of masks."""
    folder = tmp_path_factory.mktemp("given")
    good = many_discs(40, 2)
    bad, masks = scratched(good[20:])
    for name in ("pictures", "masks"):
        (folder / name).mkdir()
    rows = ["file,label"]
    for i, picture in enumerate([*good[:20], *bad]):
        Image.fromarray(picture).save(folder / "pictures" / f"{i:02}.png")
        rows.append(f"{i:02}.png,{'scratch' if i >= 20 else 'good'}")
        if i >= 20:
            Image.fromarray(masks[i - 20]).save(folder / "masks" / f"{i:02}_mask.png")
    (folder / "labels.csv").write_text("\n".join(rows))
    return folder


# functions of arrays --------------------------------------------------------------------------------------------------


def test_root_of_squares_and_ssim_against_their_definitions():
    from skimage.metrics import structural_similarity

    x, y = np.random.default_rng(0).integers(0, 255, (2, 3, 24, 24, 3)).astype(np.float64)
    assert np.allclose(root_of_squares(x, y), [np.linalg.norm((a - b).ravel()) for a, b in zip(x, y, strict=True)])
    for one, other, found in zip(x, y, ssim_map(x, y), strict=True):
        settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
        _, whole = structural_similarity(one, other, channel_axis=-1, full=True, **settings)
        assert np.allclose(1 - found[6:-6, 6:-6], whole.mean(-1)[6:-6, 6:-6], atol=1e-9)


def test_separation_is_that_of_scikit_learn_with_an_interval_that_holds():
    rng = np.random.default_rng(1)
    odd = rng.random(400) < 0.3
    found = separation(rng.normal(size=400) + odd, odd)
    truth = 0.7602  # of two normal distributions one standard deviation apart
    hits = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        odd, scores = np.arange(80) < 30, rng.normal(size=80)
        one = separation(scores + odd, odd)
        assert one.auroc == pytest.approx(roc_auc_score(odd, scores + odd))
        hits += one.low <= truth <= one.high
    assert found.low < found.auroc < found.high
    assert 180 <= hits <= 199


def test_scores_that_all_agree_have_an_interval_of_their_number():
    """Monte Carlo: with a true AUROC at the bound, so many pairs all agree in one of forty trials."""
    whole = separation(np.arange(14.0), np.arange(14) >= 4)
    assert (whole.auroc, whole.high) == (1.0, 1.0)
    rng = np.random.default_rng(0)
    assert (rng.random((100_000, 4)) < whole.low).all(1).mean() == pytest.approx(0.025, abs=0.003)
    turned = separation(-np.arange(14.0), np.arange(14) >= 4)
    assert (turned.low, turned.high) == (0.0, pytest.approx(1 - whole.low))


def test_no_figures_of_one_kind_alone():
    assert separation(np.arange(4.0), np.ones(4, bool)) is None
    assert pixel_auroc(np.ones((1, 4, 4)), np.zeros((1, 4, 4), bool)) is None
    assert region_overlap(np.ones((1, 4, 4)), np.zeros((1, 4, 4), bool)) is None


def test_regions_of_all_sizes_count_alike_in_region_overlap():
    masks = np.zeros((1, 20, 20), bool)
    masks[0, 2:4, 2:4] = masks[0, 8:18, 8:18] = True
    assert region_overlap(masks.astype(float), masks) == pytest.approx(1)
    large_alone = masks.astype(float)
    large_alone[0, :6, :6] = 0
    assert region_overlap(large_alone, masks) == pytest.approx(0.5)
    assert pixel_auroc(large_alone, masks) > 0.95


def test_a_region_counts_more_than_a_pixel():
    maps = np.zeros((2, 40, 40))
    maps[0, 5, 5] = 4
    maps[1, 20:24, 20:24] = 2
    one, many = regions(maps).max((1, 2))
    assert one < many


# densities ------------------------------------------------------------------------------------------------------------


def test_regions_are_odd_either_way_and_the_whole_is_the_mean_of_places():
    usual = np.zeros((1, 8, 8)), np.ones((1, 8, 8))
    scorer = Scorer(None, None, None, {"colours": (usual[0][0], usual[1][0])})  # type: ignore[arg-type]
    maps = np.zeros((3, 8, 8))
    maps[1, 2, 5], maps[2, 2, 5] = 4.0, -4.0
    found = scorer.scores(Measured({}, {"colours": maps}))
    assert found["colours"][1] == found["colours"][2] > found["colours"][0] == 0
    assert found["overall"] == pytest.approx([0, 4 / 64, 4 / 64])
    assert scorer.apart("colours", 1e6 * maps).max() == MOST


def test_densities_against_closed_forms():
    rng = np.random.default_rng(0)
    root = np.array([[2.0, 0, 0], [1, 1, 0], [0, 0.5, 0.3]])
    codes = rng.normal(size=(4000, 3)) @ root.T + [1, 2, 3]
    density = fit_density(codes[:80])
    assert density.memory.shape == (80, 3)
    few, density = codes[:50], fit_density(codes)
    own = multivariate_normal(codes.mean(0), np.cov(codes.T))
    surprise = -2 * own.logpdf(few)
    assert np.corrcoef(np.square(density.mahalanobis(few)), surprise)[0, 1] > 0.999
    assert np.corrcoef(density.surprise(few), surprise)[0, 1] > 0.97
    near = fit_density(codes[100:])
    direct = [np.sort(np.linalg.norm(near.memory - at, axis=1))[:5].mean() for at in near.white(few) * near.stretch]
    assert np.allclose(near.to_neighbours(few), direct)


def test_a_gaussian_at_every_place():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(500, 4, 4, 3)) * [1, 2, 3] + np.arange(16).reshape(4, 4, 1)
    places = fit_places(features)
    far = features[:1].copy()
    far[0, 2, 1] += 20
    assert np.square(places.distances(features)).mean() == pytest.approx(3, rel=0.05)
    assert np.unravel_index(places.distances(far).argmax(), (1, 4, 4)) == (0, 2, 1)


# calibration ----------------------------------------------------------------------------------------------------------


def test_surprise_is_a_tail_probability_and_goes_on_beyond_the_normal_pictures():
    rng = np.random.default_rng(0)
    normal = {"a": rng.normal(size=2000), "b": rng.exponential(size=2000)}
    tails = fit_tails(normal, ["a", "b"], {})
    new = tails.surprise({"a": rng.normal(size=5000), "b": rng.exponential(size=5000)})
    assert np.allclose(new.mean(0), 1, atol=0.05)
    far = tails.surprise({"a": np.array([5.0, 6.0]), "b": np.array([50.0, 60.0])})
    assert (np.diff(far, axis=0) > 0).all()
    assert np.isfinite(tails.surprise({"a": np.array([1e9, -1e9]), "b": np.array([1e9, -1e9])})).all()


def test_scores_that_say_the_same_share_their_weight_and_blind_ones_count_little():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 500))
    tails = fit_tails({"a": a, "again": a, "b": b}, ["a", "again", "b"], {})
    assert tails.weights == pytest.approx([0.25, 0.25, 0.5], abs=0.03)
    blind = fit_tails({"a": a, "b": b}, ["a", "b"], {"a": 0.9, "b": 0.45})
    assert blind.weights[0] > 0.85
    told_only = fit_tails({"a": a, "b": b}, ["a"], {})
    assert told_only.weights.tolist() == [1, 0]


@pytest.mark.parametrize(("n", "share"), [(30, 0.05), (45, 0.05), (150, 0.02), (300, 0.01)])
def test_false_alarms_expected_are_those_stated(n, share):
    """Over 2,000 sets of normal scores, of which exactly exp(-t) lie above a threshold t: new ones are not sampled."""
    rng = np.random.default_rng(n)
    realised = np.array([np.exp(-threshold_for(normal, share)) for normal in rng.exponential(size=(2000, n))])
    assert realised.mean() == pytest.approx(share, rel=0.15)
    low, high = realised_range(n, share)
    assert ((low <= realised) & (realised <= high)).mean() == pytest.approx(0.95, abs=0.02)


def test_false_alarms_are_those_stated_though_few_pictures_say_what_is_normal():
    """The worst region of noise, in units of the pictures themselves: new ones look odder than those that set them."""
    scorer, names, realised = Scorer(None, None, None, {}), ["squares", "error"], []  # no densities are asked for
    for seed in range(40):
        rng = np.random.default_rng(seed)
        normal, new = (noisy(n, rng) for n in (30, 1000))
        threshold = threshold_for(new_to(scorer, normal, names, {}), 0.1)
        tails = fit_tails(crossed(scorer, normal), names, {})
        scores = tails.combined(scorer.with_normal(sums_of(normal)).scores(new))
        realised.append((scores > threshold).mean())
    assert np.mean(realised) == pytest.approx(0.1, abs=0.025)  # 0.02 is 20%, and 0.005 what 40 sets leave open


def noisy(n: int, rng: np.random.Generator) -> Measured:
    """Measurements of n pictures that differ in how noisy they are."""
    common = rng.gamma(4, 1, (n, 1, 1))
    maps = (common * rng.gamma(2, 1, (n, 6, 6))).astype(np.float32)
    return Measured({"squares": common[:, 0, 0] + rng.gamma(9, 1, n)}, {"error": maps})


def test_a_threshold_that_cannot_be_vouched_for_is_none():
    assert threshold_for(np.arange(50.0), 0.01) is None
    assert threshold_for(np.arange(99.0), 0.01) == 98


def test_false_alarms_of_a_whole_detector_are_those_stated(run):
    """The whole way, maps and tails and weights and all, over random parts of one set of pictures."""
    codec = latentdial.load(run)
    pictures = many_discs(700, 9)
    detector = fit_detector(codec, pictures[:100], pictures[100:400], false_alarms=0.1)
    realised = (scored(codec, detector, [""] * 300, pictures[400:]).score > detector.threshold).mean()
    assert 0.05 < realised < 0.17  # 95% of the time for 300 pictures of each kind


def test_a_handful_of_labels_corrects_the_threshold():
    scores, odd = np.array([1.0, 2, 3, 4, 5]), np.array([False, False, True, True, True])
    assert corrected(2.2, scores, odd) == 2.2
    assert corrected(4.5, scores, odd) == 2.5
    assert corrected(0.5, scores, odd) == 2.5
    assert corrected(2.0, np.array([3.0]), np.array([False])) > 3


# a run ----------------------------------------------------------------------------------------------------------------


def test_scratches_are_found_where_they_are(run):
    bad, masks = scratched(many_discs(40, 5))
    found = anomalies(run, bad, false_alarms="5%")
    normal = anomalies(run, many_discs(40, 6))
    assert roc_auc_score(np.repeat([0, 1], 40), np.concatenate([normal.score, found.score])) > 0.95
    assert found.odd.mean() > 0.8
    assert normal.odd.mean() < 0.25
    assert found.where.count("top left") > 30
    assert pixel_auroc(heat_of(latentdial.load(run), found.detector, bad), masks) > 0.9
    assert "elbo" in found.scores
    assert found.to_frame().shape == (40, 19)


def test_a_picture_without_an_odd_place_has_none_named(run):
    found = anomalies(run, many_discs(40, 6), false_alarms="5%")
    heat = heat_of(latentdial.load(run), found.detector, many_discs(40, 6)).max((1, 2))
    assert [bool(place) for place in found.where] == (heat >= 0.5).tolist()
    assert 0 < (heat < 0.5).sum() < 40


def test_scores_repeat_to_the_bit_in_any_company(run):
    pictures = many_discs(45, 7)
    whole = anomalies(run, pictures)
    order = np.random.default_rng(0).permutation(45)
    parts = [anomalies(run, pictures[order[i : i + 7]]) for i in range(0, 45, 7)]
    assert np.concatenate([part.score for part in parts]).tobytes() == whole.score[order].tobytes()
    for name, values in whole.scores.items():
        assert np.concatenate([part.scores[name] for part in parts]).tobytes() == values[order].tobytes(), name


def test_scores_repeat_to_the_bit_in_another_process_with_more_threads(run, tmp_path):
    np.save(tmp_path / "x.npy", many_discs(3, 8))
    code = "import sys, latentdial; print(latentdial.anomalies(sys.argv[1], sys.argv[2]).score.tobytes().hex())"
    settings = os.environ | {"OMP_NUM_THREADS": "2"}
    command = [sys.executable, "-c", code, str(run), str(tmp_path / "x.npy")]
    said = subprocess.run(command, env=settings, capture_output=True, text=True, check=True).stdout
    assert said.strip() == anomalies(run, many_discs(3, 8)).score.tobytes().hex()


def test_likelihood_regret_is_told_where_it_is_asked_for(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "copy")
    found = anomalies(copy, many_discs(3, 4), scores=["regret", "squares"])
    assert found.detector.combined == ["squares", "regret"]
    assert (found.scores["regret"] >= 0).all()


def test_the_threshold_can_be_set_later_and_is_kept(run, tmp_path):
    copy, pictures = shutil.copytree(run, tmp_path / "copy"), many_discs(30, 2)
    strict, loose = (anomalies(copy, pictures, false_alarms=share) for share in ("2%", "20%"))
    assert strict.threshold > loose.threshold
    assert strict.score.tobytes() == loose.score.tobytes()
    assert anomalies(copy, pictures).threshold == loose.threshold
    assert strict.with_false_alarms(0.2).threshold == loose.threshold


def test_a_detector_of_other_weights_is_fitted_again(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "copy")
    codec = latentdial.load(copy)
    assert stored.read_detector(copy, codec) is not None
    with torch.no_grad():
        next(codec.model.parameters()).add_(0.01)
    assert stored.read_detector(copy, codec) is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"format": 2', '"format": 9'),
        ('"false_alarms": 0.', '"false_alarms": 7.'),
        ('"error"', '"eval"'),
        ('"ssim"', '"error"'),
        ('"ssim"', "{}"),
        ('"scores"', '"score"'),
    ],
)
def test_a_broken_record_is_refused(run, tmp_path, old, new):
    copy = shutil.copytree(run, tmp_path / "copy")
    text = (copy / stored.RECORD).read_text()
    assert old in text
    (copy / stored.RECORD).write_text(text.replace(old, new, 1))
    with pytest.raises(LatentdialError, match=r"anomaly\.json"):
        anomalies(copy, many_discs(2, 2))


def test_a_detector_of_other_scores_is_fitted_again(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "copy")
    record = json.loads((copy / stored.RECORD).read_text())
    (copy / stored.RECORD).write_text(json.dumps(record | {"format": 1, "scores": ["error"], "corrected": 0.0}))
    assert anomalies(copy, many_discs(2, 2)).detector.corrected is None
    again = json.loads((copy / stored.RECORD).read_text())
    assert [again[key] for key in ("format", "scores", "told_apart")] == [2, record["scores"], record["told_apart"]]


def test_broken_arrays_are_refused(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "copy")
    with (copy / stored.ARRAYS).open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(LatentdialError, match="anomaly"):
        anomalies(copy, many_discs(2, 2))


# any pair of modules --------------------------------------------------------------------------------------------------


def test_a_wrapped_pair_needs_normal_pictures_and_takes_pictures_of_another_size():
    torch.manual_seed(0)
    codec = latentdial.wrap(nn.Linear(48, 3), nn.Linear(3, 48), size=4)
    with pytest.raises(LatentdialError, match="--normal"):
        anomalies(codec, many_discs(2, 0))
    found = anomalies(codec, many_discs(2, 0), normal=many_discs(60, 1))
    assert len(found) == 2
    assert any("no layers with places" in note for note in found.notes)


def test_a_codec_that_reconstructs_everything_says_so():
    class Same(nn.Module):
        def forward(self, x):
            return x

    codec = latentdial.wrap(Same(), Same(), size=16, value_range=(0.0, 1.0))
    few = np.random.default_rng(0).integers(100, 130, (60, 16, 16, 3), np.uint8)
    found = anomalies(codec, few[:2], normal=few, scores=["error"])
    assert any("reconstructs" in note for note in found.notes)


def test_a_codec_of_too_many_dimensions_says_so_and_one_of_few_does_not(tmp_path):
    from sklearn.datasets import load_digits

    np.save(tmp_path / "digits.npy", (load_digits().images[:600] * 15.9).astype(np.uint8)[..., None])
    told = {}
    for latent in (8, 64):  # of 64 pixels
        settings = {"size": 8, "colour": "grey", "holdout": 0.3}
        latentdial.train("pca", tmp_path / "digits.npy", tmp_path / str(latent), options={"latent": latent}, **settings)
        found = anomalies(tmp_path / str(latent), np.zeros((1, 8, 8, 1), np.uint8))
        told[latent] = any("train with fewer latent dimensions" in note for note in found.notes)
    assert told == {8: False, 64: True}


def test_one_normal_picture_is_too_few():
    codec = latentdial.wrap(nn.Linear(48, 3), nn.Linear(3, 48), size=4)
    with pytest.raises(LatentdialError, match="at least 20"):
        anomalies(codec, many_discs(2, 0), normal=many_discs(1, 1))


def test_shifted_pictures_differ_and_repeat():
    pictures = many_discs(9, 0)
    made, again = shifted(pictures), shifted(pictures)
    assert made.keys() == {"patched", "turned", "whole"}
    for kind, changed in made.items():
        assert (changed == again[kind]).all()
        assert ((changed != pictures).any((1, 2, 3))).sum() >= 3


def test_the_example_of_the_page_runs(run, tmp_path, monkeypatch):
    text = (Path(__file__).parents[2] / "docs/anomalies.md").read_text()
    example = text.partition("```python\n")[2].partition("```")[0]
    monkeypatch.chdir(tmp_path)
    shutil.copytree(run, "run")
    Path("PICTURES").mkdir()
    for name, picture in zip("ab", [many_discs(1, 8)[0], scratched(many_discs(1, 9))[0][0]], strict=True):
        Image.fromarray(picture).save(f"PICTURES/{name}.jpg")
    made: dict = {}
    exec(compile(example, "docs/anomalies.md", "exec"), made)
    assert made["later"].threshold < made["found"].detector.normal.max()
    assert made["moved"].odd.tolist() == [False, True]


# the command ----------------------------------------------------------------------------------------------------------


def test_the_command_writes_tables_and_compares_with_labels_and_masks(run, given, tmp_path, capsys):
    copy = shutil.copytree(run, tmp_path / "copy")
    files = {name: str(tmp_path / f"{name}.csv") for name in ("out", "submit")}
    options = ["--labels", str(given / "labels.csv"), "--masks", str(given / "masks"), "--false-alarms", "5%"]
    paths = ["--out", files["out"], "--submit", files["submit"]]
    assert main(["anomalies", str(copy), str(given / "pictures"), *options, *paths, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["agreement"]["overall"]["auroc"] > 0.9
    assert said["agreement"]["by_kind"].keys() == {"scratch"}
    assert said["agreement"]["pixel_auroc"] > 0.8
    assert said["false_alarms"] == 0.05
    with open(files["out"]) as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == [f"{i:02}.png" for i in range(40)]
    assert float(rows[0]["score"]) == said["pictures"][0]["score"]
    with open(files["submit"]) as file:
        assert file.readline().strip() == "ID,score"
    assert main(["anomalies", str(copy), str(given / "pictures"), "--correct", str(given / "labels.csv")]) == 0
    assert "corrected by labels" in capsys.readouterr().out
    assert json.loads((copy / stored.RECORD).read_text())["corrected"] is not None


def test_without_pictures_those_are_scored_that_the_run_kept_for_tests(run, tmp_path):
    copy, out = shutil.copytree(run, tmp_path / "copy"), tmp_path / "scores.csv"
    assert main(["anomalies", str(copy), "--out", str(out)]) == 0
    with open(out) as file:
        names = [row["file"] for row in csv.DictReader(file)]
    assert names == open_parts(latentdial.load(copy).config).test.names


def test_bad_input_is_an_error_of_one_line(run, given, tmp_path, capsys):
    pictures = str(given / "pictures")
    (tmp_path / "empty").mkdir()
    (tmp_path / "large").mkdir()
    Image.new("L", (300, 100), 255).save(tmp_path / "large" / "20.png")
    (tmp_path / "others.csv").write_text("file,label\nnobody.png,1\n")
    for options, said in [
        ([str(tmp_path / "empty")], "no"),
        ([pictures, "--normal", str(tmp_path / "empty")], "no"),
        ([pictures, "--labels", str(tmp_path / "others.csv")], "names none"),
        ([pictures, "--labels", "data"], "carry no labels"),
        ([pictures, "--masks", str(tmp_path / "large")], "300x100"),
        ([pictures, "--scores", "taste"], "choose from"),
        ([pictures, "--false-alarms", "much"], "1%"),
    ]:
        assert main(["anomalies", str(run), *options]) == 1, options
        lines = [line for line in capsys.readouterr().err.splitlines() if "left" not in line]  # but how far it has come
        assert len(lines) == 1, (options, lines)
        assert said in lines[0], (options, lines)


def test_labels_of_one_kind_say_that_nothing_can_be_said(run, given, tmp_path, capsys):
    (tmp_path / "one.csv").write_text("file,label\n01.png,0\n02.png,0\n")
    assert main(["anomalies", str(run), str(given / "pictures"), "--labels", str(tmp_path / "one.csv")]) == 0
    assert "cannot be said" in capsys.readouterr().out


def test_a_correction_needs_labels_of_both_kinds_in_words_of_ones_own(run):
    found = anomalies(run, many_discs(6, 4))
    with pytest.raises(LatentdialError, match=r"all of the pictures odd.*--good"):
        found.correct({"0": "disc", "3": "scratch"})
    with pytest.raises(LatentdialError, match="none of the pictures odd"):
        found.correct({"0": 0, "3": 0})
    low, high = found.order[[-1, 0]]
    moved = found.correct({str(low): "disc", str(high): "scratch"}, good=["disc"])
    assert (moved.odd[high], moved.odd[low]) == (True, False)


def test_normal_pictures_that_were_trained_on_are_left_out(run):
    pictures = np.load(run.parent / "discs.npy")
    found = anomalies(latentdial.load(run), pictures[:2], normal=np.concatenate([pictures, many_discs(30, 11)]))
    assert any("trained on" in note for note in found.notes)
    assert replace(found, notes=[]).notes == []
