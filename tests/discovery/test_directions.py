"""Directions on a linear codec, where everything is known in closed form; then on small runs, stored and by command."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file

from latentdial import storage
from latentdial.attributes.writer import train_writer
from latentdial.cli import main
from latentdial.config import Geometry
from latentdial.discovery.finding import attribute_direction, examples_direction, linear_reader, without
from latentdial.discovery.labelled import (
    attribute_directions,
    learn_attributes,
    make_attribute,
    named,
    read_labels,
)
from latentdial.discovery.measuring import attribute_reading, explained_shares, measure, ordered, with_side_effects
from latentdial.discovery.study import Request, study
from latentdial.errors import LatentdialError
from latentdial.latent.codec import Codec
from latentdial.latent.direction import NAME, Direction, foremost
from latentdial.latent.editing import Edited, EditSheet, apply_edits, edit
from latentdial.latent.effect import measure_effect
from latentdial.latent.grammar import parse_edits
from latentdial.latent.naming import axis_directions, canonical_directions, direction_of, make_direction
from latentdial.latent.paths import analogy, interpolate, slerp
from latentdial.latent.safe_range import reach, safe_ranges
from latentdial.latent.steering import conditioned, steer
from latentdial.latent.stored import Stored
from latentdial.latent.support import fit_support
from latentdial.measure.change import change
from latentdial.progress import quiet
from latentdial.report.direction_sheet import turned
from latentdial.report.figures import edit_sheet
from latentdial.runs.loading import load, save_directions
from latentdial.runs.pictures import run_pictures
from latentdial.training import train

LATENT, SIDE = 5, 8
NAMES = {"weak": 4, "strong": 1, "middle": 3}  # axes
SPREAD = [0.04, 0.08, 0.04, 0.12, 0.08]


@pytest.fixture(scope="module")
def linear() -> Codec:
    """Pictures 8x8 grey = W z with orthogonal columns of lengths 5 to 1, encoded by the pseudo-inverse."""
    rng = np.random.default_rng(0)
    weight = np.linalg.qr(rng.normal(size=(SIDE * SIDE, LATENT)))[0] * [5, 4, 3, 2, 1]
    codes = (rng.normal(size=(200, LATENT)) * SPREAD).astype(np.float32)
    down = torch.tensor(weight, dtype=torch.float32)
    up = torch.linalg.pinv(down)
    return Codec(
        lambda x: x.flatten(1) @ up.T,
        lambda z: (z @ down.T).reshape(-1, 1, SIDE, SIDE),
        Geometry(SIDE, colour="grey"),
        training_codes=codes,
    )


def weight_of(codec: Codec) -> np.ndarray:
    return codec.decoder(torch.eye(LATENT)).reshape(LATENT, -1).numpy().T.astype(float)


def test_attribute_without_others_is_the_difference_of_means(linear):
    yes = np.random.default_rng(2).random(200) < 0.3
    found = attribute_direction(linear, "yes", linear.codes, yes)
    difference = linear.codes[yes].mean(0, dtype=float) - linear.codes[~yes].mean(0, dtype=float)
    assert found.vector == pytest.approx(difference / np.linalg.norm(difference), abs=1e-6)
    same = examples_direction(linear, "yes", linear.codes[yes], linear.codes[~yes])
    assert same.vector == pytest.approx(found.vector)


def test_attributes_that_are_correlated_are_told_apart(linear):
    rng = np.random.default_rng(3)
    first = (rng.random(300) < 0.5).astype(float)
    second = np.where(rng.random(300) < 0.8, first, 1 - first)
    effects = rng.normal(size=(2, LATENT))
    codes = np.stack([first, second], 1) @ effects
    plain = attribute_direction(linear, "first", codes, first).vector
    balanced = attribute_direction(linear, "first", codes, first, second[:, None]).vector
    truth = effects[0] / np.linalg.norm(effects[0])
    assert balanced == pytest.approx(truth, abs=1e-8)
    assert plain @ truth < 0.99
    other = np.linalg.pinv(effects)[:, 1]  # reads the second attribute exactly
    assert balanced @ other == pytest.approx(0, abs=1e-8)


def test_ridge_and_svm_find_the_normal(linear):
    rng = np.random.default_rng(4)
    codes = rng.normal(size=(400, LATENT))
    yes = codes[:, 2] > 0
    for method in ("ridge", "svm"):
        assert attribute_direction(linear, "a", codes, yes, method=method).vector[2] > 0.97
    with pytest.raises(LatentdialError, match="mean, ridge, svm"):
        attribute_direction(linear, "a", codes, yes, method="magic")


def test_without_is_the_formula(linear):
    one, two = (make_direction(linear, n, "attribute", v) for n, v in [("a", [1, 1, 0, 0, 0]), ("b", [0, 1, 0, 0, 0])])
    expected = one.vector - (one.vector @ two.vector) * two.vector
    assert without(linear, one, [two]).vector == pytest.approx(expected / np.linalg.norm(expected))
    with pytest.raises(LatentdialError, match="nothing of a is left"):
        without(linear, one, [one])


def test_effect_of_a_linear_decoder_in_closed_form(linear):
    direction = canonical_directions(linear)[1]
    start = linear.codes[:9].astype(float)
    effect = measure_effect(linear, direction, start, linear.levels(start))
    picture = 127.5 * direction.sd * np.abs(weight_of(linear) @ direction.vector)
    assert effect.levels == pytest.approx(picture.mean(), rel=1e-4)
    assert effect.heat.ravel() == pytest.approx(picture, abs=1e-3)
    assert effect.high - effect.low < 1e-3
    assert effect.linearity == pytest.approx(1, abs=1e-6)
    assert [effect.curve[t] for t in (-3.0, 2.0)] == pytest.approx([3 * effect.levels, 2 * effect.levels], rel=1e-4)


def test_explained_share_of_a_linear_decoder_in_closed_form(linear):
    weight = weight_of(linear)
    covariance = np.cov(linear.codes.T.astype(float), bias=True)
    readers = np.stack([one.reader for one in canonical_directions(linear)], axis=1)
    shares = explained_shares(linear, canonical_directions(linear))
    for count in (1, 3, LATENT):
        seen = readers[:, :count]
        left = covariance - covariance @ seen @ seen.T @ covariance
        share = 1 - np.trace(weight @ left @ weight.T) / np.trace(weight @ covariance @ weight.T)
        assert shares[count - 1] == pytest.approx(share, abs=1e-4)
    assert shares == pytest.approx(linear.canonical.shares, abs=1e-4)


def test_shares_of_redundant_directions_in_closed_form(linear):
    slanted = [make_direction(linear, f"s{i}", "attribute", v) for i, v in enumerate(np.eye(LATENT) + 0.4)]
    twin = make_direction(linear, "twin", "attribute", slanted[1].vector)
    directions = [*slanted[:2], twin, *slanted[2:]]
    shares = explained_shares(linear, directions)
    weight, covariance = weight_of(linear), np.cov(linear.codes.T.astype(float))
    total = np.trace(weight @ covariance @ weight.T)
    for count in (1, 2, 4, 6):
        seen = np.stack([d.vector for d in directions[:count]], axis=1)
        across = covariance @ seen
        left = covariance - across @ np.linalg.pinv(seen.T @ across) @ across.T  # of codes given the coordinates
        share = 1 - np.trace(weight @ left @ weight.T) / total
        assert shares[count - 1] == pytest.approx(share, abs=1e-3)
    assert shares[2] == pytest.approx(shares[1])


def test_canonical_coordinates_come_first_in_their_order_then_names_by_effect(linear):
    named = measure(linear, [make_direction(linear, name, "attribute", np.eye(LATENT)[i]) for name, i in NAMES.items()])
    found = ordered([*named, *reversed(canonical_directions(linear))])
    # effect of an axis: length of its column times its sd: 4*.08, 2*.12, 1*.08
    assert [one.name for one in found] == ["c0", "c1", "c2", "c3", "c4", "strong", "middle", "weak"]
    assert [one.name for one in ordered(found, {"strong"})][5:] == ["middle", "weak", "strong"]  # read badly: last


def test_conditioned_step_is_not_seen_by_the_readers():
    rng = np.random.default_rng(5)
    covariance = np.cov(rng.normal(size=(6, 50)))
    step, target, keep = rng.normal(size=6), rng.normal(size=6), rng.normal(size=(2, 6))
    held = conditioned(step, covariance, list(keep), target)
    assert keep @ held == pytest.approx(0, abs=1e-9)
    if np.linalg.norm(held) < 2.9 * np.linalg.norm(step):
        assert held @ target == pytest.approx(step @ target)


def steered(codec: Codec, code: np.ndarray, target: Direction, amount: float, keep: list[Direction]) -> np.ndarray:
    return steer(codec, code[None], target, np.array([amount]), keep)[0]


def test_steering_a_linear_codec_holds_what_is_kept(linear):
    target = make_direction(linear, "target", "attribute", np.array([1.0, 0.5, 0, 0, 0]))
    kept = direction_of(linear, "1")
    code = linear.codes[3].astype(float)
    plain = code + 0.1 * target.vector
    moved = steered(linear, code, target, 0.1, [kept])
    assert abs(moved[1] - code[1]) < 0.1 * abs(plain[1] - code[1])
    assert (moved - code) @ target.vector == pytest.approx(0.1, rel=0.15)
    assert steered(linear, code, target, 0.1, [target, kept]) == pytest.approx(moved)
    assert steered(linear, code, target, 0.1, [target]) == pytest.approx(plain)


def test_support_has_95_percent_of_held_out_codes_inside(linear):
    held_out = (np.random.default_rng(6).normal(size=(400, LATENT)) * SPREAD).astype(np.float32)
    support = fit_support(linear, held_out)
    assert (support.score(linear, held_out) <= 1).mean() == pytest.approx(0.95, abs=0.01)
    fresh = np.random.default_rng(7).normal(size=(1000, LATENT)) * SPREAD
    assert (support.score(linear, fresh) <= 1).mean() == pytest.approx(0.95, abs=0.04)
    assert (support.score(linear, 5 * fresh) > 1).mean() > 0.9


def test_a_run_sets_the_safe_range_on_codes_of_pictures_that_it_was_not_trained_on(tmp_path):
    pictures = np.random.default_rng(0).integers(0, 255, (400, 16, 16, 3), dtype=np.uint8)  # nothing but overfitting
    np.save(tmp_path / "noise.npy", pictures)
    options = {"latent": 8, "widths": [32]}
    train("fcn-ae", tmp_path / "noise.npy", tmp_path / "run", options=options, size=16, steps=200, holdout=0.4)
    codec = load(tmp_path / "run")
    _, unseen = run_pictures(codec)
    assert len(codec.held_out) == 80
    codes = codec.encode(unseen.pixels[:])
    own, blind = ((one.support.score(codec, codes) > 1).mean() for one in (codec, replace(codec, held_out=None)))
    assert own == pytest.approx(0.05, abs=0.04)
    assert abs(own - 0.05) < abs(blind - 0.05)


def test_safe_range_ends_at_the_border(linear):
    direction = direction_of(linear, "1")
    start = linear.codes.mean(0, keepdims=True).astype(float)
    low, high = safe_ranges(linear, start, [direction], rounds=8)[0, 0]
    assert low < -0.5
    assert high > 0.5
    first, last = reach(linear, direction)

    def inside(t: float) -> bool:
        code = start + t * direction.step
        return linear.support.score(linear, code)[0] <= 1.001 and first - 1e-3 <= code[0, 1] <= last + 1e-3

    assert inside(low)
    assert inside(high)
    assert not inside(1.1 * low)
    assert not inside(1.1 * high)


def test_scores_of_a_linear_codec_in_closed_form(linear):
    """The picture's Mahalanobis distance is that of the code, and nothing is lost by decoding and encoding."""
    codes, support = linear.codes.astype(float), linear.support
    within = codes[np.arange(len(codes)) % 5 > 0]  # the others set the limit
    distance = np.linalg.norm((codes - within.mean(0)) @ np.linalg.cholesky(np.linalg.inv(np.cov(within.T))), axis=1)
    raw = support.raw(linear, codes)
    assert raw[:, 0] == pytest.approx(distance, rel=0.02)
    assert np.exp(raw[:, 1]).max() < 1


