"""Every source gives the same pictures, labels and attributes, and the cache and splits keep their promises."""

from __future__ import annotations

import csv
import gzip
import os
import shutil
import struct
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import datasets
import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from latentdial.config import DataSettings, Geometry
from latentdial.errors import LatentdialError
from latentdial.images import Check, Pictures, batch_order, open_at_once, open_images, read_picture, split_images
from latentdial.images.avatars import render
from latentdial.images.cache import cache_entries, cache_folder, clear_cache
from latentdial.images.folder import list_folder
from pictures import encoded, good_folder, photo, write_folder

GEOMETRY = Geometry(size=16)


def opened(source, geometry: Geometry = GEOMETRY, **settings):
    return open_images(DataSettings(str(source), **settings), geometry)


def test_a_folder_gives_pictures_in_the_order_of_their_names(tmp_path):
    root = good_folder(tmp_path)
    images = opened(root)
    assert images.names == sorted(images.names)
    for i in (0, 5, 11):
        assert (images.pixels[i] == read_picture(root / images.names[i], GEOMETRY)).all()
    assert images.label_names == ["a", "b"]
    assert [images.label_names[label] for label in images.labels] == [name[0] for name in images.names]
    assert images.originals["width"].tolist() == [60] * 12
    assert len(opened(root, limit=5)) == 5
    assert set(opened(root, limit=5).names) <= set(images.names)


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("colour", ["rgb", "grey", "keep"])
def test_geometry_is_one_policy_for_training_and_later_pictures(tmp_path, fit, colour):
    root = good_folder(tmp_path, 4)
    images = opened(root, Geometry(size=12, fit=fit, colour=colour, background="#204060"))
    assert images.pixels.shape == (4, 12, 12, 1 if colour == "grey" else 3)
    assert (images.pixels[0] == read_picture(root / images.names[0], images.geometry)).all()


def test_keep_is_grey_where_every_picture_is(tmp_path):
    write_folder(tmp_path, {f"{i}.png": encoded(photo(i).convert("L"), "PNG") for i in range(4)})
    assert opened(tmp_path, replace(GEOMETRY, colour="keep")).geometry.colour == "grey"
    write_folder(tmp_path, {"colour.png": encoded(photo(9), "PNG")})
    assert opened(tmp_path, replace(GEOMETRY, colour="keep")).geometry.colour == "rgb"


def save_npy(path: Path, pixels: np.ndarray) -> Path:
    np.save(path / "pictures.npy", pixels)
    return path / "pictures.npy"


def save_first(path: Path, pixels: np.ndarray) -> Path:
    return save_npy(path, np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))


def save_floats(path: Path, pixels: np.ndarray) -> Path:
    return save_npy(path, (pixels / 255).astype(np.float32))


def save_whole_numbers(path: Path, pixels: np.ndarray) -> Path:
    return save_npy(path, pixels.astype(np.int64))


def save_npz(path: Path, pixels: np.ndarray) -> Path:
    np.savez_compressed(path / "pictures.npz", images=pixels, labels=np.arange(48) % 3, radius=np.arange(48) / 7)
    return path / "pictures.npz"


def save_idx(path: Path, pixels: np.ndarray) -> Path:
    (path / "train-images-idx4-ubyte").write_bytes(struct.pack(">HBB4I", 0, 8, 4, *pixels.shape) + pixels.tobytes())
    labels = struct.pack(">HBBI", 0, 8, 1, 48) + bytes(i % 3 for i in range(48))
    (path / "train-labels-idx1-ubyte").write_bytes(labels)
    return path / "train-images-idx4-ubyte"


