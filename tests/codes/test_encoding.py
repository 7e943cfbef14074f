"""Codes of a whole set on disk: equal to the codec's, resumed after a kill, shared by processes, checked when read."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import latentdial
from latentdial import LatentdialError, read_codes
from latentdial.cli import main
from latentdial.codes.writing import encode_pictures, world_of
from latentdial.config import DataSettings

COMMAND = [sys.executable, "-m", "latentdial", "encode"]


@pytest.fixture(scope="module")
def many(discs, tmp_path_factory) -> Path:
    """300 discs in an array: the 48 again and again, each time darker."""
    path = tmp_path_factory.mktemp("many") / "many.npy"
    np.save(path, np.concatenate([np.maximum(discs, 8 * i) - 8 * i for i in range(7)])[:300].astype(np.uint8))
    return path


@pytest.fixture(scope="module")
def run(tiny_runs) -> Path:
    return tiny_runs["fcn-vae"]


@pytest.fixture(scope="module")
def whole(run, many, tmp_path_factory) -> Path:
    """The codes of the 300, in shards of 128."""
    out = tmp_path_factory.mktemp("whole") / "codes"
    assert encode_pictures(run, DataSettings(str(many)), out, shard_rows=128).complete
    return out


def visible(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(".")}


def test_codes_are_those_of_the_codec(run, many, whole, tmp_path):
    expected = latentdial.load(run).encode(np.load(many))
    codes = read_codes(whole)
    assert codes.shape == expected.shape == (300, 6)
    # The same batches of 128 in the same order: the same bits.
    np.testing.assert_array_equal(codes[:], expected)
    np.testing.assert_array_equal(codes[[5, 299, 130, -1]], expected[[5, 299, 130, -1]])
    np.testing.assert_array_equal(codes[7], expected[7])
    np.testing.assert_array_equal(codes[expected[:, 0] > 0], expected[expected[:, 0] > 0])
    np.testing.assert_array_equal(np.concatenate([part for part, _ in codes.parts()]), expected)
    assert codes.names == [f"many[{i}]" for i in range(300)]
    codes.check()
    # Shards of 50 make other batches, whose sums round in another order: equal to float32's accuracy.
    encode_pictures(run, DataSettings(str(many)), tmp_path / "fifty", shard_rows=50)
    np.testing.assert_allclose(read_codes(tmp_path / "fifty")[:], expected, rtol=1e-4, atol=1e-5)


def test_labels_and_names_of_a_folder(run, discs, tmp_path):
    for i, disc in enumerate(discs[:10]):
        place = tmp_path / "set" / ("odd" if i % 2 else "even")
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(disc).save(place / f"{i}ü.png")
    encode_pictures(run, DataSettings(str(tmp_path / "set")), tmp_path / "codes", shard_rows=4)
    codes = read_codes(tmp_path / "codes")
    assert codes.label_names == ["even", "odd"]
    assert [codes.label_names[label] for label in codes.labels] == [name.split("/")[0] for name in codes.names]
    assert codes.names[0] == "even/0ü.png"


def test_killed_and_resumed_gives_the_same_bytes(run, many, whole, tmp_path):
    out = tmp_path / "codes"
    slow = (
        "import sys, time, latentdial.codes.writing as e; put = e.write\n"
        "def slow(path, data):\n"
        "    part = path.with_name(f'.{path.name}.{0:016x}.part')\n"
        "    if path.name != 'job.json': part.write_bytes(bytes(data)[:40]); time.sleep(.5)\n"
        "    put(path, data)\n"
        "e.write = slow\n"
        "from latentdial.cli import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    args = ["encode", str(run), str(many), "--out", str(out), "--shard-rows", "128"]
    process = subprocess.Popen([sys.executable, "-c", slow, *args], stderr=subprocess.DEVNULL)
    for _ in range(600):
        if (out / ".codes-00001.npy.0000000000000000.part").exists():
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    assert process.wait(30) == -signal.SIGKILL
    assert (out / "names-00000.json").exists()
    assert not (out / "manifest.json").exists()
    with pytest.raises(LatentdialError, match="no complete codes"):
        read_codes(out)
    done = encode_pictures(run, DataSettings(str(many)), out, shard_rows=128)
    assert (done.kept, done.encoded, done.complete) == (128, 172, True)
    assert visible(out) == visible(whole)
    assert [path.name for path in out.iterdir() if path.name.endswith(".part")] == []


def test_a_damaged_shard_is_made_again(run, many, whole, tmp_path):
    out = shutil.copytree(whole, tmp_path / "codes")
    data = bytearray((out / "codes-00001.npy").read_bytes())
    data[-3] ^= 1
    (out / "codes-00001.npy").write_bytes(data)
    with pytest.raises(LatentdialError, match="checksum"):
        read_codes(out).check()
    assert encode_pictures(run, DataSettings(str(many)), out, shard_rows=128).encoded == 128
    assert visible(out) == visible(whole)


def test_a_file_that_pretends_to_be_huge_is_not_read(run, many, whole, tmp_path):
    out = shutil.copytree(whole, tmp_path / "codes")
    for name in ("codes-00001.npy", "names-00002.json"):
        with (out / name).open("r+b") as file:
            file.truncate(64 * 2**30)
        with pytest.raises(LatentdialError, match="is larger than"):
            read_codes(out).check()
        assert encode_pictures(run, DataSettings(str(many)), out, shard_rows=128).encoded > 0
        assert visible(out) == visible(whole)


def test_two_processes_give_the_bytes_of_one(run, many, whole, tmp_path):
    torchrun = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "-m",
        "latentdial",
        "encode",
    ]
    args = [str(run), str(many), "--out", str(tmp_path / "codes"), "--shard-rows", "128"]
    done = subprocess.run([*torchrun, *args], capture_output=True, text=True, check=True)
    assert "process 1 of 2: encoded 172" in done.stdout
    assert "process 2 of 2: encoded 128" in done.stdout
    assert "is complete: 300 codes of 6 dimensions in 3 shards" in done.stdout
    assert visible(tmp_path / "codes") == visible(whole)


def test_processes_one_after_the_other(run, many, whole, tmp_path, monkeypatch):
    for rank, complete in ((1, False), (0, False), (2, True)):
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("WORLD_SIZE", "3")
        done = encode_pictures(run, DataSettings(str(many)), tmp_path / "codes", shard_rows=128)
        assert done.complete == complete
    assert visible(tmp_path / "codes") == visible(whole)


def test_other_codes_in_the_folder_are_named(tiny_runs, many, whole, discs_file, tmp_path, capsys):
    for args, says in [
        ([str(tiny_runs["fcn-ae"]), str(many)], "model is"),
        ([str(tiny_runs["fcn-vae"]), str(discs_file)], "pictures is"),
        ([str(tiny_runs["fcn-vae"]), str(many), "--precision", "bf16"], "precision is float32 there and bf16 here"),
        ([str(tiny_runs["fcn-vae"]), str(many), "--shard-rows", "64"], "shard_rows is 128 there and 64 here"),
    ]:
        shards = [] if "--shard-rows" in args else ["--shard-rows", "128"]
        before = visible(whole)
        assert main(["encode", *args, *shards, "--out", str(whole)]) == 1
        error = capsys.readouterr().err.strip()
        assert says in error
        assert "choose another --out" in error
        assert visible(whole) == before
    (tmp_path / "mine.txt").write_text("mine")
    assert main(["encode", str(tiny_runs["fcn-ae"]), str(many), "--out", str(tmp_path)]) == 1
    assert "mine.txt" in capsys.readouterr().err


def test_command_prints_for_machines_and_people(run, many, tmp_path, capsys):
    args = ["encode", str(run), str(many), "--out", str(tmp_path / "codes"), "--limit", "100"]
    assert main(args) == 0
    assert "encoded 100 pictures" in capsys.readouterr().out
    assert main([*args, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["rows"], found["kept"], found["encoded"], found["complete"]) == (100, 100, 0, True)


def changed(folder: Path, **values) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({"job": manifest["job"] | values.pop("job", {}), **{
        name: values.get(name, manifest[name]) for name in ("label_names", "shards")}}))  # fmt: skip


@pytest.mark.parametrize(
    "values",
    [
        {"job": {"rows": 10**18}},
        {"job": {"rows": -1}},
        {"job": {"rows": True}},
        {"job": {"latent": "6"}},
        {"job": {"format": 99}},
        {"job": {"shard_rows": 1}},
        {"shards": []},
        {"shards": [{"start": 0, "rows": 300, "codes": "x", "names": "y"}]},
        {"shards": "codes"},
        {"shards": [{"start": 0.5}] * 3},
        {"label_names": {"a": 1}},
    ],
)
def test_a_hostile_manifest_is_refused(values, whole, tmp_path):
    out = shutil.copytree(whole, tmp_path / "codes")
    changed(out, **values)
    with pytest.raises(LatentdialError, match="encode again"):
        read_codes(out)


def test_hostile_shards_are_refused(whole, tmp_path):
    out = shutil.copytree(whole, tmp_path / "codes")
    np.save(out / "codes-00000.npy", np.array([print], object), allow_pickle=True)
    (out / "codes-00001.npy").write_bytes((whole / "codes-00001.npy").read_bytes()[:90])
    np.save(out / "codes-00002.npy", np.zeros((44, 7), np.float32))
    codes = read_codes(out)
    for row in (0, 128, 256):
        with pytest.raises(LatentdialError, match="encode again"):
            codes[row]
    (out / "codes-00000.npy").unlink()
    (out / "codes-00000.npy").symlink_to("/etc/passwd")
    with pytest.raises(LatentdialError, match="is a link"):
        codes[0]
    (out / "names-00001.json").write_text('{"names": [1, 2]}')
    with pytest.raises(LatentdialError, match="name every picture"):
        print(codes.names)
    for text in ("[", "[" * 100_000, "3"):
        (out / "manifest.json").write_text(text)
        with pytest.raises(LatentdialError, match="encode again"):
            read_codes(out)


@pytest.mark.parametrize("values", [{"RANK": "2", "WORLD_SIZE": "2"}, {"RANK": "x"}, {"WORLD_SIZE": "0"}])
def test_a_place_that_is_none_is_refused(values):
    with pytest.raises(LatentdialError, match="torchrun"):
        world_of(values)
    assert world_of({}).size == 1


def test_nothing_but_what_is_asked_for_is_in_memory(run, many, whole):
    codes = read_codes(whole)
    assert isinstance(codes.shard(0), np.memmap)
    assert os.path.getsize(whole / "codes-00000.npy") == 128 + 128 * 6 * 4