def test_edits_by_name_warning_and_keep(linear):
    named = replace(linear, directions=(make_direction(linear, "up", "examples", np.eye(LATENT)[3]),))
    picture = linear.decode(linear.codes.mean(0))[0]
    sheet = edit(named, picture, "c0+=1s", "1*=40;1+=30s")
    assert sheet.columns[0].moves[0].sds == pytest.approx(1, abs=0.3)
    assert not sheet.columns[0].flagged
    assert sheet.columns[1].flagged
    assert "Warning: outside the safe range" in sheet.columns[1].sentence()
    assert "beyond the training codes, 99.9% of which have dimension 1" in sheet.columns[1].warning
    assert "Warning" not in sheet.columns[0].sentence()
    kept = edit(named, picture, "c0+=1s", keep=["1"])
    assert kept.columns[0].code[1] == pytest.approx(kept.code[1], abs=0.05)
    with pytest.raises(LatentdialError, match="dimensions 0 to 4, canonical coordinates c0 to c4; or write one of up"):
        edit(named, picture, "smiling+=1s")


def test_a_coordinate_beyond_the_training_codes_is_flagged_though_the_picture_is_sound(linear):
    blind = replace(linear, decoder=lambda z: linear.decoder(z * torch.tensor([1.0, 1, 1, 1, 0])))
    code = linear.codes.mean(0, keepdims=True)
    code[0, 4] = 0.1
    low, high = np.quantile(linear.codes[:, 4], [0.0005, 0.9995])
    ((edited,), (moves,)), (_, (near,)) = (apply_edits(blind, code, parse_edits(text)) for text in ("4*=10", "4*=1.1"))
    assert edited[4] == pytest.approx(1.0)
    assert (moves[0].low, moves[0].high) == pytest.approx((low, high))
    assert moves[0].beyond
    assert not near[0].beyond
    (back,) = apply_edits(blind, edited[None], parse_edits("4*=0.9"))[1]
    assert not back[0].beyond  # still outside, and closer than it was
    nothing = change(np.zeros((6, 6, 1)), np.zeros((6, 6, 1)))
    column = Edited("4*=10", edited, blind.decode(edited)[0], nothing, moves, 0.1, 0.1)
    assert column.flagged
    assert column.warning.startswith("beyond the training codes")