def save_idx_gz(path: Path, pixels: np.ndarray) -> Path:
    save_idx(path, pixels)
    for file in path.glob("*-ubyte"):
        (path / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    return path / "train-images-idx4-ubyte.gz"


@pytest.mark.parametrize(
    "save",
    [save_npy, save_first, save_floats, save_whole_numbers, save_npz, save_idx, save_idx_gz],
    ids=lambda f: f.__name__,
)
def test_arrays(tmp_path, discs, save):
    path = save(tmp_path, discs)
    for _ in range(2):  # from the file, then from the cache
        images = opened(path)
        assert (images.pixels[:] == discs).all()
        assert (opened(path, limit=7).pixels[:] == discs[:7]).all()
    if "idx" in path.name or path.suffix == ".npz":
        assert images.labels.tolist() == [i % 3 for i in range(48)]
        assert images.label_names == ["0", "1", "2"]
    if path.suffix == ".npz":
        assert images.factors["radius"].tolist() == (np.arange(48) / 7).tolist()


def test_arrays_of_another_size_are_fitted(tmp_path, discs):
    images = opened(save_npy(tmp_path, discs), Geometry(size=8, colour="grey"))
    assert images.pixels.shape == (48, 8, 8, 1)
    assert np.abs(images.pixels[:].mean() - discs.mean()) < 12


def test_levels_of_float_arrays(tmp_path, discs):
    path = save_npy(tmp_path, discs.astype(np.float32) / 127.5 - 1)
    with pytest.raises(LatentdialError, match=r"--levels, such as \[-1,1\]"):
        opened(path)
    assert (opened(path, replace(GEOMETRY, levels=[-1, 1])).pixels[:] == discs).all()


def test_a_gz_that_ends_early_is_refused(tmp_path, discs):
    path = save_idx_gz(tmp_path, discs)
    whole = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(whole[:-9]))
    with pytest.raises(LatentdialError, match="ends before its last picture"):
        opened(path)


def table_rows(root: Path) -> list[dict]:
    good_folder(root, 12)
    names = sorted(str(path.relative_to(root)) for path in root.rglob("*.jpg"))
    parts = ["train"] * 8 + ["val"] * 2 + ["test"] * 2
    rows = [
        {
            "file": name,
            "label": "cat" if i % 3 else "dog",
            "age": 20 + i,
            "mood": "good" if i % 2 else "bad",
            "split": part,
        }
        for i, (name, part) in enumerate(zip(names, parts, strict=True))
    ]
    return [*rows, {**rows[0], "file": "gone.jpg"}]


@pytest.mark.parametrize("kind", ["csv", "tsv", "parquet"])
def test_tables_bring_labels_attributes_and_the_split(tmp_path, kind):
    rows = table_rows(tmp_path)
    path = tmp_path / f"list.{kind}"
    if kind == "parquet":
        parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    else:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, rows[0], delimiter="\t" if kind == "tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    images = opened(path)
    assert images.names == [row["file"] for row in rows[:12]]
    assert [images.label_names[i] for i in images.labels] == [row["label"] for row in rows[:12]]
    assert images.factors["age"].tolist() == list(range(20, 32))
    assert [images.columns.categories["mood"][i] for i in images.factors["mood"]] == ["bad", "good"] * 6
    assert images.skipped == [("gone.jpg", "the table lists it and there is no such file")]
    parts = split_images(images, 0.2, seed=0)
    assert [len(parts.train), len(parts.validation), len(parts.test)] == [8, 2, 2]
    assert parts.test.tolist() == [10, 11]
    assert opened(path, split="seed").columns.parts is None
    assert opened(path, label="mood", split="seed").label_names == ["bad", "good"]


def test_a_label_that_a_set_does_not_have_is_refused_wherever_it_comes_from(tmp_path):
    folder = write_folder(tmp_path, {f"{kind}/{i}.png": encoded(photo(i), "PNG") for i in range(3) for kind in "ab"})
    np.save(tmp_path / "array.npy", np.zeros((8, 16, 16, 3), np.uint8))
    for source in (folder, tmp_path / "array.npy", "avatars"):
        with pytest.raises(LatentdialError, match="no column 'sex' for --label"):
            open_images(DataSettings(str(source), label="sex", limit=8), Geometry(16))
    assert opened(folder).label_names == ["a", "b"]


def test_a_factor_of_avatars_can_be_their_label():
    plain = open_images(DataSettings("avatars", limit=30), Geometry(16))
    images = open_images(DataSettings("avatars", limit=30, label="glasses"), Geometry(16))
    assert images.label_names == ["none", "clear", "sunglasses"]
    np.testing.assert_array_equal(images.labels, plain.factors["glasses"])
    assert images.factors.keys() == plain.factors.keys() - {"glasses"}


