"""The Python interface as a person meets it at a prompt: names, representations, what is taken and what is shown."""

from __future__ import annotations

import pkgutil
import re
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

import latentdial
import latentdial.measure
from latentdial import LatentdialError
from latentdial.images import open_images
from latentdial.latent.naming import axis_directions
from latentdial.progress import PlainShow, RichShow, Show, showing
from latentdial.shown import Shown

PIXELS = np.random.default_rng(0).integers(0, 256, (500, 8, 8, 3), np.uint8)


@pytest.fixture(scope="module")
def codec():
    torch.manual_seed(0)
    return latentdial.wrap(nn.Linear(192, 4), nn.Linear(4, 192), size=8, images=PIXELS)


def test_dir_lists_the_public_names_and_no_others():
    assert dir(latentdial) == sorted(latentdial.__all__)
    assert {"sample", "directions", "look", "train", "edit", "compare", "encode"} <= set(dir(latentdial))
    assert all(callable(getattr(latentdial, name)) for name in dir(latentdial) if name != "__version__")


def test_representations_do_not_dump_arrays(codec):
    sheet = latentdial.edit(codec, PIXELS[0], "0*=2")
    shown = [codec, codec.canonical, codec.support, codec.priors, axis_directions(codec)[0], sheet, sheet.columns[0],
             latentdial.dimensions(codec), sheet.columns]  # fmt: skip
    for one in shown:
        assert "array(" not in repr(one), repr(one)
        assert "\n" not in repr(one)
        assert len(repr(one)) < 1200, repr(one)
    assert "training_codes=float32 (500, 4)" in repr(codec)


def test_the_representation_of_an_image_set_is_short(discs_file):
    from latentdial.config import DataSettings, Geometry

    images = open_images(DataSettings(str(discs_file)), Geometry(size=16))
    assert len(repr(images)) < 600


def test_tensors_are_pictures(codec):
    expected = codec.encode(PIXELS[:3])
    channels_first = torch.tensor(PIXELS[:3]).permute(0, 3, 1, 2)
    assert np.array_equal(codec.encode(channels_first), expected)
    assert np.array_equal(codec.encode(channels_first.float() / 255), expected)
    assert np.array_equal(codec.encode(list(channels_first)), expected)
    assert np.array_equal(codec.encode((channels_first.double() / 255).requires_grad_()), expected)


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        (torch.zeros(3, 8, 8, 5), "1 or 3 channels"),
        (torch.zeros(8, 8), "must be"),
        (torch.full((1, 3, 8, 8), -1.0), "from 0 to 1"),
        (torch.full((1, 3, 8, 8), torch.nan), "from 0 to 1"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.int64), "uint8"),
    ],
)
def test_other_tensors_are_refused_in_words(codec, tensor, words):
    with pytest.raises(LatentdialError, match=words):
        codec.encode(tensor)


def test_codecs_are_no_runs_to_compare(codec, tmp_path):
    for given in ((codec, codec), ([codec, codec],), ([codec],)):
        with pytest.raises(LatentdialError, match=r"compare takes the directories of runs, as in compare\(\["):
            latentdial.compare(*given)
    with pytest.raises(LatentdialError, match="into one list"):
        latentdial.compare("runs/ae", tmp_path)
    with pytest.raises(LatentdialError, match="no run to compare"):
        latentdial.compare([])


def test_training_shows_how_far_it_is(discs_file, tmp_path, capsys):
    settings = {"options": {"latent": 2, "widths": [8]}, "size": 8, "steps": 3, "precision": "float32"}
    latentdial.train("fcn-ae", discs_file, tmp_path / "shown", **settings)
    said = capsys.readouterr()
    assert "training" in said.err
    assert "PCA" in said.err
    latentdial.train("fcn-ae", discs_file, tmp_path / "quiet", show=False, **settings)
    assert capsys.readouterr() == ("", "")


def test_what_is_shown_where(monkeypatch):
    own = Show()
    for given, kind in ((own, Show), (False, Show), (True, PlainShow)):
        with showing(given) as show:
            assert type(show) is kind
    monkeypatch.setattr("latentdial.progress.in_notebook", lambda: True)
    with showing(True) as show:
        assert type(show) is RichShow


def test_samples_and_looks(codec, tmp_path):
    assert latentdial.sample(codec, 3).shape == (3, 8, 8, 3)
    np.save(tmp_path / "set.npy", PIXELS)
    found = latentdial.look(tmp_path / "set.npy", tmp_path / "page.html", size=8, show=False)
    assert len(found.images) == 500
    assert (tmp_path / "page.html").stat().st_size > 1000
    with pytest.raises(LatentdialError, match="did you mean size"):
        latentdial.look(tmp_path / "set.npy", sizes=8)


def documented() -> tuple[set[str], list[object]]:
    """The modules that docs/reference.md shows whole, and every object that it shows."""
    shown = re.findall(r"^::: (\S+)$", (Path(__file__).parents[1] / "docs" / "reference.md").read_text(), re.MULTILINE)
    objects = []
    for path in shown:
        module, _, name = path.rpartition(".")
        try:
            objects.append(import_module(path))
        except ModuleNotFoundError:
            objects.append(getattr(import_module(module), name))
    return {one.__name__ for one in objects if isinstance(one, ModuleType)}, objects


def test_the_reference_holds_every_public_name():
    whole, shown = documented()
    measures = [f"latentdial.measure.{one.name}" for one in pkgutil.iter_modules(latentdial.measure.__path__)]
    public = [getattr(latentdial, name) for name in latentdial.__all__ if name != "__version__"]
    for name in ("latentdial.plots", "latentdial.sklearn", *measures):
        found = vars(import_module(name))
        public += [one for key, one in found.items() if getattr(one, "__module__", "") == name and key[0] != "_"]
    classes = [one for one in Shown.__subclasses__() if one.__module__.startswith("latentdial.")]
    missing = [one for one in [*public, *classes] if one.__module__ not in whole and one not in shown]
    assert [f"{one.__module__}.{one.__qualname__}" for one in missing if callable(one)] == []
