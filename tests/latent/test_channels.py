"""Codes over a grid are turned by channels, never as hundreds of nameless dimensions."""

from __future__ import annotations

import numpy as np
import pytest

import latentdial
from latentdial import LatentdialError
from latentdial.cli import main
from latentdial.discovery import study
from latentdial.explorer import make_content
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
    with pytest.raises(LatentdialError, match="has channels ch0 to ch2, numbers 0 to 191, canonical"):
        latentdial.edit(spatial, discs[0], "smile+=1")


def test_a_single_number_is_called_by_its_place(spatial, codec, discs):
    """Number 75 is the 11th of channel 1, in row 1 and column 3 of 8."""
    sentence = latentdial.edit(spatial, discs[0], "75+=1").sentences()[0]
    assert "channel 1, row 1, column 3 goes from" in sentence
    assert direction_of(spatial, "75").title == "channel 1, row 1, column 3"
    assert direction_of(codec, "5").title == "dimension 5"
    assert "dimension 5 goes from" in latentdial.edit(codec, discs[0], "5+=1").sentences()[0]


def test_the_explorer_says_what_a_code_is_made_of(spatial, codec):
    assert make_content(spatial, need_nets=False).manifest["code"] == "3 channels over 8 x 8 places"
    assert make_content(codec, need_nets=False).manifest["code"] == "6 dimensions"


def test_a_code_without_places_has_no_channels(codec):
    with pytest.raises(LatentdialError, match="this code has no channels"):
        direction_of(codec, "ch0")
    assert len(raw_directions(codec)) == codec.latent


def test_scores_are_about_channels_and_say_so(spatial, codec, tiny_runs, discs, tmp_path, monkeypatch, capsys):
    np.savez(tmp_path / "discs.npz", images=discs, bright=(discs.mean((1, 2, 3)) > discs.mean()).astype(int))
    seen, run = [], tiny_runs["fcn-ae"]
    monkeypatch.setattr(study, "scores", lambda codes, _: seen.append(codes.shape[1]) or {"MIG": 0.5})
    for one in (spatial, codec):
        monkeypatch.setattr("latentdial.cli.disentanglement.load_run", lambda _, one=one: one)
        assert main(["disentanglement", str(run), "--data", str(tmp_path / "discs.npz")]) == 0
    first, second = (line for line in capsys.readouterr().out.splitlines() if "1 is best" in line)
    assert first == f"{run}: 3 channels over 8 x 8 places, each read as the mean over its places; 1 is best"
    assert second == f"{run}: 6 dimensions; 1 is best"
    assert seen == [3, 6]