def test_copies_across_a_stated_split_go_to_training(tmp_path):
    files = {f"train/a/{i}.png": encoded(photo(i), "PNG") for i in range(8)}
    files |= {f"test/a/{i}.png": encoded(photo(i), "PNG") for i in range(6, 12)}
    images = opened(write_folder(tmp_path, files), split="folder")
    assert images.label_names == []
    parts = split_images(images, 0.2, seed=0)
    in_train = {images.names[i] for i in parts.train} | {images.names[i] for i in parts.validation}
    assert {"test/a/6.png", "test/a/7.png"} <= in_train
    assert {images.names[i] for i in parts.test} == {f"test/a/{i}.png" for i in range(8, 12)}
    assert len(parts.validation) >= 1
    assert parts.kept_together == 2


def test_a_split_column_with_other_words_is_refused(tmp_path):
    rows = [{"path": f"{i}.png", "split": "fold1"} for i in range(4)]
    write_folder(tmp_path, {row["path"]: encoded(photo(i), "PNG") for i, row in enumerate(rows)})
    (tmp_path / "list.csv").write_text("path,split\n" + "".join(f"{row['path']},fold1\n" for row in rows))
    with pytest.raises(LatentdialError, match="fold1"):
        split_images(opened(tmp_path / "list.csv"), 0.2, seed=0)