def test_safe_range_ends_where_the_training_codes_end(linear):
    blind = replace(linear, decoder=lambda z: linear.decoder(z * torch.tensor([1.0, 1, 1, 1, 0])))
    direction = direction_of(blind, "4")
    start = linear.codes.mean(0, keepdims=True).astype(float)
    ends = start[0, 4] + safe_ranges(blind, start, [direction])[0, 0] * direction.sd
    assert ends == pytest.approx(np.quantile(linear.codes[:, 4], [0.0005, 0.9995]), abs=1e-4)


def test_sheet_shows_an_edit_without_and_with_the_detail(linear):
    rng = np.random.default_rng(9)
    picture = np.clip(linear.decode(linear.codes[:1])[0] + rng.normal(0, 20, (SIDE, SIDE, 1)), 0, 255).astype(np.uint8)
    (off,), (on,) = (edit(linear, picture, "0+=0.001s", preserve_detail=keep).columns for keep in (False, True))
    assert off.plain is None
    assert (on.plain == off.picture).all()
    error = [np.abs(one.astype(float) - picture).mean() for one in (on.plain, on.picture)]
    assert error[1] < 0.2 * error[0]
    widths = [edit_sheet(EditSheet(picture, picture, off.code, [column])).width for column in (off, on)]
    assert widths[1] > widths[0] + 150


def test_long_headings_and_names_stay_within_their_columns(linear):
    picture = linear.decode(linear.codes[:1])[0]
    names = ["0+=0.1s;1+=0.2s;2+=0.3s;3+=0.1s", "0=1;1=2;2=3;3=4;0=12.34567;1=23.45678"]
    sheet = edit_sheet(edit(linear, picture, *names), side=96)
    canvas = np.asarray(sheet)
    columns = (canvas < 128).any((0, 2))  # where there is ink
    gaps = [28 + i * 106 + 96 for i in range(4)]  # margin, then pictures of 96 with 10 between
    assert not any(columns[gap + 1 : gap + 9].any() for gap in gaps)


