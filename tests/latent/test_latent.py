"""Steering, proved on a linear decoder whose effects are known in closed form."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import latentdial
from latentdial import LatentdialError
from latentdial.latent.direction import Direction
from latentdial.latent.effect import effect_of, measure_effect

SIDE, LATENT = 4, 3
PIXELS = SIDE * SIDE * 3


@pytest.fixture(scope="module")
def linear():
    """A linear pair: orthonormal encoder rows, decoder their transpose; codes with sd 0.3, 0.1 and 0."""
    rng = np.random.default_rng(0)
    basis = torch.tensor(np.linalg.qr(rng.normal(size=(PIXELS, LATENT)))[0].T, dtype=torch.float32)
    encoder, decoder = torch.nn.Linear(PIXELS, LATENT, bias=False), torch.nn.Linear(LATENT, PIXELS, bias=False)
    encoder.weight.data, decoder.weight.data = basis, basis.T.contiguous()
    codes = (rng.choice([-1.0, 1.0], (400, LATENT)) * [0.3, 0.1, 0.0]).astype(np.float32)
    codec = latentdial.wrap(encoder, decoder, size=SIDE)
    return latentdial.Codec(codec.encoder, codec.decoder, codec.geometry, training_codes=codes), basis.numpy()


def test_codes_that_decode_to_no_numbers_are_an_error_and_no_black_picture(linear):
    codec = replace(linear[0], decoder=lambda z: linear[0].decoder(z) * z.sum() / 0)
    with pytest.raises(LatentdialError, match="makes no picture of such a code"):
        codec.decode(np.zeros((1, LATENT)))


def test_effect_of_a_linear_decoder(linear):
    codec, basis = linear
    table = latentdial.dimensions(codec, raw=True)
    sds = codec.moments[1]
    for row in table.rows:
        expected = 127.5 * sds[int(row.name)] * np.abs(basis[int(row.name)]).mean()
        assert row.effect == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert [row.effect for row in table.rows] == sorted((row.effect for row in table.rows), reverse=True)
    assert [row.active for row in sorted(table.rows, key=lambda row: row.name)] == [True, False, False]


def test_the_effect_is_the_mean_of_both_sides():
    squares = SimpleNamespace(levels=lambda z: np.square(z)[:, None, None])
    start, step = np.ones((3, 1)), np.ones(1)
    assert effect_of(squares, start, squares.levels(start), step) == pytest.approx((3 + 1) / 2)
    found = measure_effect(squares, Direction("up", "axis", step, sd=1.0), start, squares.levels(start))
    assert found.curve == {-3.0: 3.0, -2.0: 0.0, -1.0: 1.0, 1.0: 3.0, 2.0: 8.0, 3.0: 15.0}


def test_a_dimension_that_does_not_vary_is_told_so_and_never_as_millions_of_sd(linear):
    """The mean of many equal float32 is not one of them to the bit, so their standard deviation is rounding."""
    codes = linear[0].codes.copy()
    codes[:, 2] = 0.3769656
    assert 0 < codes[:, 2].std() < 1e-5
    still = replace(linear[0], training_codes=codes)
    assert [moment[2] for moment in still.moments] == [np.float32(0.3769656), 0]
    sheet = latentdial.edit(still, np.zeros((SIDE, SIDE, 3), np.uint8), "2=4")
    assert sheet.columns[0].moves[0].sds == 0
    assert "to 4.00, where all training codes are alike at 0.38" in sheet.columns[0].moves[0].sentence()


def test_a_direction_tells_its_title_and_the_side_effects_that_count():
    side = {"smile": 1.04, "age": -0.26, "hair": 0.5, "glasses": 0.18, "beard": 0.09}
    one = Direction("smile", "attribute", np.ones(1), side=side)
    assert one.reads() == ["smile +1.0", "hair +0.5", "age -0.3"]
    assert one.reads(9) == ["smile +1.0", "hair +0.5", "age -0.3", "glasses +0.2"]
    assert Direction("smile", "attribute", np.ones(1), side={"smile": -0.04}).reads() == ["smile +0.0"]
    assert [Direction("ch7", "channel", np.ones(1)).title, Direction("7", "axis", np.ones(1)).title] == [
        "channel 7",
        "dimension 7",
    ]


def test_tables_are_alike_where_their_rows_are(linear):
    table = latentdial.dimensions(linear[0])
    assert table == replace(table, codec=None)


def test_edits_do_what_they_say(linear):
    codec, basis = linear
    picture = codec.decode(np.array([0.2, -0.1, 0.05], np.float32))[0]
    sheet = latentdial.edit(codec, picture, "0*=2", "1+=1s;2=0.5")
    code = sheet.code
    double, several, together = (column.code for column in sheet.columns)
    assert np.allclose(double, code * [2, 1, 1])
    assert np.allclose(several, [code[0], code[1] + codec.moments[1][1], 0.5], atol=1e-6)
    assert np.allclose(together, [2 * code[0], several[1], 0.5], atol=1e-6)
    change = sheet.columns[0].change
    assert change.mean == pytest.approx(127.5 * abs(code[0]) * np.abs(basis[0]).mean(), rel=1e-3)
    assert sheet.columns[0].moves[0].before == pytest.approx(float(code[0]))
    assert "0*=2: dimension 0 goes from" in sheet.sentences()[0]


def test_many_pictures_are_edited_together_as_each_alone(tiny_runs, discs):
    codec = latentdial.load(tiny_runs["fcn-ae"])
    for options in ({}, {"keep": ["c1", "2"]}, {"preserve_detail": True}):
        together = latentdial.edit(codec, discs[:5], "c0+=1", "1*=2; 0-=0.5s", **options)
        for sheet, disc in zip(together, discs[:5], strict=True):
            alone = latentdial.edit(codec, disc, "c0+=1", "1*=2; 0-=0.5s", **options)
            assert np.array_equal(sheet.source, disc)
            assert [column.label for column in sheet.columns] == ["c0+=1", "1*=2; 0-=0.5s", "all together"]
            for ours, single in zip(sheet.columns, alone.columns, strict=True):
                assert ours.code == pytest.approx(single.code, abs=1e-3)
                assert np.abs(ours.picture.astype(int) - single.picture).max() <= 1
                assert ours.out == pytest.approx(single.out, abs=1e-2)
                for one, other in zip(ours.moves, single.moves, strict=True):
                    assert (one.before, one.after) == pytest.approx((other.before, other.after), abs=1e-3)
    assert len(latentdial.edit(codec, [discs[0]], "c0+=1")) == 1
    with pytest.raises(LatentdialError, match="at least one"):
        latentdial.edit(codec, discs[:0], "c0+=1")


@pytest.mark.parametrize(
    ("text", "says"),
    [("3*=2", "0 to 2"), ("smile+=1", "0 to 2"), ("0*=3e38;0*=3e38", "stay within"), ("1=nan", "cannot read")],
)
def test_edits_that_cannot_be(linear, text, says):
    codec, _ = linear
    picture = codec.decode(np.array([0.2, -0.1, 0.05], np.float32))[0]
    with pytest.raises(LatentdialError, match=says):
        latentdial.edit(codec, picture, text)


class Tuple(torch.nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x), None


def test_wrap_takes_pictures_flat_vectors_tuples_and_spatial_codes():
    picture = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
    conv, back = torch.nn.Conv2d(3, 2, 4, stride=4), torch.nn.ConvTranspose2d(2, 3, 4, stride=4)
    for encoder, decoder in ((conv, back), (Tuple(conv), Tuple(back))):
        codec = latentdial.wrap(encoder, decoder, size=8, value_range=(0, 1), images=picture)
        assert codec.encode(picture).shape == (2, 8)
        assert codec.reconstruct(picture).shape == picture.shape
        assert len(latentdial.dimensions(codec, raw=True).rows) == 8
        assert len(latentdial.edit(codec, picture[0], "1*=2", "0*=10").columns) == 3


def test_wrap_says_what_does_not_fit():
    with pytest.raises(LatentdialError, match="size="):
        latentdial.wrap(torch.nn.Linear(7, 2), torch.nn.Linear(2, 7), size=8)


def test_codes_are_needed_for_effects_and_said_so():
    codec = latentdial.wrap(torch.nn.Linear(48, 2), torch.nn.Linear(2, 48), size=4)
    with pytest.raises(LatentdialError, match="fit"):
        latentdial.dimensions(codec)


def test_sampling(tiny_runs):
    ae, vae = (latentdial.load(tiny_runs[name]) for name in ("fcn-ae", "fcn-vae"))
    assert ae.sample(5).shape == (5, 16, 16, 3)
    assert np.array_equal(vae.sample(5, seed=3), vae.sample(5, seed=3))
    assert not np.array_equal(vae.sample(5, seed=3), vae.sample(5, seed=4))
    with pytest.raises(LatentdialError, match="no prior"):
        ae.sample(1, prior="model")
    drawn = ae.sample_codes(20_000)
    assert np.allclose(drawn.mean(0), ae.codes.mean(0), atol=0.05 * ae.codes.std(0).max())
    root = ae.priors["gaussian"].whitening.root
    assert np.allclose(np.cov(drawn.T), root @ root.T, atol=0.05 * ae.codes.var(0).max())
    assert np.allclose(np.diag(root @ root.T), ae.codes.var(0), rtol=1e-3)
    still = vae.sample(2, temperature=0)
    assert np.array_equal(still[0], still[1])


def test_encoding_does_not_depend_on_the_batch(tiny_runs, discs):
    for folder in tiny_runs.values():
        codec = latentdial.load(folder)
        alone = np.concatenate([codec.encode(disc) for disc in discs[:5]])
        assert np.allclose(alone, codec.encode(discs)[:5], atol=1e-5)
        assert np.array_equal(codec.encode(discs), codec.encode(discs))
