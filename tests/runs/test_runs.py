"""Runs on disk: what is saved comes back bit for bit, and what is broken or hostile is refused in one line."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file as load_arrays
from safetensors.torch import load_file, save_file

import latentdial
from latentdial import LatentdialError
from latentdial.config import ModelSettings, RunConfig, from_json
from latentdial.images import lasting_source, open_parts
from latentdial.recipes import build, parse_options
from latentdial.runs.records import read_config
from latentdial.training.folder import check_folder


@pytest.fixture
def copy(tiny_runs, tmp_path):
    return shutil.copytree(tiny_runs["fcn-vae"], tmp_path / "run")


def test_round_trip_is_bit_exact(tiny_runs, discs):
    for folder in tiny_runs.values():
        first, second = latentdial.load(folder), latentdial.load(folder)
        saved = load_file(folder / "model.safetensors")
        assert all(torch.equal(saved[name], tensor) for name, tensor in first.model.state_dict().items())
        assert np.array_equal(first.encode(discs), second.encode(discs))
        assert np.array_equal(first.codes, load_arrays(folder / "codes.safetensors")["codes"])


def test_a_run_holds_what_it_should(tiny_runs):
    for folder in tiny_runs.values():
        names = {path.name for path in folder.iterdir()}
        expected = {
            "config.json",
            "model.safetensors",
            "codes.safetensors",
            "metrics.jsonl",
            "README.md",
            "samples",
        } | {"times.jsonl", "summary.json"}
        assert expected <= names
        records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        assert {"train", "validation"} == {record["split"] for record in records}
        assert "latentdial edit" in (folder / "README.md").read_text()
        assert len(list((folder / "samples").glob("*.png"))) >= 3


def test_config_round_trip_and_strictness():
    config = RunConfig(ModelSettings("fcn-vae", {"latent": 7, "widths": [3, 2], "beta": 0.5}))
    text = config.to_json()
    assert from_json(text) == config
    for wrong in ('"size": "x"', '"size": 2', '"sizes": 64', '"size": {"class_path": "os.system"}'):
        with pytest.raises(LatentdialError):
            from_json(text.replace('"size": 64', wrong))
    for wrong in ("", "[]", "{}", '{"format": 99}', "[" * 100_000, text.replace("0.5", '"0.5; import os"')):
        with pytest.raises(LatentdialError):
            from_json(wrong)


def write_header(path, header: dict, data: bytes = b""):
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def spoil_missing(run):
    (run / "model.safetensors").unlink()


def spoil_link(run):
    target = run.parent / "elsewhere.safetensors"
    shutil.move(run / "model.safetensors", target)
    (run / "model.safetensors").symlink_to(target)


def spoil_truncated(run):
    path = run / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-10])


def spoil_pickle(run):
    (run / "model.safetensors").write_bytes(pickle.dumps({"a": 1}))


def spoil_huge_header(run):
    (run / "model.safetensors").write_bytes(struct.pack("<Q", 2**62) + b"{}")


def spoil_huge_shape(run):
    write_header(run / "model.safetensors", {"a": {"dtype": "F32", "shape": [0, 2**62], "data_offsets": [0, 0]}})


def spoil_many_tensors(run):
    entry = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    write_header(run / "model.safetensors", {f"t{i}": entry for i in range(100_000)})


def spoil_nested_header(run):
    (run / "model.safetensors").write_bytes(struct.pack("<Q", 100_000) + b"[" * 100_000)


def change_state(run, change):
    path = run / "model.safetensors"
    state = load_file(path)
    change(state)
    save_file(state, path)


def spoil_nan(run):
    change_state(run, lambda state: state["encoder.0.weight"].fill_(float("nan")))


def spoil_names(run):
    change_state(run, lambda state: state.update(surprise=torch.zeros(1)))


def spoil_shape(run):
    change_state(run, lambda state: state.update({"encoder.0.bias": torch.zeros(3)}))


def spoil_dtype(run):
    change_state(run, lambda state: state.update({"encoder.0.bias": state["encoder.0.bias"].double()}))


def spoil_config_size(run):
    (run / "config.json").write_text(" " * 2_000_000)


def spoil_config_bytes(run):
    (run / "config.json").write_bytes(b"\xff\xfe\x00")


def spoil_recipe(run):
    text = (run / "config.json").read_text()
    (run / "config.json").write_text(text.replace('"fcn-vae"', '"os.system"'))


def spoil_too_large(run):
    values = json.loads((run / "config.json").read_text())
    values["model"]["options"] = {"widths": [131072, 131072, 131072], "latent": 131072}
    (run / "config.json").write_text(json.dumps(values))


def spoil_codes(run):
    write_header(
        run / "codes.safetensors", {"codes": {"dtype": "F32", "shape": [5], "data_offsets": [0, 20]}}, b"0" * 20
    )


def spoil_codes_shape(run):
    write_header(run / "codes.safetensors", {"codes": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]}}, b"0000")


def spoil_fifo(run):
    (run / "model.safetensors").unlink()
    os.mkfifo(run / "model.safetensors")


SPOILS = [spoil for name, spoil in sorted(globals().items()) if name.startswith("spoil_")]

GUARDED_LOADS = """
import resource, sys
import latentdial, torch, latentdial.runs.loading
latentdial.load(sys.argv[1])
def hook(event, args):
    if event in ("exec", "subprocess.Popen", "os.system", "socket.connect", "pickle.find_class"):
        print("FORBIDDEN", event, args)