def test_paths(linear):
    first, last = linear.codes[0].astype(float), linear.codes[1].astype(float)
    for path in ("linear", "spherical", "density"):
        codes = interpolate(linear, first, last, 7, path)
        assert codes.shape == (7, LATENT)
        assert codes[[0, -1]] == pytest.approx(np.stack([first, last]))
    assert interpolate(linear, first, last, 3)[1] == pytest.approx((first + last) / 2)
    circle = slerp(np.array([1.0, 0]), np.array([0, 1.0]), np.linspace(0, 1, 5)[:, None])
    assert np.linalg.norm(circle, axis=1) == pytest.approx(1)
    assert np.diff(np.arctan2(circle[:, 1], circle[:, 0])) == pytest.approx(np.pi / 8)
    far = 3 * linear.codes.std(0)
    sides = np.array([far, -far]) * [1, 1, 1, 1, 0]
    first, last = sides + np.eye(LATENT)[4] * far
    dense, straight = (interpolate(linear, first, last, 9, path) for path in ("density", "linear"))
    support = linear.support
    density = [support.log_density((path - support.centre) @ support.whiten).sum() for path in (dense, straight)]
    assert density[0] > density[1]
    with pytest.raises(LatentdialError, match="linear, spherical, density"):
        interpolate(linear, first, last, 3, "curly")
    assert analogy(first, last, first) == pytest.approx(last)


def test_attributes_from_values_and_csv(linear, tmp_path):
    assert list(make_attribute("age", np.array([1.5, 2, 3, 4])).columns) == ["age"]
    assert list(make_attribute("hair", np.array(["bob", "bun", "bob", "bald"])).columns) == [
        "hair.bald",
        "hair.bob",
        "hair.bun",
    ]
    assert make_attribute("beard", np.array([0, 1, 1, 0])).columns["beard"].tolist() == [0, 1, 1, 0]
    named = make_attribute("skin", np.array([2, 0, 2, 1]), ["#ffdbb4", "pale rose", "dark"])
    assert {title: values.tolist() for title, values in named.columns.items()} == {
        "skin.ffdbb4": [0, 1, 0, 0],
        "skin.pale_rose": [0, 0, 0, 1],
        "skin.dark": [1, 0, 1, 0],
    }
    assert list(make_attribute("beard", np.array([0, 1, 1]), ["none", "full"]).columns) == ["beard.full"]
    path = tmp_path / "labels.csv"
    path.write_text("file,smile,who\nb.png,1,ann\na.png,0,bob\nfaces/d.png,1,bob\nc.png,0,ann\nnone.png,1,eve\n")
    index, (smile, who) = read_labels(path, ["x/a.png", "x/b.png", "c.png", "d.png"])
    assert index.tolist() == [1, 0, 3, 2]
    assert smile.columns["smile"].tolist() == [1, 0, 1, 0]
    assert who.columns["who.bob"].tolist() == [0, 1, 1, 0]
    with pytest.raises(LatentdialError, match="must hold their file names, as 1"):
        read_labels(path, ["1.png", "2.png"])
    path.write_text("file,smile\na.png\n")
    with pytest.raises(LatentdialError, match="as many cells a row"):
        read_labels(path, ["a.png"])


def test_side_effects_of_a_linear_codec(linear):
    rng = np.random.default_rng(8)
    values = np.stack([linear.codes[:, 0] > 0, rng.random(200) < 0.5]).astype(int)
    found = attribute_directions(linear, linear.codes, [make_attribute("a", values[0]), make_attribute("b", values[1])])
    reader = linear_reader(linear.codes, values[1].astype(float))
    first = with_side_effects(linear, found[:1], found)[0]
    assert first.side["b"] == pytest.approx(float(first.step @ reader), abs=0.05)


def test_a_direction_tells_what_it_does_to_attributes_strongest_first():
    side = {"age": 0.31, "beard": -0.84, "hat": 0.06, "smile": -0.2, "hair.bob": 0.12}
    direction = Direction("d", "canonical", np.ones(1), side=side)
    assert direction.reads() == ["beard -0.8", "age +0.3", "smile -0.2"]
    assert Direction("hat", "attribute", np.ones(1), side=side).reads() == ["hat +0.1", "beard -0.8", "age +0.3"]
    assert Direction("cap", "attribute", np.ones(1), side={"cap": -0.04}).reads() == ["cap +0.0"]
    assert Direction("d", "canonical", np.ones(1)).reads() == []


def test_the_strongest_and_the_named_come_first():
    kinds = ["canonical", "attribute", "axis", "axis", "examples", "attribute", "attribute"]
    ranked = [Direction(f"d{i}", kind, np.ones(1)) for i, kind in enumerate(kinds)]
    assert [one.name for one in foremost(ranked, 2)] == ["d0", "d1", "d4", "d5"]
    assert foremost(ranked, 9) == ranked


def test_attributes_are_read_by_what_is_learnt_of_them_where_it_is_trusted(linear):
    rng = np.random.default_rng(3)
    codec = replace(linear, training_codes=rng.normal(*linear.moments, (2000, LATENT)).astype(np.float32))
    along = codec.codes[:, 0]
    middle = (np.abs(along - along.mean()) < 0.6 * along.std()).astype(int)
    noise = (rng.random(2000) < 0.5).astype(int)
    attributes = [make_attribute("middle", middle), make_attribute("noise", noise)]
    found = attribute_directions(codec, codec.codes, attributes)
    linearly = attribute_reading(codec, found)(codec.codes)
    assert linearly == pytest.approx(codec.codes @ np.stack([one.normal for one in found], axis=1))
    learnt = learn_attributes(codec, codec.codes, [one.columns for one in attributes])
    assert [learnt.trusted(name) for name in ("middle", "noise")] == [True, False]
    known = replace(codec, attributes=learnt)
    assert {one.direction.name: one.weak for one in turned(known, measure(known, found))} == {
        "middle": False,
        "noise": True,
    }
    both = attribute_reading(replace(codec, attributes=learnt), found)(codec.codes)
    assert both[:, 1] == pytest.approx(linearly[:, 1])
    assert np.corrcoef(both[:, 0], middle)[0, 1] > 0.9 > 0.5 > abs(np.corrcoef(linearly[:, 0], middle)[0, 1])
    assert both[:, 0].std() == pytest.approx(1, abs=0.02)  # of a thousand of the codes


