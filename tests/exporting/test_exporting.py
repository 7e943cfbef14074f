"""What is exported gives what the codec gives, read as its README.md says."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import latentdial
from latentdial.cli import main
from latentdial.config import Geometry, ModelSettings, RunConfig
from latentdial.errors import LatentdialError
from latentdial.exporting import NotExportable, export, projector
from latentdial.exporting.sequential import plain_nets
from latentdial.images import Columns, ImageSet
from latentdial.images.pictures import Pictures, hashes_of
from latentdial.pixels import to_float
from latentdial.recipes import build
from latentdial.runs.loading import codec_of


def as_told(folder: Path, monkeypatch) -> dict:
    """What the code in the README.md of an export defines, run in its folder."""
    (code,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.S)
    monkeypatch.chdir(folder)
    names: dict = {}
    exec(code, names)
    return names


def untrained(recipe: str, size: int = 8, **options):
    """A codec of a recipe with random weights and codes."""
    config = RunConfig(model=ModelSettings(recipe, options), geometry=Geometry(size=size))
    torch.manual_seed(0)
    model = build(config.model, config.geometry.shape).model.eval().requires_grad_(False)
    codes = np.random.default_rng(0).normal(size=(30, model.latent)).astype(np.float32)
    return codec_of(model, config, recipe, codes=codes)


@pytest.mark.parametrize("recipe", ["fcn-ae", "fcn-vae"])
def test_a_class_of_linear_and_relu_gives_the_pictures_of_the_run(recipe, tiny_runs, discs, tmp_path, monkeypatch):
    codec = latentdial.load(tiny_runs[recipe])
    export(codec, tmp_path / "out", "sequential")
    model = as_told(tmp_path / "out", monkeypatch)["model"]
    assert not any("latentdial" in type(one).__module__ for one in model.modules())
    flat = to_float(torch.from_numpy(discs), (-1, 1)).flatten(1)
    codes = model.encoder(flat)
    np.testing.assert_allclose(codes.detach(), codec.encode(discs), atol=1e-4)
    pictures = (127.5 * (model(flat).detach() + 1)).unflatten(1, (3, 16, 16)).permute(0, 2, 3, 1)
    np.testing.assert_allclose(pictures, codec.levels(codec.encode(discs)), atol=0.02)


@pytest.mark.parametrize(("recipe", "end"), [("pca", nn.Linear), ("fcn-ae", nn.Tanh), ("binary-vae", nn.Sigmoid)])
def test_a_plain_net_ends_as_its_pictures_do(recipe, end):
    codec = untrained(recipe, latent=3)
    assert isinstance(plain_nets(codec).decoder[-1], end)


SPARSE = {"latent": 8, "net": "fcn", "layers": [16], "k": 2}


@pytest.mark.parametrize(
    ("recipe", "options", "reason"),
    [("conv-ae", {"latent": 4}, "ChannelsLast"), ("sparse-ae", SPARSE, "more between its layers")],
)
def test_other_nets_say_why_they_are_not_plain(recipe, options, reason, tmp_path):
    with pytest.raises(LatentdialError, match=f"no plain fully connected net.*{reason}"):
        export(untrained(recipe, 16, **options), tmp_path / recipe, "sequential")
    assert not (tmp_path / recipe).exists()


def test_onnx_files_give_the_codes_and_pictures_of_the_run(codec, discs, tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime", reason="needs the extra: pip install 'latentdial[explorer]'")
    done = export(codec, tmp_path / "out", "onnx")
    assert done.figures["largest_difference_levels"] < 0.1
    Image.fromarray(discs[0]).save(tmp_path / "out" / "picture.png")
    found = as_told(tmp_path / "out", monkeypatch)
    np.testing.assert_allclose(found["code"], codec.encode(discs[:1]), atol=1e-3)
    assert np.abs(found["decoded"].astype(int) - codec.reconstruct(discs[:1])).max() <= 1


def test_onnx_that_is_far_from_torch_is_not_written(codec, tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime", reason="needs the extra: pip install 'latentdial[explorer]'")
    monkeypatch.setattr("latentdial.exporting.largest_difference", lambda *_: 3.0)
    with pytest.raises(NotExportable, match="3 levels of 255 off"):
        export(codec, tmp_path / "out", "onnx")
    assert not (tmp_path / "out").exists()


def test_safetensors_hold_every_weight(codec, tmp_path, monkeypatch):
    export(codec, tmp_path / "out", "safetensors")
    weights = as_told(tmp_path / "out", monkeypatch)["weights"]
    own = codec.model.state_dict()
    assert weights.keys() == own.keys()
    assert all(torch.equal(weights[name], own[name]) for name in own)


def test_the_projector_of_tensorboard_reads_codes_and_names(codec, discs_file, discs, tmp_path, monkeypatch):
    from google.protobuf import text_format
    from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig
    from tensorboard.plugins.projector.projector_plugin import _read_tensor_tsv_file

    export(codec, tmp_path / "out", "projector", str(discs_file))
    config = text_format.Parse((tmp_path / "out" / "projector_config.pbtxt").read_text(), ProjectorConfig())
    (one,) = config.embeddings
    vectors = _read_tensor_tsv_file(str(tmp_path / "out" / one.tensor_path))
    np.testing.assert_allclose(vectors, codec.encode(discs), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(as_told(tmp_path / "out", monkeypatch)["codes"], vectors, rtol=1e-6)
    lines = (tmp_path / "out" / one.metadata_path).read_text().splitlines()
    assert lines[0] == "name"
    assert len(lines) == 1 + len(discs)
    side = one.sprite.single_image_dim[0]
    sheet = np.asarray(Image.open(tmp_path / "out" / one.sprite.image_path))
    columns = sheet.shape[1] // side
    np.testing.assert_array_equal(sheet[side : 2 * side, :side], discs[columns])


def test_a_sprite_of_many_pictures_fits_a_browser():
    sheet, side = projector.sprite(np.zeros((5000, 160, 160, 1), np.uint8))
    assert max(sheet.shape) <= projector.MAX_SPRITE
    assert side == projector.MAX_SPRITE // 71


def test_metadata_hold_labels_and_attributes_by_name():
    pixels = np.zeros((2, 4, 4, 3), np.uint8)
    columns = Columns(
        np.array([1, 0]),
        ["cat", "dog"],
        {"hair": np.array([0, 1]), "age": np.array([3.5, 4])},
        {"hair": ["bob", "bun"]},
    )
    images = ImageSet(Pictures.of(pixels), ["a\tb", "c\nd"], hashes_of(pixels), Geometry(size=4), columns)
    text = projector.metadata_tsv(images)
    head, first, second = [line.split("\t") for line in text.splitlines()]
    assert head == ["name", "label", "hair", "age"]
    assert first[1:] == ["dog", "bob", "3.5"]
    assert second[1:] == ["cat", "bun", "4"]


def test_nothing_is_written_over_unless_asked(codec, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(LatentdialError, match="is not empty"):
        export(codec, tmp_path, "safetensors")
    export(codec, tmp_path, "safetensors", overwrite=True)
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_a_codec_without_pictures_asks_for_them(codec, tmp_path):
    with pytest.raises(LatentdialError, match="name its pictures with --data"):
        export(replace(codec, config=None), tmp_path / "out", "projector")


def test_the_command_says_what_it_wrote(tiny_runs, tmp_path, capsys):
    assert main(["export", str(tiny_runs["fcn-ae"]), "--format", "sequential", "--out", str(tmp_path / "a")]) == 0
    assert "weights.pt" in capsys.readouterr().out
    argv = ["export", str(tiny_runs["fcn-ae"]), "--format", "projector", "--out", str(tmp_path / "b"), "--json"]
    assert main(argv) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["dimensions"] == 6
    assert all(Path(file).is_file() for file in said["files"])