@pytest.fixture(scope="module")
def photos_with_labels(tmp_path_factory) -> datasets.DatasetDict:
    """Seven pictures for training and three for the test, as `datasets` holds them."""
    datasets.disable_progress_bars()
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"]), "age": datasets.Value("int32")}
    )
    rows = {"image": [photo(i) for i in range(10)], "label": [i % 2 for i in range(10)], "age": list(range(10))}
    whole = datasets.Dataset.from_dict(rows, features=features)
    return datasets.DatasetDict({"train": whole.select(range(7)), "test": whole.select(range(7, 10))})


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """`load_dataset` works with local files alone and keeps what it makes in the test's folder."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_OFFLINE", True)


def third(folder: Path) -> np.ndarray:
    return read_picture(write_folder(folder, {"3.png": encoded(photo(3), "PNG")}) / "3.png", GEOMETRY)


def test_datasets_saved_to_disk(tmp_path, photos_with_labels):
    photos_with_labels.save_to_disk(tmp_path / "set")
    images = opened(tmp_path / "set")
    assert images.names[:2] == ["train/0", "train/1"]
    assert (images.pixels[3] == third(tmp_path / "f")).all()
    assert images.label_names == ["cat", "dog"]
    assert images.factors["age"].tolist() == list(range(10))
    assert split_images(images, 0.3, 0).test.tolist() == [7, 8, 9]
    photos_with_labels["train"].save_to_disk(tmp_path / "one")
    assert len(opened(tmp_path / "one")) == 7


def test_datasets_loaded_by_a_local_builder(tmp_path, photos_with_labels, offline):
    """hf:FOLDER with Parquet files of embedded pictures, as repositories on the hub have them."""
    (tmp_path / "repository/data").mkdir(parents=True)
    for part, rows in photos_with_labels.items():
        rows.to_parquet(tmp_path / f"repository/data/{part}-00000-of-00001.parquet")
    images = opened(f"hf:{tmp_path / 'repository'}")
    assert images.names == [*(f"train/{i}" for i in range(7)), *(f"test/{i}" for i in range(3))]
    assert (images.pixels[3] == third(tmp_path / "f")).all()
    assert [images.label_names[i] for i in images.labels[:2]] == ["cat", "dog"]
    assert split_images(images, 0.3, 0).test.tolist() == [7, 8, 9]


def test_datasets_whose_pictures_are_files(tmp_path, offline):
    root = good_folder(tmp_path / "pictures")
    images = opened(f"hf:{root}")
    assert (len(images), images.label_names) == (12, ["a", "b"])
    plain = opened(root)
    assert sorted(images.hashes.tolist()) == sorted(plain.hashes.tolist())


def test_a_data_set_that_is_not_there_is_an_error(offline):
    with pytest.raises(LatentdialError, match="cannot load the data set hf:nobody/nothing"):
        opened("hf:nobody/nothing")


def test_parquet_with_the_pictures_in_it(tmp_path, photos_with_labels):
    """The layout of Hugging Face, in several groups of rows, one picture of them broken and one missing."""
    path = tmp_path / "train.parquet"
    photos_with_labels["train"].to_parquet(path, batch_size=3)
    whole = opened(path)
    assert whole.names == [f"train[{i}]" for i in range(7)]
    assert (whole.pixels[3] == third(tmp_path / "f")).all()
    assert whole.label_names == ["cat", "dog"]
    assert whole.factors["age"].tolist() == list(range(7))
    pictures = [{"bytes": encoded(photo(i)), "path": f"{i}.jpg"} for i in range(10)]
    pictures[4] = {"bytes": b"text", "path": "4.jpg"}
    pictures[5] = None
    write_folder(tmp_path, {"6.jpg": encoded(photo(66))})
    pictures[6] = {"bytes": None, "path": "6.jpg"}
    parquet.write_table(pyarrow.table({"image": pictures}), path, row_group_size=4)
    images = opened(path)
    assert dict(images.skipped) == {"train[4]": "it holds no picture of a known format", "train[5]": "it is empty"}
    assert (images.pixels[4] == read_picture(tmp_path / "6.jpg", GEOMETRY)).all()
    parquet.write_table(pyarrow.table({"picture": [encoded(photo(3), "PNG")] * 4, "label": list("abab")}), path)
    plain = opened(path)
    assert (plain.pixels[2] == third(tmp_path / "f")).all()
    assert plain.label_names == ["a", "b"]


@pytest.mark.parametrize("damage", [lambda data: data[:-30], lambda data: b"text", lambda data: b""])
def test_damaged_parquet_is_an_error(tmp_path, damage):
    path = tmp_path / "list.parquet"
    parquet.write_table(pyarrow.table({"path": ["a.png"], "age": [1]}), path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(LatentdialError, match="cannot read the table"):
        opened(path)


def test_a_script_without_a_main_guard_draws_avatars_once(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import latentdial\n"
        "print('top level')\n"
        "settings = dict(limit=24, size=16, steps=2, batch=8, options={'latent': 4, 'widths': [8]})\n"
        f"latentdial.train('fcn-ae', 'avatars', {str(tmp_path / 'run')!r}, precision='float32', **settings)\n"
    )
    own = {**os.environ, "LATENTDIAL_CACHE": str(tmp_path / "cache")}
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, env=own)
    assert (done.returncode, done.stdout) == (0, "top level\n"), done.stderr
    assert (tmp_path / "run/model.safetensors").is_file()


def test_avatars_are_drawn_once_and_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("LATENTDIAL_CACHE", str(tmp_path))
    seen: list[tuple[int, int]] = []
    pixels, factors = render(6, 32, lambda done, total: seen.append((done, total)))
    assert seen == [(i + 1, 6) for i in range(6)]
    assert factors["hair"].shape == (6,)
    again, _ = render(6, 32, lambda done, total: seen.append((done, total)))
    assert (again == pixels).all()
    assert len(seen) == 6


def test_what_is_no_source_is_refused(tmp_path):
    for source in ("nothing-here", tmp_path / "none.npy"):
        with pytest.raises(LatentdialError, match="there are no pictures at"):
            opened(source)


# cache and memory ----------------------------------------------------------------------------------------------------


def test_an_interrupted_first_pass_goes_on_where_it_was(tmp_path):
    root, seen = good_folder(tmp_path, 100), []

    def stop(_what: str, done: int, total: int) -> None:
        seen.append((done, total))
        if len(seen) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_images(DataSettings(str(root)), GEOMETRY, stop)
    seen.append(("again", 0))
    images = open_images(DataSettings(str(root)), GEOMETRY, lambda _what, done, total: seen.append((done, total)))
    assert seen[-1] == (36, 36)
    assert all((images.pixels[i] == read_picture(root / images.names[i], GEOMETRY)).all() for i in (0, 40, 99))


def test_cache_list_and_clear(tmp_path, monkeypatch):
    monkeypatch.setenv("LATENTDIAL_CACHE", str(tmp_path / "cache"))
    root = good_folder(tmp_path / "pictures")
    images = opened(root)
    (entry,) = cache_entries()
    assert (entry.source, entry.pictures, entry.size) == (str(root), 12, 16)
    assert clear_cache()[0] == 1
    assert cache_entries() == []
    assert (images.pixels[3] == read_picture(root / images.names[3], GEOMETRY)).all(), "an open set outlives its entry"


def at_once(root: Path, **settings):
    return open_at_once(DataSettings(str(root), **settings), GEOMETRY)


def test_a_warm_start_gives_the_same_set_before_it_looks_at_any_file(tmp_path, monkeypatch):
    from latentdial.images import sources

    root = write_folder(good_folder(tmp_path), {"a/bad.jpg": b"text", "notes.txt": b"hello"})
    first, check = at_once(root)
    assert check.wait() == 0
    looked, real = threading.Event(), sources.list_folder
    monkeypatch.setattr(sources, "list_folder", lambda *args: looked.wait(60) and real(*args))
    again, check = at_once(root)
    assert (again.pixels[:] == first.pixels[:]).all()
    assert (again.names, again.label_names, again.labels.tolist()) == (
        first.names,
        first.label_names,
        first.labels.tolist(),
    )
    assert (again.skipped, again.notes) == (first.skipped, first.notes)
    assert check.changed == 0
    looked.set()
    assert check.wait() == 0


def test_a_file_overwritten_in_place_is_found_beside_the_work(tmp_path):
    """It leaves its folder's time of change as it was, so that only a look at the file itself can tell."""
    root = good_folder(tmp_path)
    at_once(root)
    for name in ("a/000.jpg", "b/003.jpg"):
        (root / name).write_bytes(encoded(photo(70)))
    stale, check = at_once(root)
    assert check.wait() == check.changed == 2
    fresh = opened(root)
    assert (fresh.pixels[0] == read_picture(root / "a/000.jpg", GEOMETRY)).all()
    assert (fresh.pixels[0] != stale.pixels[0]).any()
    assert at_once(root)[1].wait() == 0


