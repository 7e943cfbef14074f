"""Effects in levels, by a decoder whose changes can be computed by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import latentdial
from latentdial.latent.direction import Direction, Directions
from latentdial.latent.effect import active_units, alike, dimensions, effects, measure_effect, real_codes
from latentdial.latent.naming import raw_directions
from latentdial.report.comparison import Comparison
from latentdial.report.figures import said_of

GAIN = np.array([[[1.0, 3.0], [2.0, 6.0]]])  # (1, 2, 2), of mean 3
SQUARES = SimpleNamespace(levels=lambda z: np.square(z[:, 0])[:, None, None, None] * GAIN)


def measured(*starts: float):
    start = np.array(starts)[:, None]
    return measure_effect(SQUARES, Direction("up", "axis", np.ones(1), sd=1.0), start, SQUARES.levels(start))


def test_an_effect_by_hand():
    """Of z^2 a step of +-1 changes 1 and 1 at 0, 3 and 1 at 1, 5 and 3 at 2: in the mean 1, 2 and 4, times the gain."""
    found = measured(0, 1, 2)
    each = 3 * np.array([1, 2, 4])
    margin = 1.96 * each.std(ddof=1) / math.sqrt(3)
    assert (found.levels, found.low, found.high) == pytest.approx((7, 7 - margin, 7 + margin))
    np.testing.assert_allclose(found.heat, 7 / 3 * GAIN.mean(2))
    assert found.curve == pytest.approx({-3.0: 15, -2.0: 8, -1.0: 5, 1.0: 9, 2.0: 24, 3.0: 45})
    proportional = 28 * (0**2 + 2**2 + 4**2)  # of 2 z t, summed over t^2; the rest is t^2
    assert found.linearity == pytest.approx(proportional / (proportional + 3 * 196), rel=1e-6)


def test_of_one_code_there_is_no_margin_and_a_still_picture_is_linear():
    one = measured(2)
    assert (one.levels, one.low, one.high) == (12, 12, 12)
    start = np.zeros((2, 1))
    still = measure_effect(SQUARES, Direction("up", "axis", np.zeros(1)), start, SQUARES.levels(start))
    assert (still.levels, still.linearity) == (0, 1)


@pytest.fixture
def codec():
    """A linear codec of 48 values and 3 numbers with sd 0.3, 0.1 and 0.01, whose decoder repeats its basis."""
    basis = torch.eye(48)[:3] * 4 ** torch.arange(3)[:, None]
    encoder, decoder = torch.nn.Linear(48, 3, bias=False), torch.nn.Linear(3, 48, bias=False)
    encoder.weight.data, decoder.weight.data = basis, basis.T.contiguous()
    codes = np.random.default_rng(0).choice([-1.0, 1.0], (60, 3)) * [0.3, 0.1, 0.01]
    plain = latentdial.wrap(encoder, decoder, size=4)
    return latentdial.Codec(plain.encoder, plain.decoder, plain.geometry, training_codes=codes.astype(np.float32))


def test_real_codes_are_spread_from_the_first_to_the_last(codec):
    np.testing.assert_array_equal(real_codes(codec, 3), codec.codes[[0, 29, 59]])
    np.testing.assert_array_equal(real_codes(codec, 60), codec.codes)
    np.testing.assert_array_equal(real_codes(codec, 99), codec.codes)


def test_raw_dimensions_are_ranked_and_told_with_what_is_known_of_them(codec):
    codec = replace(codec, kl=np.array([0.5, 0.25, 0.0], np.float32))
    table = dimensions(codec, raw=True)
    assert [row.name for row in table.rows] == ["1", "0", "2"]
    sds = codec.moments[1]
    assert [row.effect for row in table.rows] == pytest.approx(
        [127.5 * sds[i] * 4**i / 48 for i in (1, 0, 2)], rel=1e-3
    )
    assert [row.kl for row in table.rows] == [0.25, 0.5, 0.0]
    assert [row.active for row in table.rows] == [False, True, False]  # of variances 0.01, 0.09 and 0.0001
    assert active_units(codec) == 1
    assert table.codes == 24
    assert table.rows[0].share is None
    assert table.to_frame().loc["0", "kl"] == 0.5
    assert dimensions(replace(codec, kl=None), raw=True).rows[0].kl is None


def test_shares_of_canonical_coordinates_add_up(codec):
    rows = dimensions(codec).rows
    assert [row.share for row in rows] == pytest.approx(codec.canonical.shares.tolist())
    assert rows[-1].share == pytest.approx(1)
    assert (rows[0].active, rows[0].kl, rows[0].reads) == (None, None, ())


def test_what_was_measured_is_not_measured_again(codec):
    known = Direction("0", "axis", np.array([1.0, 0, 0]), sd=0.3, effect=SimpleNamespace(levels=5.0), side={"0": 0.4})
    codec = replace(codec, directions=Directions((known,)))
    told: list[tuple[int, int]] = []
    own = Direction("mine", "examples", np.array([0.0, 0, 1]), sd=float(codec.moments[1][2]))
    found = effects(codec, [*raw_directions(codec), own], lambda done, of: told.append((done, of)))
    assert found[0] == 5
    assert found[2] == pytest.approx(found[3])
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert codec.measured.keys() == {"1", "2"}
    codec.measured["1"] = 7.0
    assert effects(codec, raw_directions(codec))[:2] == [5, 7]
    row = next(row for row in dimensions(codec, raw=True).rows if row.name == "0")
    assert (row.effect, row.reads) == (5, ("0 +0.4",))


@pytest.mark.parametrize(("level", "told"), [(0.5, False), (0.49, True)])
def test_pictures_that_codes_hardly_change_are_said_to_be_alike(codec, level, told):
    """Four coordinates of half a level each make one together."""
    canonical = replace(codec.canonical, levels=np.full(4, level))
    silent = replace(codec, stored_canonical=canonical)
    assert bool(alike(silent)) == told
    assert alike(codec) == ""
    assert ("pictures are all alike, by 1.0 levels" in said_of(silent, dimensions(codec))) == told
    runs = SimpleNamespace(runs=[SimpleNamespace(name="young", codec=silent), SimpleNamespace(name="old", codec=codec)])
    assert [one.startswith("young: its pictures are all alike") for one in Comparison.silent.fget(runs)] == [
        told
    ] * told
