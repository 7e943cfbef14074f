"""The one writer and the one checked reader: whole or not at all, through no link, within bounds."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch

from latentdial import LatentdialError, storage


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_file_is_written_with_the_mode_of_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        storage.write(tmp_path / "a.txt", "grün")
        storage.save_tensors(tmp_path / "a.safetensors", {"x": np.zeros(3, np.float32)})
    finally:
        os.umask(before)
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "grün"
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o640}


def test_a_link_is_replaced_and_its_target_left_alone(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / "a.txt").symlink_to(victim)
    storage.write(tmp_path / "a.txt", "new")
    assert victim.read_text() == "mine"
    assert not (tmp_path / "a.txt").is_symlink()
    (tmp_path / "b.jsonl").symlink_to(victim)
    with pytest.raises(LatentdialError, match="remove it"):
        storage.append(tmp_path / "b.jsonl", "more\n")
    assert victim.read_text() == "mine"


def test_a_linked_sub_folder_is_refused_and_a_missing_one_made(tmp_path):
    elsewhere, run = tmp_path / "elsewhere", tmp_path / "run"
    elsewhere.mkdir()
    run.mkdir()
    (run / "samples").symlink_to(elsewhere)
    with pytest.raises(LatentdialError, match="remove it"):
        storage.write(run / "samples" / "a.png", b"x", root=run)
    assert names(elsewhere) == set()
    storage.write(run / "deep" / "er" / "a.png", b"x", root=run)
    assert (run / "deep" / "er" / "a.png").read_bytes() == b"x"


def test_a_run_that_is_named_by_a_link_is_fine(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "latest").symlink_to(tmp_path / "real")
    storage.write(tmp_path / "latest" / "samples" / "a", "x", root=tmp_path / "latest")
    assert (tmp_path / "real" / "samples" / "a").read_text() == "x"


def test_devices_pipes_and_folders_are_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "null").symlink_to("/dev/null")
    for name in ("pipe", "folder", "null"):
        with pytest.raises(LatentdialError, match="remove it"):
            storage.write(tmp_path / name, "x")
    assert names(tmp_path) == {"pipe", "folder", "null"}


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_a_full_disk_is_one_line_and_the_old_file_stays(tmp_path, monkeypatch, call):
    storage.write(tmp_path / "a.txt", "old")

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    def half_way(file):
        file.write(b"half")
        full()

    with monkeypatch.context() as patch:
        if call != "write":
            patch.setattr(os, call, full)
        with pytest.raises(LatentdialError, match=r"disk is full\): free some space"):  # noqa: SIM117
            with storage.writing(tmp_path / "a.txt") as file:
                half_way(file) if call == "write" else file.write(b"new")
    assert (tmp_path / "a.txt").read_text() == "old"
    assert names(tmp_path) == {"a.txt"}


def test_what_is_appended_is_there_whole_or_not_at_all(tmp_path, monkeypatch):
    path, real = tmp_path / "a.jsonl", os.write
    storage.append(path, "one\n")

    def half(descriptor, data):
        if len(data) < 4:
            raise OSError(errno.ENOSPC, "")
        return real(descriptor, data[:2])

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(LatentdialError, match="disk is full"):
        storage.append(path, "two\n")
    assert path.read_text() == "one\n"


def test_names_that_are_too_long_and_missing_folders_are_one_line(tmp_path):
    for path in (tmp_path / ("n" * 300), tmp_path / "none" / "a"):
        with pytest.raises(LatentdialError, match="cannot write"):
            storage.write(path, "x")
    storage.write(tmp_path / ("n" * 250), "x")


def test_leftovers_are_known_and_swept(tmp_path):
    storage.write(tmp_path / "kept", "x")
    with pytest.raises(KeyboardInterrupt), storage.writing(tmp_path / "a"):  # noqa: PT012
        assert any(storage.is_unfinished(name) for name in names(tmp_path))
        raise KeyboardInterrupt
    assert names(tmp_path) == {"kept"}
    (tmp_path / ".a.0123456789abcdef.part").write_text("half")
    (tmp_path / ".b.0123456789abcdef.part").mkdir()
    storage.sweep(tmp_path)
    assert names(tmp_path) == {"kept"}


def test_folders_take_each_others_place(tmp_path):
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "text").write_text(name)
    storage.replace_folder(tmp_path / "new", tmp_path / "old")
    assert (tmp_path / "old" / "text").read_text() == "new"
    assert names(tmp_path) == {"old"}


ARRAYS = {
    "b": np.arange(6, dtype=np.float32).reshape(2, 3),
    "n": np.array(7, np.int64),
    "none": np.zeros((0, 4), np.float32),
    "yes": np.array([True, False]),
}


def test_tensors_are_safetensors_both_ways(tmp_path):
    storage.save_tensors(tmp_path / "a", ARRAYS, {"note": "x"})
    for name, array in safetensors.numpy.load_file(tmp_path / "a").items():
        assert array.dtype == ARRAYS[name].dtype
        assert np.array_equal(array, ARRAYS[name])
        assert array.shape == ARRAYS[name].shape
    safetensors.numpy.save_file(ARRAYS, tmp_path / "b")
    shapes, dtypes = {name: array.shape for name, array in ARRAYS.items()}, {"n": "I64", "yes": "BOOL"}
    for path in ("a", "b"):
        found = storage.read_tensors(tmp_path / path, shapes, dtypes)
        assert all(np.array_equal(found[name], array) for name, array in ARRAYS.items())
        assert storage.tensor_shapes(tmp_path / path) == shapes
    assert storage.tensor_metadata(tmp_path / "a") == {"note": "x"}
    storage.save_tensors(tmp_path / "t", {"w": torch.ones(2, 3).T})
    assert storage.read_tensors(tmp_path / "t", {"w": (3, 2)})["w"].sum() == 6


@pytest.mark.parametrize(
    ("shapes", "why"),
    [
        ({"b": (2, 3)}, "not expected"),
        ({**{n: a.shape for n, a in ARRAYS.items()}, "c": (1,)}, "missing"),
        ({**{n: a.shape for n, a in ARRAYS.items()}, "b": (3, 2)}, "should be"),
        ({n: a.shape for n, a in ARRAYS.items()}, "I64"),
    ],
)
def test_other_names_shapes_and_types_are_refused(tmp_path, shapes, why):
    storage.save_tensors(tmp_path / "a", ARRAYS)
    with pytest.raises(LatentdialError, match=why):
        storage.read_tensors(tmp_path / "a", shapes)


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf, 3e38, -1e16])
def test_values_that_are_not_finite_or_too_large_to_compute_with_are_refused(tmp_path, odd):
    storage.save_tensors(tmp_path / "a", {"x": np.array([1, odd], np.float32)})
    with pytest.raises(LatentdialError, match="not finite"):
        storage.read_tensors(tmp_path / "a", {"x": (2,)})


@pytest.mark.parametrize("kind", [{}, [], None, 5, "F8"])
def test_types_that_are_none_are_refused(tmp_path, kind):
    text = json.dumps({"x": {"dtype": kind, "shape": [1], "data_offsets": [0, 4]}}).encode()
    (tmp_path / "a").write_bytes(len(text).to_bytes(8, "little") + text + bytes(4))
    with pytest.raises(LatentdialError, match="no shape or type of ours"):
        storage.read_tensors(tmp_path / "a", {"x": (1,)})


BAD_JSON = {
    "huge number": '{"a": 1' + "0" * 400 + "}",
    "many digits": '{"a": ' + "9" * 5000 + "}",
    "infinite": '{"a": 1e400}',
    "not a number": '{"a": NaN}',
    "deep": '{"a": ' + "[" * 100 + "]" * 100 + "}",
    "very deep": "[" * 100_000,
    "no object": "[1]",
    "nothing": "",
    "many values": '{"a": [' + "0," * 400_000 + "0]}",
}


@pytest.mark.parametrize("name", BAD_JSON)
def test_json_out_of_bounds_is_one_line(tmp_path, name):
    path = tmp_path / "a.json"
    path.write_text(BAD_JSON[name])
    with pytest.raises(LatentdialError, match=r"cannot be used \(.+\): mend it") as raised:
        storage.read_json(path, remedy="mend it", values=300_000)
    assert len(str(raised.value)) < 600
    assert storage.read_lines(path) == []


def test_what_is_no_regular_file_is_refused_at_once(tmp_path):
    (tmp_path / "real.json").write_text("{}")
    (tmp_path / "link").symlink_to(tmp_path / "real.json")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").touch()
    os.truncate(tmp_path / "large", 2**40)
    (tmp_path / "folder").mkdir()
    (tmp_path / "bytes").write_bytes(b'{"a": "\xff"}')
    for name in ("link", "pipe", "large", "folder", "bytes"):
        with pytest.raises(LatentdialError, match="cannot be used"):
            storage.read_json(tmp_path / name)
    for name in ("link", "pipe", "large", "folder"):
        with pytest.raises(LatentdialError):
            storage.read_tensors(tmp_path / name, {})
    with pytest.raises(storage.Missing):
        storage.read_json(tmp_path / "none")
    assert storage.read_json(tmp_path / "real.json") == {}


def test_records_are_checked_by_type():
    storage.need({"a": 1, "b": 1, "c": None}, {"a": int, "b": float, "c": (str, type(None))})
    for record in ({}, {"a": "1"}, {"a": True}, {"a": None}):
        with pytest.raises(ValueError, match=r"^a is"):
            storage.need(record, {"a": int})


@pytest.mark.parametrize("name", ["a.safetensors", "a.json"])
def test_a_copy_is_the_same_bytes_and_never_of_what_is_linked_or_huge(tmp_path, name):
    storage.save_tensors(tmp_path / "a.safetensors", {"x": np.ones(3, np.float32)})
    storage.write_json(tmp_path / "a.json", {"x": 1})
    storage.copy(tmp_path / name, tmp_path / f"new-{name}")
    assert (tmp_path / f"new-{name}").read_bytes() == (tmp_path / name).read_bytes()
    (tmp_path / f"link-{name}").symlink_to(tmp_path / name)
    os.mkfifo(tmp_path / f"pipe-{name}")
    os.truncate(tmp_path / name, 2**36)
    for odd in (f"link-{name}", f"pipe-{name}", name):
        with pytest.raises(LatentdialError, match="cannot be used"):
            storage.copy(tmp_path / odd, tmp_path / f"other-{name}")
    assert f"other-{name}" not in names(tmp_path)