def test_stored_directions_come_back_exactly(tiny_runs, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(tiny_runs["fcn-ae"], run)
    codec = load(run)
    kept = measure(codec, axis_directions(codec)[:2] + canonical_directions(codec)[:2])
    learnt = learn_attributes(codec, codec.codes, [{"up": (codec.codes[:, 0] > 0).astype(float)}])
    save_directions(run, Stored(tuple(kept), (0.5, 0.7), codec.support, learnt))
    back, codes = load(run), torch.tensor(codec.codes)
    vector = torch.tensor(kept[0].vector, dtype=torch.float32)
    assert torch.equal(back.attributes.reader(codes), learnt.reader(codes))
    assert torch.equal(back.attributes.moved(codes, "up", vector, 2.0), learnt.moved(codes, "up", vector, 2.0))
    assert [d.name for d in back.directions] == ["0", "1", "c0", "c1"]
    for before, after in zip(kept, back.directions, strict=True):
        assert after.along(codec.codes) == pytest.approx(before.along(codec.codes), abs=1e-4)
        assert after.vector == pytest.approx(before.vector, abs=1e-6)
        assert after.effect.heat == pytest.approx(before.effect.heat, abs=1e-4)
        assert (after.sd, after.safe, after.effect.curve) == (before.sd, before.safe, before.effect.curve)
    assert back.support.score(back, back.codes) == pytest.approx(codec.support.score(codec, codec.codes), abs=1e-3)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda r: r["directions"][0].update(name="../x"), "cannot name a direction"),
        (lambda r: r["directions"][0].update(kind="magic"), "no kind 'magic'"),
        (lambda r: r["directions"][0].update(sd="NaN"), "no finite number"),
        (lambda r: r["directions"][0].pop("mean"), "not as it should be"),
        (lambda r: r["directions"].append(r["directions"][0]), "should be F32"),
        (lambda r: r.update(format=99), "format 99"),
        (lambda r: r.update(extra=1), "it needs format"),
        (lambda r: r.pop("format"), "it has no format"),
        (lambda r: r.update(limit=-1.0), "limit must be above zero"),
        (lambda r: r.update(attributes=[["magic", "a"]]), "of no known kind"),
        (lambda r: r.update(attributes=[["yes", "../a"]]), "without a proper name"),
        (lambda r: r.update(attributes=[["classes", "a", "a"]]), "without a proper name"),
        (lambda r: r.update(attributes={"a": 1}), "no list of names"),
        (lambda r: r.update(attributes=[["yes", "a"]]), "'attributes_[a-z0-9._]+' is missing"),
    ],
)
def test_hostile_directions_are_refused(tiny_runs, tmp_path, spoil, reason):
    run = tmp_path / "run"
    shutil.copytree(tiny_runs["fcn-ae"], run)
    codec = load(run)
    save_directions(run, Stored(tuple(axis_directions(codec)[:2]), (), codec.support))
    path = run / "directions.safetensors"
    record = json.loads(storage.tensor_metadata(path)["directions"])
    spoil(record)
    storage.save_tensors(path, load_file(path), {"directions": json.dumps(record)})
    with pytest.raises(LatentdialError, match=reason):
        load(run)


