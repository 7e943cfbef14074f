"""`latentdial look` tells the truth about a folder, and `latentdial cache` about the cache."""

from __future__ import annotations

import json
import os
import re

import numpy as np
import pytest
from PIL import Image

from latentdial.cli import main
from latentdial.config import DataSettings, Geometry
from latentdial.images import Pictures, open_images
from latentdial.images.duplicates import exact_groups, near_groups, small_grey
from latentdial.images.survey import survey
from pictures import encoded, good_folder, hostile_files, photo, write_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = good_folder(tmp_path_factory.mktemp("look"), 60)
    write_folder(root, {f"a/{name}": data for name, (data, _) in hostile_files().items() if name < "05"})
    copy = encoded(photo(4))
    nearly = encoded(photo(6), quality=60)
    flat = encoded(Image.new("RGB", (30, 30), "#345678"), "PNG")
    return write_folder(root, {"b/copy.jpg": copy, "b/nearly.jpg": nearly, "a/flat.png": flat, "b/<b>.txt": b""})


@pytest.fixture(scope="module")
def looked(folder, tmp_path_factory, _own_cache):
    out = tmp_path_factory.mktemp("out")
    assert (
        main(["look", str(folder), "--out", str(out / "look.html"), "--sheet", str(out / "sheet.png"), "--size", "32"])
        == 0
    )
    return out


def test_the_survey_counts_what_is_there(folder):
    data = DataSettings(str(folder))
    found = survey(open_images(data, Geometry(size=32)), data).as_dict()
    assert found["pictures"] == 63
    assert found["exact_duplicates"] == [["a/004.jpg", "b/copy.jpg"]]
    assert found["near_duplicates"] == [["a/006.jpg", "b/nearly.jpg"]]
    assert found["blank"] == ["a/flat.png"]
    assert found["label_counts"] == {"b": 32, "a": 31}
    assert found["sizes"] == {"60×50": 62, "30×30": 1}
    assert found["formats"] == {"JPEG": 62, "PNG": 1}
    assert {name for name, _ in found["skipped_files"]} == {
        "b/<b>.txt",
        *(f"a/{n}" for n in hostile_files() if n < "05"),
    }
    assert json.loads(json.dumps(found)) == found


def test_mean_and_spread_are_those_of_the_pictures(discs_file, discs):
    data = DataSettings(str(discs_file))
    found = survey(open_images(data, Geometry(size=16)), data)
    assert np.allclose(found.mean, discs.mean(0))
    assert np.allclose(found.spread, discs.std(0), atol=1e-3)


def test_the_page_is_one_file_with_the_figures(looked):
    page = (looked / "look.html").read_text()
    assert "63 pictures" in page
    assert page.count("<h2>") >= 8
    for text in ("b/copy.jpg", "b/nearly.jpg", "a/flat.png", "a/02-text.jpg", "it is empty", "b/&lt;b&gt;.txt"):
        assert text in page
    assert not re.search(r"https?://|<script|<b>\.txt", page)


def test_the_sheet_is_a_picture_of_the_set(looked):
    with Image.open(looked / "sheet.png") as sheet:
        assert sheet.size == (3 * (16 * 34 - 2), 3 * (4 * 34 - 2))
        assert np.asarray(sheet).std() > 20