def test_a_change_outside_a_limit_is_found_once(tmp_path):
    root = good_folder(tmp_path)
    few = opened(root, limit=4).names
    (root / next(name for name in opened(root).names if name not in few)).write_bytes(encoded(photo(70)))
    assert at_once(root, limit=4)[1].wait() == 1
    opened(root, limit=4)
    assert at_once(root, limit=4)[1].wait() == 0
    assert (opened(root).pixels[:] == np.stack([read_picture(root / n, GEOMETRY) for n in opened(root).names])).all()


@pytest.mark.parametrize("change", ["added", "removed", "renamed", "folder"])
def test_what_a_folder_tells_is_noticed_before_a_warm_start(tmp_path, change):
    root = good_folder(tmp_path)
    before = opened(root).names
    if change == "added":
        (root / "b/new.jpg").write_bytes(encoded(photo(71)))
    elif change == "removed":
        (root / "b/001.jpg").unlink()
    elif change == "renamed":
        (root / "b/001.jpg").rename(root / "b/new.jpg")
    else:
        write_folder(root, {"c/new.jpg": encoded(photo(72))})
    images, check = at_once(root)
    assert images.names == opened(root).names != before
    assert check.wait() == 0
    assert at_once(root)[0].names == images.names


def test_a_check_of_a_folder_that_is_gone_says_so(tmp_path):
    root = good_folder(tmp_path / "pictures")
    opened(root)
    listing = list_folder(root)
    shutil.rmtree(root)
    assert Check(lambda: listing.difference(list_folder(root))).wait() == 1


