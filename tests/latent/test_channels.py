"""Codes over a grid are turned by channels, never as hundreds of nameless dimensions."""

from __future__ import annotations

import numpy as np
import pytest

import latentdial
from latentdial import LatentdialError
from latentdial.explorer.dials import find_dials
from latentdial.latent.naming import channels_of, direction_of, raw_directions
from latentdial.report.compare import classic_edits
from latentdial.report.figures import said_of


@pytest.fixture(scope="module")
def spatial(discs_file, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "spatial"
    options = {"latent": 3, "width": 8}
    latentdial.train("spatial-vae", discs_file, out, options=options, size=16, batch=16, steps=60, lr=3e-3)
    return latentdial.load(out)


def test_a_channel_moves_every_place_by_one_and_is_read_as_their_mean(spatial):
    assert spatial.latent == 3 * 8 * 8
    one = direction_of(spatial, "ch1")
    code = spatial.codes[:4].astype(np.float64)
    moved = (code + 2 * one.vector - code).reshape(4, 3, 8, 8)
    np.testing.assert_allclose(moved[:, 1], 2)
    assert not moved[:, [0, 2]].any()
    np.testing.assert_allclose(one.along(code), code.reshape(4, 3, 64).mean(2)[:, 1])
    np.testing.assert_allclose(one.along(code + 2 * one.vector), one.along(code) + 2)
    assert one.sd == pytest.approx(spatial.codes.reshape(-1, 3, 64).mean(2)[:, 1].std(), rel=1e-5)


def test_tables_and_dials_show_channels(spatial):
    table = latentdial.dimensions(spatial, raw=True)
    assert sorted(row.name for row in table.rows) == ["ch0", "ch1", "ch2"]
    assert sum(row.kl for row in table.rows) == pytest.approx(spatial.kl.sum(), rel=1e-5)
    assert {dial.kind for dial in find_dials(spatial)} == {"canonical", "channel"}
    assert [one.title for one in raw_directions(spatial)] == ["channel 0", "channel 1", "channel 2"]
    assert said_of(spatial, table).startswith("3 channels over 8 x 8 places, ")


def test_of_hundreds_of_canonical_coordinates_those_are_measured_that_tell(spatial, codec):
    assert len(spatial.canonical.steps) > 32
    names = [row.name for row in latentdial.dimensions(spatial).rows]
    assert names == [f"c{i}" for i in range(spatial.canonical.telling)]
    assert len(latentdial.dimensions(codec).rows) == codec.latent


def test_a_report_edits_channels_and_scores_are_about_them(spatial, codec):
    assert classic_edits(spatial) == ["ch1*=2", "ch0*=10", "c1*=2", "c0*=10"]
    assert classic_edits(codec) == ["1*=2", "0*=10", "c1*=2", "c0*=10"]
    read = [one.along(spatial.codes) for one in raw_directions(spatial)]
    np.testing.assert_allclose(channels_of(spatial, spatial.codes), np.stack(read, 1), atol=1e-5)
    assert channels_of(codec, codec.codes) is codec.codes


def test_edits_take_channels_by_name(spatial, discs):
    edited = latentdial.edit(spatial, discs[0], "ch2+=1")
    change = (edited.columns[0].code - spatial.encode(discs[0])[0]).reshape(3, 64)
    np.testing.assert_allclose(change[2], 1, atol=1e-5)
    with pytest.raises(LatentdialError, match="there is no ch3: this code has channels ch0 to ch2"):
        latentdial.edit(spatial, discs[0], "ch3+=1")


def test_a_code_without_places_has_no_channels(codec):
    with pytest.raises(LatentdialError, match="this code has no channels"):
        direction_of(codec, "ch0")
    assert len(raw_directions(codec)) == codec.latent