@pytest.mark.parametrize("source", ["avatars", "lfw"])
def test_look_at_built_ins_and_their_attributes(source, tmp_path, capsys):
    paths = ["--out", str(tmp_path / "look.html"), "--sheet", str(tmp_path / "look.png")]
    assert main(["look", source, *paths, "--limit", "40", "--size", "16", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pictures"] == 40
    assert ("hair" in (tmp_path / "look.html").read_text()) == (source == "avatars")


def test_few_pictures_can_be_looked_at(tmp_path, capsys):
    root = write_folder(tmp_path / "two", {f"{i}.png": encoded(photo(i), "PNG") for i in range(2)})
    paths = ["--out", str(tmp_path / "look.html"), "--sheet", str(tmp_path / "look.png")]
    assert main(["look", str(root), *paths]) == 0
    assert "2 pictures, 0 files left out" in capsys.readouterr().out


def test_a_page_that_cannot_be_written_is_an_error(folder, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["look", str(folder), "--size", "32", "--out", str(tmp_path / "file/look.html")]) == 1
    assert "--out" in capsys.readouterr().err


def test_the_cache_can_be_put_elsewhere_listed_and_cleared(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("LATENTDIAL_CACHE", os.environ["LATENTDIAL_CACHE"])  # put back after the test
    root, cache = good_folder(tmp_path / "pictures"), str(tmp_path / "cache")
    paths = ["--out", str(tmp_path / "look.html"), "--sheet", str(tmp_path / "look.png")]
    assert main(["look", str(root), *paths, "--cache", cache]) == 0
    capsys.readouterr()
    assert main(["cache", "list", "--cache", cache, "--json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert (entry["source"], entry["pictures"]) == (str(root), 12)
    assert main(["cache", "clear", "--cache", cache]) == 0
    assert "removed 1 decoded sets" in capsys.readouterr().out
    assert main(["cache", "list", "--cache", cache]) == 0
    assert str(root) not in capsys.readouterr().out


# duplicates ----------------------------------------------------------------------------------------------------------


def test_exact_groups():
    groups = exact_groups(np.array([7, 1, 7, 3, 1, 7], np.uint64))
    assert [group.tolist() for group in groups] == [[0, 2, 5], [1, 4]]
    assert exact_groups(np.arange(4)) == []


def pixels(pictures: list[Image.Image]) -> np.ndarray:
    return np.stack([np.asarray(picture.resize((32, 32))) for picture in pictures])


def noisy(picture: Image.Image, seed: int) -> Image.Image:
    noise = np.random.default_rng(seed).integers(-6, 7, (50, 60, 3))
    return Image.fromarray((np.asarray(picture, np.int64) + noise).clip(0, 255).astype(np.uint8))


def test_near_groups_finds_brighter_noisier_and_smaller_copies_and_nothing_else():
    originals = [photo(i) for i in range(40)]
    brighter = Image.fromarray((np.asarray(originals[3], np.int64) + 5).clip(0, 255).astype(np.uint8))
    smaller = originals[20].resize((40, 33)).resize((60, 50))
    groups = near_groups(Pictures.of(pixels([*originals, brighter, noisy(originals[9], 0), smaller])))
    assert sorted(map(list, groups)) == [[3, 40], [9, 41], [20, 42]]


def test_near_groups_finds_all_of_many_copies():
    """Sixty copies of one picture and thirty of another, among others, in any order."""
    pictures = [photo(i) for i in range(30)]
    pictures += [noisy(pictures[4], i) for i in range(59)] + [noisy(pictures[7], i) for i in range(29)]
    order = np.random.default_rng(1).permutation(len(pictures))
    groups = near_groups(Pictures.of(pixels([pictures[i] for i in order])))
    found = [sorted(order[group].tolist()) for group in groups]
    assert found == [[4, *range(30, 89)], [7, *range(89, 118)]]


def test_near_groups_misses_no_pair_that_differs_in_twelve_bits():
    """Compared with all pairs, looked at one by one."""
    rng = np.random.default_rng(2)
    base = rng.integers(0, 200, (40, 16, 17, 1)).repeat(3, 0)
    changed = base + rng.integers(0, 20, base.shape) * (rng.random(base.shape) < 0.4)
    pictures = changed.astype(np.uint8)
    small = small_grey(pictures)
    bits = (small[:, :, 1:] > small[:, :, :-1]).reshape(len(small), -1)
    distance = (bits[:, None] != bits).sum(-1)
    levels = np.abs(small[:, None] - small).mean((2, 3))
    alike = (distance <= 12) & (levels <= 6)
    assert 40 < np.triu(alike, 1).sum() < 100, "some copies are within the bounds, not all"
    groups = near_groups(Pictures.of(pictures))
    together = np.zeros_like(alike)
    for group in groups:
        together[np.ix_(group, group)] = True
    assert not (alike & ~together & ~np.eye(120, dtype=bool)).any()
    assert sum(map(len, groups)) == (alike.sum(1) > 1).sum()


@pytest.mark.parametrize("size", [8, 16, 33, 64])
def test_small_grey_takes_means_of_areas(size):
    picture = np.random.default_rng(0).integers(0, 255, (1, size, size, 3), np.uint8)
    small = small_grey(picture)
    assert small.shape == (1, 16, 17)
    assert small.mean() == pytest.approx(picture.mean(), rel=1e-4)
    if size == 64:
        expected = picture[0].mean(-1).reshape(16, 4, 64).mean(1)
        assert np.allclose(
            small[0, :, 0], (expected[:, :3].sum(1) + expected[:, 3] * (64 / 17 - 3)) / (64 / 17), atol=1e-2
        )
