"""Rows 1-44 of the bad inputs, each with the outcome that the documentation promises."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from latentdial.config import DataSettings, Geometry
from latentdial.errors import LatentdialError
from latentdial.images import ImageSet, open_images, read_picture, split, split_images
from latentdial.images import pool as pool_module
from latentdial.images.cache import cache_folder
from latentdial.images.pool import Worker
from pictures import NOT_UTF8, encoded, good_folder, hostile_files, odd_but_good_files, photo, write_folder

GEOMETRY = Geometry(size=16)


def opened(source: Path | str, geometry: Geometry = GEOMETRY, **settings) -> ImageSet:
    return open_images(DataSettings(str(source), **settings), geometry)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory) -> ImageSet:
    """All hostile and all odd files in one folder, with links, pipes and folders among them."""
    root = good_folder(tmp_path_factory.mktemp("mixed"), 60)
    write_folder(root, {name: data for name, (data, _) in hostile_files().items()} | odd_but_good_files())
    outside = write_folder(
        tmp_path_factory.mktemp("outside"), {"far.jpg": encoded(photo(99)), "up/more.jpg": encoded(photo(98))}
    )
    (root / NOT_UTF8).write_bytes(encoded(photo(9)))
    write_folder(root, {"27-folder.jpg/inside.jpg": encoded(photo(97)), "notes.txt": b"hello", ".hidden.jpg": b"x"})
    os.mkfifo(root / "28-pipe.jpg")
    (root / "29-loop").symlink_to(root)
    (root / "29-self.jpg").symlink_to(root / "29-self.jpg")
    (root / "30-dangling.jpg").symlink_to(root.parent / "nowhere.jpg")
    (root / "31-outside.jpg").symlink_to(outside / "far.jpg")
    (root / "31-outside").symlink_to(outside / "up")
    return opened(root)


@pytest.mark.parametrize("name", hostile_files())
def test_rows_1_to_23_are_skipped_with_a_reason(mixed, name):
    reasons = dict(mixed.skipped)
    assert hostile_files()[name][1] in reasons[name]
    assert reasons[name]
    assert name not in mixed.names


@pytest.mark.parametrize("name", odd_but_good_files())
def test_rows_8_to_26_are_accepted(mixed, name):
    assert name in mixed.names
    assert name not in dict(mixed.skipped)


def picture(images: ImageSet, name: str) -> np.ndarray:
    return images.pixels[images.names.index(name)].astype(int)


def test_row_15_alpha_is_composited_on_the_background(mixed, tmp_path):
    for name in ("15-alpha.png", "15-la.png", "15-palette.gif"):
        assert (picture(mixed, name) == 255).all()
    path = tmp_path / "clear.png"
    path.write_bytes(odd_but_good_files()["15-alpha.png"])
    assert read_picture(path, Geometry(size=8, background="#102030"))[0, 0].tolist() == [0x10, 0x20, 0x30]


def test_row_16_sixteen_bit_grey_is_rescaled_not_clipped(mixed):
    grey = picture(mixed, "16-grey.png")[..., 0]
    expected = np.asarray(
        Image.fromarray((np.arange(400).reshape(20, 20) * 160 / 257).round().astype(np.uint8)).resize(
            (16, 16), Image.Resampling.LANCZOS
        )
    )
    assert np.abs(grey - expected).max() <= 1


def test_row_17_float_pictures_need_a_range(tmp_path):
    path = tmp_path / "float.tif"
    values = np.linspace(-1, 1, 64, dtype=np.float32).reshape(8, 8)
    Image.fromarray(values).save(path)
    with pytest.raises(LatentdialError, match="--levels"):
        read_picture(path, Geometry(size=8))
    with pytest.raises(LatentdialError, match="--levels"):
        opened(tmp_path)
    fitted = read_picture(path, Geometry(size=8, colour="grey", levels=[-1, 1]))
    assert np.abs(fitted[..., 0] - (values + 1) / 2 * 255).max() <= 0.5


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("18-rgb16.png", "16 bits"),
        ("20-animated.gif", "first frame"),
        ("20-animated.webp", "first frame"),
        ("25-narrow.png", "narrow"),
    ],
)
def test_rows_18_20_25_are_noted(mixed, name, note):
    assert note in dict(mixed.notes)[name]


def test_row_20_the_first_frame_is_used(mixed, tmp_path):
    (tmp_path / "first.gif").write_bytes(encoded(photo(0), "GIF"))
    assert np.abs(picture(mixed, "20-animated.gif") - read_picture(tmp_path / "first.gif", GEOMETRY)).max() <= 8


def test_row_21_exif_rotation_is_applied(mixed):
    turned = picture(mixed, "21-turned.jpg")
    assert turned[:6].mean() < 20
    assert turned[-6:].mean() > 235


def test_row_26_names_can_be_printed(mixed):
    assert "26-��.jpg" in mixed.names
    json.dumps(mixed.names).encode()
    "".join(mixed.names).encode("utf-8")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("27-folder.jpg", "a folder"),
        ("28-pipe.jpg", "no regular file"),
        ("29-loop", "read already"),
        ("29-self.jpg", "bad link"),
        ("30-dangling.jpg", "link to nothing"),
        ("notes.txt", "no picture file"),
        (".hidden.jpg", "hidden"),
    ],
)
def test_rows_27_to_30_are_listed(mixed, name, reason):
    assert reason in dict(mixed.skipped)[name]


def test_files_with_the_same_fault_have_the_same_reason(mixed):
    reasons = dict(mixed.skipped)
    assert reasons["03-truncated.jpg"] == reasons["04-last-bytes.jpg"] == "image file is truncated"
    assert reasons["09-60000.png"] == reasons["10-121-megapixels.png"] == "it has more than 89 megapixels"


def test_what_is_noted_was_used_or_is_a_folder(mixed):
    assert {name for name, _ in mixed.notes} - set(mixed.names) == {"31-outside"}


def test_row_31_links_out_of_the_folder_are_followed_and_reported(mixed):
    assert {"31-outside.jpg", "31-outside/more.jpg", "27-folder.jpg/inside.jpg"} <= set(mixed.names)
    assert "out of the folder" in dict(mixed.notes)["31-outside.jpg"]
    assert "out of the folder" in dict(mixed.notes)["31-outside"]


def test_every_file_is_used_or_listed(mixed):
    listed = {name for name, _ in mixed.skipped}
    assert len(mixed.names) == len(set(mixed.names)) == 60 + len(odd_but_good_files()) + 4
    assert not listed & set(mixed.names)
    assert len(listed) == len(hostile_files()) + 7


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_row_32_unreadable_files_and_folders(tmp_path):
    root = good_folder(tmp_path)
    (root / "a/000.jpg").chmod(0)
    (root / "closed").mkdir(mode=0)
    assert "permission denied" in dict(opened(root).skipped)["a/000.jpg"]
    assert "cannot be read" in dict(opened(root).skipped)["closed"]
    (root / "a/000.jpg").chmod(0o644)
    assert "a/000.jpg" in opened(root).names


def test_row_32_a_file_that_the_decoder_may_not_open_is_tried_again(tmp_path):
    """The same as a user who is root sees it: a reason that may pass is not remembered."""
    target = tmp_path / "pixels"
    target.write_bytes(b"")
    worker = Worker(target, GEOMETRY)
    (reply,) = worker.decode([(0, str(tmp_path))])
    worker.close()
    assert reply == {"reason": "is a directory", "passing": True}


def test_row_33_empty_folder(tmp_path):
    (tmp_path / "notes.txt").write_text("no pictures here")
    with pytest.raises(LatentdialError, match="holds no picture files"):
        opened(tmp_path)


def test_one_picture_is_no_set(tmp_path):
    (tmp_path / "hand.JPG").write_bytes(encoded(photo(0)))
    with pytest.raises(LatentdialError, match="JPG is one picture, and a set of them is needed: give the folder"):
        open_images(DataSettings(str(tmp_path / "hand.JPG")), Geometry())


def test_row_34_all_bad_gives_the_top_reasons(tmp_path):
    write_folder(tmp_path, {f"{i}.jpg": b"text" for i in range(5)} | {"e.jpg": b""})
    with pytest.raises(
        LatentdialError, match=r"none of the 6 files .* 5 of them: it holds no picture.*1 of them: it is empty"
    ):
        opened(tmp_path)


def test_row_35_too_many_bad_is_refused_unless_allowed(tmp_path):
    root = write_folder(good_folder(tmp_path, 8), {f"bad{i}.jpg": b"text" for i in range(4)})
    with pytest.raises(LatentdialError, match=r"4 of the 12 files .*--max-skipped"):
        opened(root)
    assert len(opened(root, max_skipped=0.5)) == 8


def test_row_36_a_file_that_vanishes_is_skipped_and_forgotten(tmp_path, monkeypatch):
    from latentdial.images import cache

    root, real = good_folder(tmp_path), cache.decode_all

    def late(*args, **kwargs):
        (root / "a/000.jpg").unlink(missing_ok=True)
        return real(*args, **kwargs)

    monkeypatch.setattr(cache, "decode_all", late)
    images = opened(root)
    assert dict(images.skipped)["a/000.jpg"] == "it vanished while the folder was read"
    assert len(images) == 11
    assert not opened(root).skipped


def test_row_37_changed_added_and_removed_files_are_noticed(tmp_path, monkeypatch):
    from latentdial.images import cache

    root, decoded = good_folder(tmp_path), []
    real = cache.decode_all

    def counted(count, job, *rest):
        decoded.append(sorted(Path(job(i)[1]).name for i in range(count)))
        return real(count, job, *rest)

    monkeypatch.setattr(cache, "decode_all", counted)
    before = opened(root)
    (root / "a/000.jpg").write_bytes(encoded(photo(70)))
    (root / "b/new.jpg").write_bytes(encoded(photo(71)))
    (root / "b/001.jpg").unlink()
    after = opened(root)
    assert [len(names) for names in decoded] == [12, 2]
    assert decoded[1] == ["000.jpg", "new.jpg"]
    assert after.names == sorted({*before.names, "b/new.jpg"} - {"b/001.jpg"})
    for name in after.names:
        assert (picture(after, name) == read_picture(root / name, GEOMETRY)).all()
    assert (picture(before, "a/000.jpg") != picture(after, "a/000.jpg")).any(), "what is open already stays as it was"
    opened(root)
    assert len(decoded) == 2, "a further start decodes nothing"


def test_row_38_duplicates_stay_on_one_side(tmp_path):
    root = write_folder(tmp_path, {f"{i}-{j}.png": encoded(photo(i), "PNG") for i in range(20) for j in range(3)})
    images = opened(root)
    parts = split_images(images, 0.3, seed=0)
    assert parts.kept_together == 40
    sides = [set(images.hashes[part].tolist()) for part in (parts.train, parts.validation, parts.test)]
    assert [len(side) for side in sides] == [14, 3, 3]
    assert sorted(np.concatenate([parts.train, parts.validation, parts.test]).tolist()) == list(range(60))


def test_row_38_without_duplicates_the_split_does_not_depend_on_hashes():
    alone, hashed = split(50, 0.2, 3), split(50, 0.2, 3, np.random.default_rng(0).permutation(50))
    assert all((getattr(alone, part) == getattr(hashed, part)).all() for part in ("train", "validation", "test"))


def save_objects(path: Path) -> None:
    np.save(path, np.array([{"a": 1}] * 4, dtype=object), allow_pickle=True)


def save_longer_header(path: Path) -> None:
    np.save(path, np.zeros((8, 16, 16, 3), np.uint8))
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        pytest.param(save_objects, "Python objects", id="39-objects"),
        pytest.param(lambda path: np.save(path, np.full((4, 8, 8, 3), np.nan)), "not finite", id="40-nan"),
        pytest.param(lambda path: np.save(path, np.full((4, 8, 8), np.inf)), "not finite", id="40-inf"),
        pytest.param(lambda path: np.save(path, np.zeros((4, 8))), "has shape", id="41-shape"),
        pytest.param(lambda path: np.save(path, np.zeros((0, 8, 8, 3))), "has shape", id="41-none"),
        pytest.param(
            lambda path: np.save(path, np.full((4, 8, 8, 3), 255.0)), "values from 255 to 255.*--levels", id="41-range"
        ),
        pytest.param(lambda path: np.save(path, np.zeros((4, 8, 8, 3), complex)), "complex", id="41-complex"),
        pytest.param(save_longer_header, "the file is shorter", id="42-header"),
        pytest.param(lambda path: path.write_bytes(b"\x93NUMPY\x01\0\xff\xff{"), "no array", id="42-cut-header"),
        pytest.param(lambda path: path.write_bytes(b"hello"), "no array", id="text"),
    ],
)
def test_rows_39_to_42_bad_arrays(tmp_path, write, reason):
    path = tmp_path / "pictures.npy"
    write(path)
    with pytest.raises(LatentdialError, match=reason):
        opened(path)


def entry() -> Path:
    return max((cache_folder() / "sets").glob("*/manifest.json"), key=lambda path: path.stat().st_mtime_ns).parent


@pytest.mark.parametrize("file", ["pixels.u8", "index.npz"])
def test_row_43_a_truncated_cache_is_rebuilt(tmp_path, file):
    root = good_folder(tmp_path)
    before = opened(root).pixels[:]
    damaged = entry() / file
    os.truncate(damaged, damaged.stat().st_size // 2)
    assert (opened(root).pixels[:] == before).all()


def test_row_44_two_builders_decode_once(tmp_path):
    root = good_folder(tmp_path, 40)
    code = (
        "import sys; from latentdial.config import *; from latentdial.images import *\n"
        "from latentdial.images import cache\n"
        "real, count = cache.decode_all, []\n"
        "cache.decode_all = lambda n, *rest: count.append(n) or real(n, *rest)\n"
        "images = open_images(DataSettings(sys.argv[1]), Geometry(size=16)); print(sum(count), images.pixels[:].sum())"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", code, str(root)], stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    counts, sums = zip(*(process.communicate()[0].split() for process in both), strict=True)
    assert sorted(map(int, counts)) == [0, 40]
    assert sums[0] == sums[1]


# the decoding process ------------------------------------------------------------------------------------------------


def test_a_crash_and_a_hang_cost_one_file_each(tmp_path, monkeypatch):
    """The decoder is killed at one file and hangs at another (a pipe that nobody writes to); all others are read."""
    monkeypatch.setattr(pool_module, "SECONDS", 0.5)
    root = good_folder(tmp_path / "pictures")
    os.mkfifo(tmp_path / "pipe.jpg")
    target = tmp_path / "pixels"
    target.write_bytes(b"")
    worker = Worker(target, GEOMETRY)
    paths = [str(path) for path in sorted(root.rglob("*.jpg"))]
    jobs = [(i, str(tmp_path / "pipe.jpg") if i == 5 else path) for i, path in enumerate(paths)]
    replies = worker.decode(jobs)
    assert "longer than" in replies[5]["reason"]
    assert ["reason" in reply for reply in replies] == [i == 5 for i in range(12)]
    os.mkfifo(tmp_path / "slow.jpg")
    monkeypatch.setattr(pool_module, "SECONDS", 30.0)
    patient = Worker(target, GEOMETRY)
    patient.decode(jobs[:1])
    threading.Timer(0.3, patient._process.kill).start()
    crashed = patient.decode([(0, str(tmp_path / "slow.jpg")), *jobs[:3]])
    assert "crashed on it (SIGKILL)" in crashed[0]["reason"]
    assert ["reason" in reply for reply in crashed] == [True, False, False, False]
    worker.close(), patient.close()


def test_memory_of_a_decoder_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(pool_module, "MEMORY", 400_000_000)
    root = write_folder(tmp_path / "pictures", {"small.png": encoded(photo(0), "PNG")})
    Image.new("RGBA", (6000, 6000)).save(root / "large.png", compress_level=1)
    target = tmp_path / "pixels"
    target.write_bytes(b"")
    worker = Worker(target, GEOMETRY)
    large, small = worker.decode([(0, str(root / "large.png")), (1, str(root / "small.png"))])
    worker.close()
    assert "memory" in large["reason"]
    assert "reason" not in small


def test_a_single_picture_is_bounded_as_well(tmp_path, monkeypatch):
    """As given to `edit`: a bomb is refused by its header, by the memory it takes, or by its time."""
    for name in ("09-60000.png", "10-121-megapixels.png", "13-text-bomb.png", "03-truncated.jpg"):
        (tmp_path / name).write_bytes(hostile_files()[name][0])
        with pytest.raises(LatentdialError, match=r"cannot be read as a picture .*: give a JPEG"):
            read_picture(tmp_path / name, GEOMETRY)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    Image.new("RGBA", (6000, 6000)).save(tmp_path / "large.png", compress_level=1)
    drawn = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert read_picture(tmp_path / "large.png", GEOMETRY).shape == (16, 16, 3)
    monkeypatch.setattr(pool_module, "MEMORY", 400_000_000)
    with pytest.raises(LatentdialError, match="memory"):
        read_picture(tmp_path / "large.png", GEOMETRY)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - max(before, drawn) < 20_000, "KB in this process"
    monkeypatch.setattr(pool_module, "MEMORY", 3_000_000_000)
    monkeypatch.setattr(pool_module, "SECONDS", 0.05)
    with pytest.raises(LatentdialError, match="longer than"):
        read_picture(tmp_path / "large.png", GEOMETRY)


@pytest.fixture(scope="module")
def decoder(tmp_path_factory):
    target = tmp_path_factory.mktemp("fuzz") / "pixels"
    target.write_bytes(b"")
    worker = Worker(target, GEOMETRY)
    yield worker
    worker.close()


KINDS = [
    encoded(photo(0)),
    encoded(photo(1), "PNG"),
    encoded(photo(2), "WEBP"),
    encoded(photo(3), "TIFF"),
    encoded(photo(4), "TIFF", compression="tiff_lzw"),
    encoded(photo(5), "BMP"),
    encoded(photo(6), "GIF"),
    encoded(photo(7), "JPEG", progressive=True),
]


changes_of_bytes = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=12)
mutated = st.builds(
    lambda whole, changes, share: changed(whole, changes)[: int(share * len(whole))],
    st.sampled_from(KINDS),
    changes_of_bytes,
    st.floats(0.05, 1),
)
fuzzing = settings(deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


def changed(whole: bytes, changes: list[tuple[float, int]]) -> bytes:
    data = bytearray(whole)
    for place, value in changes:
        data[int(place * (len(data) - 1))] = value
    return bytes(data)


def peak_memory_mb(process: int) -> float:
    lines = dict(line.split(":") for line in Path(f"/proc/{process}/status").read_text().splitlines())
    return int(lines["VmHWM"].split()[0]) / 1000


@settings(fuzzing, max_examples=150)
@given(mutated)
def test_mutated_files_are_read_or_refused_in_time_and_memory(decoder, data):
    """Never a crash, never a hang: the decoder that has met all of these is still the same process."""
    start, process = time.monotonic(), decoder._process
    (reply,) = decoder.decode([(0, data)])
    assert time.monotonic() - start < 10
    assert ("hash" in reply) != bool(reply.get("reason"))
    assert process is None or decoder._process is process
    if sys.platform == "linux":
        assert peak_memory_mb(decoder._process.pid) < 500


@settings(fuzzing, max_examples=10)
@given(st.lists(mutated, min_size=6, max_size=12))
def test_every_mutated_file_of_a_folder_is_used_or_listed(tmp_path_factory, files):
    root = good_folder(tmp_path_factory.mktemp("mutated"), 4)
    write_folder(root, {f"c/{i}.jpg": data for i, data in enumerate(files)})
    images = opened(root, max_skipped=1)
    skipped = dict(images.skipped)
    assert sorted([*images.names, *skipped]) == sorted(
        [*(f"{'ab'[i % 2]}/{i:03d}.jpg" for i in range(4)), *(f"c/{i}.jpg" for i in range(len(files)))]
    )
    assert all(skipped.values())


def test_a_folder_of_arrays_says_which_file_to_name(tmp_path):
    for name in ("t10k-images-idx3-ubyte", "train-labels-idx1-ubyte", "train-images-idx3-ubyte"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(LatentdialError, match=r"named as a file: .*/train-images-idx3-ubyte$"):
        opened(tmp_path)
    for path in tmp_path.iterdir():
        path.unlink()
    with pytest.raises(LatentdialError, match="it or its sub-folders need"):
        opened(tmp_path)
