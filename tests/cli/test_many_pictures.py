"""Many pictures and the way back: edits of sets, pictures of codes, strips, neighbours and grids, as users run them."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import latentdial
from latentdial.cli import main
from latentdial.codes.tables import open_codes
from latentdial.errors import LatentdialError
from latentdial.latent.traversing import HARDLY, REACHES, VISIBLE, _most
from latentdial.report.grids import pairs_by_label
from latentdial.storage import save_tensors
from latentdial.texts import FileNames, tame


@pytest.fixture(scope="module")
def folder(discs, tmp_path_factory) -> Path:
    """Sub-folders a and b with six discs each, two of them with one stem."""
    root = tmp_path_factory.mktemp("set")
    for i, disc in enumerate(discs[:12]):
        sub = root / "ab"[i % 2]
        sub.mkdir(exist_ok=True)
        Image.fromarray(disc).save(sub / (f"{i}.png" if i > 1 else "same.png"))
    Image.fromarray(discs[2]).save(root / "a" / "same.bmp")
    return root


@pytest.fixture(scope="module")
def run(tiny_runs) -> str:
    return str(tiny_runs["fcn-vae"])


def opened(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


def test_every_picture_of_a_set_is_edited_as_alone(run, folder, codec, tmp_path, capsys):
    out = tmp_path / "edited"
    assert main(["edit", run, str(folder), "c0+=2", "1=0", "--out-dir", str(out)]) == 0
    assert "edited 13 pictures" in capsys.readouterr().out
    rows = list(csv.DictReader((out / "changes.csv").read_text().splitlines()))
    assert len(rows) == 39
    assert {row["saved"] for row in rows} >= {"a/2.png", "a/same.png", "a/same-2.png", "b/same.png"}
    alone = latentdial.edit(codec, str(folder / "b" / "7.png"), "c0+=2", "1=0")
    assert (opened(out / "b" / "7.png") == alone.columns[-1].picture).all()
    mine = {row["edit"]: row for row in rows if row["picture"] == "b/7.png"}
    assert float(mine["c0+=2"]["levels"]) == pytest.approx(alone.columns[0].change.mean, abs=2e-3)
    assert float(mine["c0+=2"]["c0 after"]) == pytest.approx(float(mine["c0+=2"]["c0 before"]) + 2, abs=1e-3)
    assert mine["c0+=2"]["1 before"] == ""
    assert float(mine["all together"]["1 after"]) == 0


def test_edits_of_many_hold_some_pictures_at_a_time(codec, folder, tmp_path, monkeypatch):
    sizes = []

    def watched(codec, pixels, *edits, **how):
        sizes.append(len(pixels))
        return latentdial.edit(codec, pixels, *edits, **how)

    monkeypatch.setattr("latentdial.report.many.edit", watched)
    np.save(tmp_path / "many.npy", np.concatenate([codec.pictures(np.zeros((1, 16, 16, 3), np.uint8))] * 300))
    done = latentdial.edit_many(codec, tmp_path / "many.npy", "c0+=1", out_dir=tmp_path / "out")
    assert sizes == [128, 128, 44]
    assert done.pictures == 300 == len(list((tmp_path / "out").glob("*.png")))
    assert done.levels > 0


def test_the_edited_picture_alone_and_sheets(run, folder, codec, tmp_path, capsys):
    picture = str(folder / "a" / "2.png")
    assert main(["edit", run, picture, "c0+=2", "--save", str(tmp_path / "alone.png"), "--json"]) == 0
    capsys.readouterr()
    assert (opened(tmp_path / "alone.png") == latentdial.edit(codec, picture, "c0+=2").columns[0].picture).all()
    args = [
        "edit",
        run,
        picture,
        str(folder / "b"),
        "c0+=2",
        "--out-dir",
        str(tmp_path / "sheets"),
        "--sheets",
        "--json",
    ]
    assert main(args) == 0
    assert json.loads(capsys.readouterr().out)["pictures"] == 7
    assert opened(tmp_path / "sheets" / "2.png").shape[1] > 500


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["edit", "{run}", "{set}", "c0+=1", "--out", "x.png"], "name a folder with --out-dir"),
        (["edit", "{run}", "{set}", "c0+=1", "--save", "x.png"], "name a folder with --out-dir"),
        (["edit", "{run}", "{picture}", "c0+=1", "--sheets"], "--sheets goes with --out-dir"),
        (["edit", "{run}", "{set}", "smile+=1", "--out-dir", "x"], "no dimension or direction 'smile'"),
        (["edit", "{run}", "{set}", "c0+1", "--out-dir", "x"], "cannot read edit"),
        (["edit", "{run}", "nowhere", "c0+=1", "--out-dir", "x"], "there are no pictures at 'nowhere'"),
        (["decode", "{run}", "nowhere.npy", "--out", "x"], "there is nothing at nowhere.npy"),
        (["decode", "{run}", "{picture}", "--out", "x"], "holds no codes"),
        (["decode", "{run}", "{set}", "--out", "x"], "holds no complete codes"),
        (["decode", "{run}", "{long}", "--out", "x"], "have 6 numbers, and these have 7"),
        (["decode", "{run}", "{long}", "--out", "x.tiff"], "choose an --out ending in .npy or .png"),
        (
            ["traverse", "{run}", "{picture}", "c0", "--out", "x.mp4"],
            "choose an --out ending in .png, .gif, .webp, .html or .htm",
        ),
        (["traverse", "{run}", "{picture}", "c99", "--out", "x.png"], "there is no c99"),
        (["traverse", "{run}", "{picture}", "c0", "-n", "2", "--out", "x.png"], "from 3 to 99 pictures"),
        (["nearest", "{run}", "{picture}", "-n", "0"], "from 1 to 100"),
        (["interpolate", "{run}", "{picture}"], "LAST is missing"),
        (["interpolate", "{run}", "{set}", "--grid", "same", "--by", "hair"], "there is no attribute 'hair'"),
        (["interpolate", "{run}", "{set}/a", "--grid", "same"], "have no labels"),
        (["interpolate", "{run}", "{set}", "--grid", "same", "--out", "x.gif"], "a grid is a .png"),
    ],
)
def test_errors_come_before_work(run, folder, tmp_path, monkeypatch, capsys, args, says):
    np.save(tmp_path / "long.npy", np.zeros((2, 7), np.float32))
    monkeypatch.chdir(tmp_path)
    places = {"run": run, "set": folder, "picture": folder / "a" / "2.png", "long": tmp_path / "long.npy"}
    assert main([arg.format(**places) for arg in args]) == 1
    said = capsys.readouterr().err.splitlines()
    assert says in said[-1]
    assert all(line.startswith("reading pictures") for line in said[:-1])
    assert not (tmp_path / "x").exists() or not list((tmp_path / "x").iterdir())


def test_pictures_to_codes_and_back(run, folder, codec, tmp_path, capsys):
    assert main(["encode", run, str(folder), "--out", str(tmp_path / "codes")]) == 0
    assert main(["decode", run, str(tmp_path / "codes"), "--out", str(tmp_path / "again")]) == 0
    assert "wrote 13 pictures" in capsys.readouterr().out
    again = codec.reconstruct(str(folder / "b" / "7.png"))[0]
    assert np.abs(opened(tmp_path / "again" / "b" / "7.png").astype(int) - again).max() <= 1
    codes = latentdial.read_codes(tmp_path / "codes")[:]
    np.save(tmp_path / "codes.npy", codes)
    save_tensors(tmp_path / "codes.safetensors", {"codes": codes, "other": codes[:2]})
    lines = [",".join([f"p{i}", *map(str, row)]) for i, row in enumerate(codes.tolist())]
    (tmp_path / "codes.csv").write_text("\n".join(["name,a,b,c,d,e,f", *lines]))
    (tmp_path / "bare.csv").write_text("\n".join(line.split(",", 1)[1] for line in lines))
    wanted = codec.decode(codes)
    for name in ("codes.npy", "codes.safetensors", "codes.csv", "bare.csv"):
        latentdial.decode_codes(codec, tmp_path / name, tmp_path / "all.npy")
        assert (np.load(tmp_path / "all.npy") == wanted).all(), name
    latentdial.decode_codes(codec, tmp_path / "codes.csv", tmp_path / "named")
    assert (opened(tmp_path / "named" / "p3.png") == wanted[3]).all()
    assert latentdial.decode_codes(codec, tmp_path / "codes.npy", tmp_path / "sheet.png").pictures == 13


@pytest.mark.parametrize(
    "text", ["", "a,b\n", "1,2\n3\n", "1,2\n3,x\n", "1,nan\n", "1,1e50\n", 'x,"1\n2,3\n', "\x00\n", "h,1\nk,2,3\n"]
)
def test_tables_that_hold_no_codes_are_refused(tmp_path, text):
    (tmp_path / "bad.csv").write_text(text)
    with pytest.raises(LatentdialError, match=r"bad\.csv"):
        list(open_codes(tmp_path / "bad.csv").batches())


def test_a_strip_goes_as_far_as_can_be_seen(codec, discs, run, folder, tmp_path, capsys):
    found = latentdial.traverse(codec, discs[3], "c0", "5")
    own = codec.reconstruct(discs[3])[0]
    for strip in found.strips:
        assert (strip.pictures[3] == own).all()
        ends = [np.abs(np.diff(latentdial.traverse(codec, discs[3], strip.direction.name, n=3, reach=one)
                               .strips[0].pictures[[0, 2]].astype(float), axis=0)) for one in REACHES]  # fmt: skip
        seen = [one for one, apart in zip(REACHES, ends, strict=True) if _most(apart) >= VISIBLE + 1]
        assert strip.reach <= min(seen, default=REACHES[-1])
        assert strip.seen == (strip.most >= HARDLY)
    assert replace(found.strips[0], most=60.0, levels=41.0).sentence().endswith(" sd")
    assert replace(found.strips[0], most=9.0).sentence().endswith(", hardly to be seen")
    picture = str(folder / "a" / "2.png")
    for name in ("s.png", "s.gif", "s.webp", "s.html"):
        assert main(["traverse", run, picture, "c0", "0", "--out", str(tmp_path / name)]) == 0
    assert "c0: " in capsys.readouterr().out
    with Image.open(tmp_path / "s.gif") as moving:
        assert moving.n_frames == 32
    page = (tmp_path / "s.html").read_text()
    assert page.count("image/webp") == 2
    assert 'src="http' not in page


def test_the_nearest_are_those_of_brute_force(codec, discs, discs_file, run, folder, tmp_path, capsys):
    found = latentdial.nearest(codec, discs[5], str(discs_file), n=4)
    codes = codec.encode(discs)
    apart = np.linalg.norm(codes - codes[5], axis=1)
    levels = np.sqrt(np.square(discs.astype(float) - discs[5]).mean((1, 2, 3)))
    for one, order in ((found.by_code, apart.argsort()), (found.by_pixels, levels.argsort())):
        assert [each.name for each in one] == [f"{discs_file.stem}[{i}]" for i in order[order != 5][:4]]
    pairs = np.linalg.norm(codec.codes[:, None] - codec.codes, axis=-1)
    mean = pairs.sum() / (len(pairs) * (len(pairs) - 1))
    assert found.by_code[0].code == pytest.approx(np.sort(apart)[1] / mean, rel=1e-3)
    assert (found.copies, found.total) == (1, 48)
    assert main(["nearest", run, str(folder / "a" / "2.png"), str(folder), "--out", str(tmp_path / "n.png")]) == 0
    assert "3 exact copies" not in (said := capsys.readouterr().out)
    assert "2 exact copies of the picture left out" in said
    assert main(["nearest", run, str(folder / "a" / "2.png"), "-n", "3", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["by_code"]) == 3


def test_pairs_have_the_labels_asked_for(run, folder, tmp_path, capsys):
    labels = np.random.default_rng(0).integers(0, 4, 60)
    same, other = pairs_by_label(labels, True, 12, 0), pairs_by_label(labels, False, 12, 0)
    assert (labels[same[:, 0]] == labels[same[:, 1]]).all()
    assert (same[:, 0] != same[:, 1]).all()
    assert labels[same[:4, 0]].tolist() == [0, 1, 2, 3]
    assert (labels[other[:, 0]] != labels[other[:, 1]]).all()
    with pytest.raises(LatentdialError, match="different"):
        pairs_by_label(np.arange(5), True, 3, 0)
    out = tmp_path / "grid.png"
    assert main(["interpolate", run, str(folder), "--grid", "same", "--rows", "4", "--out", str(out), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["first"] for row in rows] == ["a", "b", "a", "b"] == [row["last"] for row in rows]
    assert opened(out).shape[0] > 4 * 80


def test_names_of_files_stay_in_their_folder():
    assert tame("../..//etc/./passwd") == "etc/passwd"
    assert tame("..") == tame("") == tame("/") == "picture"
    assert tame("C:\\x\\.hidden\x00y") == "C/x/hidden_y"
    names = FileNames()
    assert [names.of(n) for n in ("x.jpg", "x.png", "x-2.png", "set 3", "v1.5/x")] == [
        "x.png", "x-2.png", "x-2-2.png", "set 3.png", "v1.5/x.png",
    ]  # fmt: skip
