"""Canonical coordinates of trained runs: in effects, edits, files and commands."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from latentdial.cli import main
from latentdial.discovery.measuring import measure
from latentdial.errors import LatentdialError
from latentdial.explorer import find_dials
from latentdial.latent.editing import apply_edits, edit
from latentdial.latent.effect import dimensions, real_codes
from latentdial.latent.grammar import parse_edits
from latentdial.latent.naming import canonical_directions, direction_of
from latentdial.latent.traversing import strip_of
from latentdial.runs.loading import CANONICAL, load


def test_plus_makes_the_picture_brighter(codec):
    found = canonical_directions(codec)
    start = real_codes(codec, 24).astype(float)
    for one in found[:2]:
        change = (codec.levels(start + 0.1 * one.step) - codec.levels(start - 0.1 * one.step)).mean(0)
        if abs(change.mean()) > 0.2 * np.sqrt(np.square(change).mean()):
            assert change.mean() > 0


def test_a_coordinate_is_set_and_the_others_stay(codec):
    code = codec.codes[5]
    names = [one.name for one in canonical_directions(codec)]
    before = codec.canonical.coordinates(code)
    for text, wanted in (("c1=0", 0.0), ("c1+=2", before[1] + 2), ("c1-=2s", before[1] - 2), ("c1=1.5s", 1.5)):
        (edited,), ((move,),) = apply_edits(codec, code[None], parse_edits(text))
        after = codec.canonical.coordinates(edited)
        assert after[1] == pytest.approx(wanted, abs=1e-3)
        assert np.delete(after, 1) == pytest.approx(np.delete(before, 1), abs=1e-3)
        assert (move.before, move.after) == pytest.approx((before[1], wanted), abs=1e-3)
        assert move.sds == pytest.approx(wanted, abs=1e-3)
        low, high = np.quantile(codec.canonical.coordinates(codec.codes)[:, 1], [0.0005, 0.9995])
        assert (move.low, move.high) == pytest.approx((low, high), abs=1e-3)
    assert "c1 goes from" in edit(codec, codec.decode(code)[0], "c1=0").sentences()[0]
    with pytest.raises(LatentdialError, match=f"canonical coordinates c0 to {names[-1]}"):
        apply_edits(codec, code[None], parse_edits("c99+=1"))


def test_a_coordinate_that_is_kept_stays_while_a_raw_dimension_moves(codec):
    codes, kept = codec.codes[:20], direction_of(codec, "c0")
    most = np.abs(codec.canonical.readers[0] * codec.codes.std(0)).argmax()  # the raw dimension that moves c0 most
    edits = parse_edits(f"{most}+=1s")
    plain, _ = apply_edits(codec, codes, edits)
    held, _ = apply_edits(codec, codes, edits, [kept])
    moved = [np.abs(kept.along(some) - kept.along(codes)).mean() for some in (plain, held)]
    assert moved[1] < 0.5 * moved[0]


def test_strips_pass_through_the_picture_itself(codec):
    code = codec.codes[3].astype(float)
    strip = strip_of(codec, code, direction_of(codec, "c0"), 3, 2.0)
    assert np.array_equal(strip.pictures[1], codec.decode(code[None])[0])
    assert np.array_equal(strip.pictures[2], codec.decode((code + 2 * codec.canonical.steps[0])[None])[0])


def test_effects_are_one_measurement_wherever_they_are_shown(codec):
    table = {row.name: row.effect for row in [*dimensions(codec).rows, *dimensions(codec, raw=True).rows]}
    fresh = replace(codec)
    assert {dial.name: dial.effect for dial in find_dials(fresh)}.items() <= {**table}.items()
    for one in measure(fresh, canonical_directions(fresh)):
        assert one.effect.levels == pytest.approx(table[one.name], rel=1e-4)
    assert [row.name for row in dimensions(codec).rows] == [f"c{i}" for i in range(len(codec.canonical.steps))]
    assert dimensions(codec).rows[-1].share == pytest.approx(1)


def test_they_are_kept_with_the_run_and_found_where_it_has_none(tiny_runs, tmp_path):
    for folder in tiny_runs.values():
        kept = load(folder)
        assert kept.stored_canonical is not None
        found = replace(kept, stored_canonical=None).canonical
        assert kept.canonical.levels == pytest.approx(found.levels, rel=1e-3)
        assert kept.canonical.coordinates(kept.codes) == pytest.approx(found.coordinates(kept.codes), abs=1e-2)


def test_a_file_that_is_no_basis_is_refused(tiny_runs, tmp_path):
    import shutil

    from safetensors.numpy import load_file, save_file

    run = tmp_path / "run"
    shutil.copytree(tiny_runs["fcn-ae"], run)
    arrays = load_file(run / CANONICAL)
    for spoilt in (
        arrays | {"readers": arrays["readers"] * 2},
        arrays | {"levels": -arrays["levels"]},
        arrays | {"centre": arrays["centre"] * np.float32(np.nan)},
        {**arrays, "more": arrays["levels"]},
    ):
        save_file(spoilt, run / CANONICAL)
        with pytest.raises(LatentdialError, match=CANONICAL):
            load(run)


def test_a_name_of_a_coordinate_cannot_name_anything_else(codec):
    from latentdial.latent.naming import make_direction

    with pytest.raises(LatentdialError, match="choose another"):
        make_direction(codec, "c3", "examples", np.ones(codec.latent))


def test_commands_know_them(tiny_runs, discs, tmp_path, capsys):
    from PIL import Image

    Image.fromarray(discs[0]).save(tmp_path / "disc.png")
    run = str(tiny_runs["fcn-ae"])
    assert main(["edit", run, str(tmp_path / "disc.png"), "c0+=2", "--keep", "c1"]) == 0
    assert "c0 goes from" in capsys.readouterr().out
    assert main(["dimensions", run]) == 0
    assert "share so far" in capsys.readouterr().out