def test_a_limit_shares_what_is_decoded(tmp_path, monkeypatch):
    from latentdial.images import cache

    monkeypatch.setenv("LATENTDIAL_CACHE", str(tmp_path / "cache"))
    root, real, decoded = good_folder(tmp_path / "pictures"), cache.decode_all, []
    monkeypatch.setattr(cache, "decode_all", lambda count, *rest: decoded.append(count) or real(count, *rest))
    assert len(opened(root, limit=5)) == 5
    whole = opened(root)
    few = opened(root, limit=7)
    assert decoded == [5, 7]
    assert (few.pixels[:] == whole.pixels[[whole.names.index(name) for name in few.names]]).all()
    assert len(cache_entries()) == 1
    assert [at_once(root, limit=4)[0].names, len(at_once(root)[0])] == [opened(root, limit=4).names, 12]


def test_a_full_disk_is_an_error_before_anything_is_written(tmp_path, monkeypatch):
    from latentdial.images import cache

    monkeypatch.setattr(cache, "SPARE", 1 << 60)
    with pytest.raises(LatentdialError, match="its disk has"):
        opened(good_folder(tmp_path))


def test_pictures_are_views_until_they_are_read(discs):
    pictures = Pictures.of(discs).take(np.arange(40)[::-1]).take(np.array([0, 3, 5]))
    assert pictures.shape == (3, 16, 16, 3)
    assert (pictures[:] == discs[[39, 36, 34]]).all()
    assert (np.asarray(pictures) == pictures[:]).all()
    assert (np.concatenate(list(pictures.chunks(2))) == pictures[:]).all()


def test_resident_memory_stays_flat_over_a_mapped_set(tmp_path):
    """A 400 MB array is read twice in random batches; the process grows by less than 60 MB."""
    path = tmp_path / "large.npy"
    header = np.lib.format.open_memmap(path, "w+", np.uint8, (100_000, 64, 64, 1))
    header[::1000] = 7
    del header
    code = (
        "import sys, numpy as np; from latentdial.config import *; from latentdial.images import *\n"
        "def resident(): return int(open('/proc/self/statm').read().split()[1]) * 4096 / 1e6\n"
        "images = open_images(DataSettings(sys.argv[1], limit=100_000), Geometry(64, colour='grey'))\n"
        "before, most, total = resident(), 0, 0\n"
        "for epoch in (0, 1):\n"
        "    order = batch_order(len(images), 0, epoch)\n"
        "    for i in range(0, len(order), 256):\n"
        "        total += int(images.pixels[order[i:i + 256]].sum()); most = max(most, resident())\n"
        "print(total == 2 * 100 * 7 * 64 * 64, most - before)"
    )
    if sys.platform != "linux":
        pytest.skip("reads /proc")
    right, grown = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=True
    ).stdout.split()
    assert right == "True"
    assert float(grown) < 60


def test_order_is_a_function_of_seed_and_epoch():
    assert (batch_order(50, 3, 2) == batch_order(50, 3, 2)).all()
    assert (batch_order(50, 3, 2) != batch_order(50, 3, 1)).any()
    assert sorted(batch_order(50, 0, 0)) == list(range(50))


@pytest.mark.parametrize("name", ["pixels.u8", "index.npz", "manifest.json"])
def test_the_cache_is_not_written_through_links(tmp_path, name, monkeypatch):
    monkeypatch.setenv("LATENTDIAL_CACHE", str(tmp_path / "cache"))
    root = good_folder(tmp_path)
    opened(root)
    (entry,) = (path.parent for path in (cache_folder() / "sets").glob("*/manifest.json"))
    (tmp_path / "victim").write_bytes(b"kept")
    (entry / name).unlink()
    (entry / name).symlink_to(tmp_path / "victim")
    (root / "new.jpg").write_bytes(encoded(photo(71)))
    assert "new.jpg" in opened(root).names
    assert (tmp_path / "victim").read_bytes() == b"kept"
    assert not (entry / name).is_symlink()


def test_cut_avatars_are_drawn_again(tmp_path, monkeypatch):
    monkeypatch.setenv("LATENTDIAL_CACHE", str(tmp_path))
    before = np.array(open_images(DataSettings("avatars", limit=6), Geometry(16)).pixels[:])
    path = next(cache_folder().glob("avatars-*6x16*.npy"))
    path.write_bytes(path.read_bytes()[:-100])
    assert np.array_equal(open_images(DataSettings("avatars", limit=6), Geometry(16)).pixels[:], before)