resource.setrlimit(resource.RLIMIT_AS, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 + 12 * 2**30,) * 2)
sys.addaudithook(hook)
for run in sys.argv[2:]:
    try:
        latentdial.load(run)
        print("LOADED", run)
    except latentdial.LatentdialError as error:
        print("REFUSED", error)
"""


@pytest.mark.parametrize("spoil", SPOILS, ids=lambda spoil: spoil.__name__.removeprefix("spoil_"))
def test_broken_and_hostile_runs_are_refused(spoil, copy):
    spoil(copy)
    with pytest.raises(LatentdialError) as refusal:
        latentdial.load(copy)
    assert "\n" not in str(refusal.value)


def test_refusal_runs_no_code(tiny_runs, tmp_path):
    """In a process of its own, with bounded memory and an audit hook."""
    run, spoils = tiny_runs["fcn-vae"], [spoil_pickle, spoil_too_large, spoil_recipe]
    copies = [Path(shutil.copytree(run, tmp_path / spoil.__name__)) for spoil in spoils]
    for spoil, copied in zip(spoils, copies, strict=True):
        spoil(copied)
    argv = [sys.executable, "-c", GUARDED_LOADS, str(run), *map(str, copies)]
    result = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    told = [line.split()[0] for line in result.stdout.splitlines()]
    assert told == ["REFUSED"] * 3, result.stdout + result.stderr


def plain_net() -> dict[str, torch.nn.Sequential]:
    nn = torch.nn
    torch.manual_seed(3)
    return {
        "encoder": nn.Sequential(
            nn.Linear(12288, 2048), nn.ReLU(), nn.Linear(2048, 512), nn.ReLU(), nn.Linear(512, 128)
        ),
        "decoder": nn.Sequential(
            nn.Linear(128, 512), nn.ReLU(), nn.Linear(512, 2048), nn.ReLU(), nn.Linear(2048, 12288), nn.Tanh()
        ),
    }


def test_weights_of_a_plain_sequential_load_unchanged(tmp_path):
    nets = torch.nn.ModuleDict(plain_net())
    torch.save(nets.state_dict(), tmp_path / "weights.pt")
    codec = latentdial.import_weights(tmp_path / "weights.pt", "fcn-ae", tmp_path / "run")
    picture = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), np.uint8)
    x = torch.tensor(picture).permute(0, 3, 1, 2).flatten(1).float() / 127.5 - 1
    code = nets["encoder"](x)
    assert np.allclose(codec.encode(picture), code.detach().numpy(), atol=1e-5)
    levels = (nets["decoder"](code).view(3, 64, 64).permute(1, 2, 0) + 1) * 127.5
    assert np.allclose(codec.levels(codec.encode(picture))[0], levels.detach().numpy(), atol=1e-2)
    assert np.array_equal(latentdial.load(tmp_path / "run").encode(picture), codec.encode(picture))


def test_import_refuses_pickled_modules_and_other_shapes(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pt")
    with pytest.raises(LatentdialError, match="state_dict"):
        latentdial.import_weights(tmp_path / "module.pt", "fcn-ae", tmp_path / "run")
    torch.save({"encoder.0.weight": torch.zeros(2, 2)}, tmp_path / "other.pt")
    with pytest.raises(LatentdialError, match="does not match"):
        latentdial.import_weights(tmp_path / "other.pt", "fcn-ae", tmp_path / "run")
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(LatentdialError):
        latentdial.import_weights(tmp_path / "text.pt", "fcn-ae", tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "options",
    [{"latent": 0}, {"latent": -1}, {"latent": 1.5}, {"latent": True}, {"nope": 1}, {"widths": []}, {"widths": [0]},
     {"widths": [1] * 99}, {"beta": -1.0}, {"beta": float("nan")}, {"latent": 10**9}],
)  # fmt: skip
def test_bad_options_are_refused_before_anything_is_allocated(options):
    with pytest.raises(LatentdialError):
        build(ModelSettings("fcn-vae", options), (3, 64, 64))


def test_options_on_the_command_line():
    assert parse_options(["widths=3,2", "beta=0.5"], latent=7) == {"latent": 7, "widths": [3, 2], "beta": 0.5}
    with pytest.raises(LatentdialError):
        parse_options(["beta=1;2"])


def test_a_run_finds_its_pictures_from_everywhere(discs_file, tmp_path, monkeypatch):
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    shutil.copy(discs_file, home / "discs.npy")
    monkeypatch.chdir(home)
    latentdial.train("pca", "discs.npy", "run", size=16, options={"latent": 2}, show=False)
    monkeypatch.chdir(elsewhere)
    run = home / "run"
    assert open_parts(read_config(run)).images.names
    old = json.loads((run / "config.json").read_text())
    old["data"]["source"] = "discs.npy"  # as runs kept it before
    (run / "config.json").write_text(json.dumps(old))
    with pytest.raises(LatentdialError, match=rf"not at 'discs.npy', seen from {re.escape(str(elsewhere))}: name"):
        open_parts(read_config(run))
    with pytest.raises(LatentdialError, match="does not say what it was trained on"):
        open_parts(RunConfig())
    monkeypatch.chdir(home)
    saved = read_config(run)
    now = dataclasses.replace(saved, data=dataclasses.replace(saved.data, source=str(home / "discs.npy")))
    assert check_folder(run, now, "resume")


def test_a_built_in_set_stays_one_beside_a_folder_of_its_name(tmp_path, monkeypatch):
    (tmp_path / "avatars").mkdir()
    monkeypatch.chdir(tmp_path)
    assert lasting_source("avatars") == "avatars"
    assert lasting_source("hf:someone/faces") == "hf:someone/faces"
    assert lasting_source("../" + tmp_path.name) == str(tmp_path)