@pytest.fixture(scope="module")
def labelled_folder(discs, tmp_path_factory):
    """The discs as PNG files, and a CSV that says which are bright, how large they are, and a colour word."""
    folder = tmp_path_factory.mktemp("labelled")
    area = (discs[..., 0] != 230).mean((1, 2))
    red, blue = (np.array([picture[picture[..., 0] != 230][:, c].mean() for picture in discs]) for c in (0, 2))
    rows = ["file,bright,area,tint"]
    for i, picture in enumerate(discs):
        Image.fromarray(picture).save(folder / f"{i:02}.png")
        rows.append(
            f"{i:02}.png,{'yes' if red[i] > 100 else 'no'},{area[i]:.3f},{'warm' if red[i] > blue[i] else 'cold'}"
        )
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.mark.parametrize("method", ["mean", "ridge"])
def test_labels_from_a_file_make_directions_that_edits_use_and_keep(
    tiny_runs, labelled_folder, tmp_path, capsys, method
):
    run = tmp_path / "run"
    shutil.copytree(tiny_runs["fcn-ae"], run)
    labels = ["--labels", str(labelled_folder / "labels.csv"), "--data", str(labelled_folder)]
    assert main(["directions", str(run), *labels, "--method", method, "--json"]) == 0
    found = {one["name"]: one for one in json.loads(capsys.readouterr().out)["directions"]}
    assert {"bright.yes", "area", "tint.warm"} <= set(found)
    assert found["area"]["kind"] == "attribute"
    assert set(found["area"]["side"]) == {"bright.yes", "area", "tint.warm"}
    assert found["bright.yes"]["side"]["bright.yes"] > 0.2
    assert set(found["c0"]["side"]) == set(found["area"]["side"])
    assert main(["directions", str(run)]) == 0
    assert f"bright.yes {found['bright.yes']['side']['bright.yes']:+.1f}" in capsys.readouterr().out
    assert main(["dimensions", str(run), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["dimensions"]
    for row in rows:
        side = found[row["name"]]["side"] if row["name"] in found else {}
        assert len(row["reads"]) == sum(abs(change) >= 0.1 for change in side.values())
        assert all(f"{side[name]:+.1f}" == change for name, change in (one.split() for one in row["reads"]))
    assert main(["directions", str(run), "--top", "1", "--out", str(tmp_path / "sheet.png")]) == 0
    said = capsys.readouterr().out
    assert sum(line.split()[:1] == [name] for line in said.splitlines() for name in found) == 2
    assert "more names (see them with --top " in said
    assert all(name in said for name in ("bright.yes", "area", "tint.warm"))
    codec = load(run)
    assert set(codec.attributes.columns) == {"bright.yes", "area", "tint.warm"}
    rows = [line.split(",") for line in (labelled_folder / "labels.csv").read_text().splitlines()[1:]]
    picture = str(labelled_folder / min(rows, key=lambda row: float(row[2]))[0])
    assert main(["edit", str(run), picture, "area+=1s", "--keep", "bright.yes", "tint.warm", "--json"]) == 0
    (column,) = json.loads(capsys.readouterr().out)["edits"]
    with torch.no_grad():
        codes = torch.tensor(np.stack([codec.encode(picture)[0], np.array(column["code"])]), dtype=torch.float32)
        start, after = codec.attributes.reader(codec.encoder(codec.decoder(codes)))
    places = {name: codec.attributes.columns.index(name) for name in codec.attributes.columns}
    assert after[places["area"]] > start[places["area"]] + 0.2
    assert abs(after[places["bright.yes"]] - start[places["bright.yes"]]) < 0.2
    before, now = (float(text.removesuffix(" sd")) for text in column["moves"][0]["read"])
    assert now > before + 0.2


def test_svm_takes_yes_or_no_labels_only(tiny_runs, labelled_folder, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(tiny_runs["fcn-ae"], run)
    rows = [line.split(",") for line in (labelled_folder / "labels.csv").read_text().splitlines()]
    (tmp_path / "bright.csv").write_text("\n".join(",".join(row[:2]) for row in rows) + "\n")
    common = ["directions", str(run), "--data", str(labelled_folder), "--method", "svm"]
    assert main([*common, "--labels", str(tmp_path / "bright.csv"), "--without", "c0", "--json"]) == 0
    stored = load(run).directions
    bright, first = (next(d for d in stored if d.name == name) for name in ("bright.yes", "c0"))
    assert bright.vector @ first.vector == pytest.approx(0, abs=1e-6)
    capsys.readouterr()
    assert main([*common, "--labels", str(labelled_folder / "labels.csv")]) == 1
    assert "use --method mean or ridge" in capsys.readouterr().err


def test_directions_use_the_same_held_out_pictures_as_training(tmp_path):
    pictures = np.random.default_rng(0).integers(0, 255, (40, 16, 16, 3), dtype=np.uint8)
    pictures[20:] = pictures[:20]
    np.save(tmp_path / "twice.npy", pictures)
    train("fcn-ae", tmp_path / "twice.npy", tmp_path / "run", options={"latent": 3, "widths": [8]}, size=16, steps=2)
    codec = load(tmp_path / "run")
    training, held_out = run_pictures(codec)
    assert codec.encode(training.pixels[:]) == pytest.approx(codec.codes, abs=1e-5)
    seen = {picture.tobytes() for picture in training.pixels[:]}
    assert not any(picture.tobytes() in seen for picture in held_out.pixels[:])


def labelled(pictures: int, seed: int) -> tuple[list[dict[str, np.ndarray]], np.ndarray]:
    """Columns of a yes, a number and one of three, and all of them as (N, 5) with the number in sd from its mean."""
    rng = np.random.default_rng(seed)
    third = np.eye(3)[rng.integers(0, 3, pictures)]
    columns = [{"high": rng.integers(0, 2, pictures).astype(float)}, {"size": rng.normal(size=pictures)}]
    columns.append({f"third.{i}": third[:, i] for i in range(3)})
    truth = np.stack([values for one in columns for values in one.values()], axis=1)
    truth[:, 1] = (truth[:, 1] - truth[:, 1].mean()) / truth[:, 1].std()
    return columns, truth


def test_attributes_that_are_linear_in_the_code_move_alone_and_exactly(linear):
    columns, truth = labelled(600, seed=0)
    weight = 0.1 * np.random.default_rng(1).normal(size=(5, LATENT))
    codes = (truth @ weight + 0.3).astype(np.float32)
    attributes = learn_attributes(linear, codes, columns)
    start = torch.tensor(codes)
    for column, amount in (("high", 1.0), ("size", 2.0), ("size", -0.5)):
        change = weight[attributes.columns.index(column)]
        length = np.linalg.norm(change)
        vector = torch.tensor(change / length, dtype=torch.float32)
        moved = attributes.moved(start, column, vector, amount * length)
        share = amount * (truth[:, :1] == 0 if column == "high" else np.ones((600, 1)))  # what is high already stays
        assert (moved - start).numpy() == pytest.approx(share * change, abs=2e-5)


def test_a_category_takes_the_place_of_the_one_that_was_there(linear):
    columns, truth = labelled(600, seed=2)
    weight = 0.1 * np.random.default_rng(3).normal(size=(5, LATENT))
    codes = torch.tensor(truth @ weight, dtype=torch.float32)
    attributes = learn_attributes(linear, codes.numpy(), columns)
    others = codes[truth[:, 2] == 0]
    changes = weight[2] - (truth @ np.vstack([np.zeros((2, LATENT)), weight[2:]]))[truth[:, 2] == 0]
    mean = weight[2] - weight[3:].mean(0)
    vector, whole = torch.tensor(mean / np.linalg.norm(mean), dtype=torch.float32), float(np.linalg.norm(mean))
    own = changes @ vector.numpy() / whole  # the shorter the change of a code, the sooner it is whole
    for amount in (0.25, 0.5, 0.8, 3):
        share = np.minimum(amount / own, 1)
        eased = share**3 * (6 * share**2 - 15 * share + 10)
        moved = attributes.moved(others, "third.0", vector, amount * whole) - others
        exact = np.isclose(moved.numpy(), eased[:, None] * changes, atol=3e-4).all(1)
        assert exact.mean() > 0.95  # the reader takes a few for another category than theirs
    having = codes[truth[:, 2] == 1]
    stayed = (attributes.moved(having, "third.0", vector, 2 * whole) == having).all(1)
    assert stayed.float().mean() > 0.95


def test_steering_goes_by_attributes_where_they_are_read_well_and_is_linear_elsewhere(linear):
    columns, truth = labelled(600, seed=5)
    weight = 0.1 * np.random.default_rng(6).normal(size=(5, LATENT))
    codes = (truth @ weight).astype(np.float32)
    known = replace(linear, training_codes=codes, attributes=learn_attributes(linear, codes, columns))
    high, size = (make_direction(known, name, "attribute", weight[i]) for i, name in enumerate(("high", "size")))
    start, length = codes[truth[:, 0] == 0][0].astype(float), float(np.linalg.norm(weight[0]))
    assert known.attributes.trusted("high")
    assert steered(known, start, high, length, [size]) - start == pytest.approx(weight[0], abs=0.1 * length)
    assert steered(known, start, high, 3 * length, [size]) - start == pytest.approx(weight[0], abs=0.1 * length)
    known.attributes.reader.trust.zero_()
    moved = steered(known, start, high, length, [size]) - start
    assert abs(moved @ size.normal) < 0.1 * abs(weight[0] @ size.normal)


def test_an_edit_says_which_other_attributes_read_otherwise(linear):
    columns, truth = labelled(600, seed=5)
    weight = 0.1 * np.random.default_rng(6).normal(size=(5, LATENT))
    codes = (truth @ weight).astype(np.float32)
    known = replace(linear, training_codes=codes, attributes=learn_attributes(linear, codes, columns))
    low, size = weight[0], weight[1]
    both = make_direction(known, "both", "examples", low + 2 * size)
    named = replace(known, directions=(both, make_direction(known, "high", "attribute", low + 2 * size)))
    start = np.flatnonzero((truth[:, 0] == 0) & (np.abs(truth[:, 1]) < 0.5))[0]
    picture, amount = known.decode(codes[start])[0], float(np.linalg.norm(low + 2 * size))
    (other,), (own,) = (edit(named, picture, f"{name}+={amount}").columns for name in ("both", "high"))
    assert set(other.reads) == {"high", "size"}
    then, now = (float(text.removesuffix(" sd")) for text in other.reads["size"])
    assert now - then == pytest.approx(2, abs=0.3)
    assert [float(text.removesuffix("%")) for text in other.reads["high"]] == pytest.approx([0, 100], abs=15)
    assert f"size {other.reads['size'][1]} in place of {other.reads['size'][0]}" in other.sentence()
    assert set(own.reads) == {"size"}
    assert edit(replace(named, attributes=None), picture, "both+=1").columns[0].reads == {}


def test_mean_codes_follow_what_no_linear_map_can_and_trust_little_to_few_pictures():
    """Exclusive or of two labels; and codes that have nothing to do with the labels of forty pictures."""
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 2, (800, 2)).astype(float)
    either = (labels[:, 0] != labels[:, 1]).astype(float)[:, None] * [1.0, -2.0]
    torch.manual_seed(0)
    writer = train_writer(labels, (either + 0.05 * rng.normal(size=either.shape)).astype(np.float32))
    corners = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    wanted = np.array([[0, 0], [1, -2], [1, -2], [0, 0]])
    assert writer(corners).numpy() == pytest.approx(wanted, abs=0.1)
    noise = train_writer(labels[:40], rng.normal(size=(40, 2)).astype(np.float32))
    assert (noise(corners) - noise.linear(corners)).abs().max() < 0.5


def test_attributes_read_codes_and_leave_the_random_state_alone(linear):
    codes = linear.codes
    columns = [{"high": (codes[:, 0] > 0).astype(float)}, {"size": codes[:, 1].astype(float)}]
    thirds = np.digitize(codes[:, 3], np.quantile(codes[:, 3], [1 / 3, 2 / 3]))
    columns.append({f"third.{i}": (thirds == i).astype(float) for i in range(3)})
    before = torch.get_rng_state()
    reader = learn_attributes(linear, codes, columns).reader
    assert torch.equal(torch.get_rng_state(), before)
    read = reader(torch.tensor(codes)).numpy()
    assert ((read[:, 0] > 0.5) == (codes[:, 0] > 0)).mean() > 0.9
    assert np.corrcoef(read[:, 1], codes[:, 1])[0, 1] > 0.95
    assert read[:, 2:].sum(1) == pytest.approx(1, abs=1e-5)
    decided = reader.decided(torch.tensor(codes)).numpy()
    assert set(np.unique(decided[:, [0, 2, 3, 4]])) == {0.0, 1.0}
    assert (decided[:, 2:].argmax(1) == read[:, 2:].argmax(1)).all()


def test_commands(tiny_runs, discs, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(tiny_runs["fcn-ae"], run)
    for side, pictures in (("these", discs[:6]), ("those", discs[6:14])):
        (tmp_path / side).mkdir()
        for i, picture in enumerate(pictures):
            Image.fromarray(picture).save(tmp_path / side / f"{i}.png")
    assert main(["directions", str(run), "--out", str(tmp_path / "sheet.png"), "--top", "3"]) == 0
    assert "of the decoded variance" in capsys.readouterr().out
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 400
    examples = ["--these", str(tmp_path / "these"), "--those", str(tmp_path / "those"), "--name", "special"]
    assert main(["directions", str(run), *examples, "--json"]) == 0
    names = [one["name"] for one in json.loads(capsys.readouterr().out)["directions"]]
    assert {"c0", "c1", "special"} <= set(names)
    assert main(["directions", str(run), "--show", "special", "3", "--out", str(tmp_path / "sheet.png")]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[2:4]] == ["special", "3"]
    assert main(["directions", str(run), "--show", "nobody"]) == 1
    assert "no dimension or direction 'nobody'" in capsys.readouterr().err
    picture = str(tmp_path / "these" / "0.png")
    steer = ["special+=1s", "--keep", "c0", "--preserve_detail", "--out", str(tmp_path / "edit.png")]
    assert main(["edit", str(run), picture, *steer]) == 0
    assert "special goes from" in capsys.readouterr().out
    moving = str(tmp_path / "path.gif")
    other = str(tmp_path / "those" / "1.png")
    assert main(["interpolate", str(run), picture, other, "--path", "density", "-n", "5", "--out", moving]) == 0
    with Image.open(moving) as gif:
        assert gif.n_frames > 1
    assert main(["average", str(run), str(tmp_path / "these"), "--out", str(tmp_path / "mean.png")]) == 0
    assert main(["analogy", str(run), picture, other, picture, "--out", str(tmp_path / "d.png")]) == 0
    assert main(["directions", str(run), "--these", str(tmp_path / "these")]) == 1
    assert "--name NAME" in capsys.readouterr().err


def test_report_shows_directions_with_where_they_are_safe(tiny_runs, tmp_path):
    run, page = tmp_path / "run", tmp_path / "page.html"
    shutil.copytree(tiny_runs["fcn-ae"], run)
    assert main(["directions", str(run)]) == 0
    assert main(["report", str(run), "--out", str(page)]) == 0
    text = page.read_text()
    first = load(run).directions[0]
    assert "Directions, and how far they go" in text
    assert f'alt="where {first.title} acts"' in text
    assert f"safe {first.safe[0]:+.1f} to {first.safe[1]:+.1f} sd" in text
    turns = re.findall(r'alt="picture (\d) at ([^"]+?) along [^"]+"( class="inside")?', text)
    assert len(turns) == min(4, len(load(run).directions)) * 3 * 7
    as_is = [inside for _, at, inside in turns if at == "as is"]
    assert all(as_is)  # where a picture starts is never further out than where it starts
    assert main(["report", str(tiny_runs["fcn-vae"]), "--out", str(page)]) == 0
    assert "Directions, and how far they go" not in page.read_text()


def test_names_that_edits_cannot_have_are_changed_and_said():
    yes = np.array([0, 1, 0, 1])
    given = [make_attribute(name, yes) for name in ("5_o_Clock_Shadow", "c0", "7", "Big Nose", "Big_Nose", "x" * 99)]
    said: list[str] = []
    names = [name for one in named(given, said.append) for name in one.columns]
    assert names == ["_5_o_Clock_Shadow", "_c0", "_7", "Big_Nose", "Big_Nose_2", "x" * 50]
    assert all(NAME.fullmatch(name) for name in names)
    assert len(said) == 1
    assert "5_o_Clock_Shadow is _5_o_Clock_Shadow, c0 is _c0" in said[0]
    assert named([make_attribute("smile", yes)], said.append)[0].columns.keys() == {"smile"}
    assert len(said) == 1


def test_requests_are_looked_at_before_any_work(tiny_runs, tmp_path, monkeypatch):
    monkeypatch.setattr("latentdial.discovery.study.measure", lambda *_: pytest.fail("it worked first"))
    (tmp_path / "no.csv").write_text("file,smile\nelsewhere.png,1\n")
    for request in (
        Request(labels=str(tmp_path / "no.csv")),
        Request(labels=str(tmp_path / "missing.csv")),
        Request(labels="data"),
        Request(name="smile"),
        Request(these="gone", those="gone", name="smile"),
        Request(these="gone", those="gone", name="c0"),
        Request(without=["unknown"]),
    ):
        with pytest.raises(LatentdialError):
            study(tiny_runs["fcn-ae"], request, True, quiet)


def test_directions_say_where_all_pictures_are_alike(tmp_path, capsys):
    """Pictures of which one value differs by up to three levels."""
    pictures = np.full((30, 16, 16, 3), 120, np.uint8)
    pictures[:, 0, 0, 0] += np.arange(30, dtype=np.uint8) % 4
    np.save(tmp_path / "alike.npy", pictures)
    run = tmp_path / "run"
    train("fcn-ae", tmp_path / "alike.npy", run, options={"widths": [8]}, size=16, steps=1, show=False)
    said = "run: its pictures are all alike, by 0.0 levels of 255, and codes say nothing yet: train for longer, or on"
    for _ in ("found", "kept"):
        assert main(["directions", str(run)]) == 0
        assert said in capsys.readouterr().err
    assert main(["sample", str(run), "-n", "2", "--out", str(tmp_path / "s.png")]) == 0
    out = capsys.readouterr().out
    assert "vary by less than a level" in out
    assert "neighbours" not in out
