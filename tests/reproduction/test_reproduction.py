"""Protocols are sound, run at tiny size, and are held against what is published only where that is fair."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from latentdial import LatentdialError
from latentdial.cli import main
from latentdial.config import Geometry, ModelSettings, TrainSettings
from latentdial.images import open_images, split_images
from latentdial.progress import Show
from latentdial.recipes import build
from latentdial.reproduction.page import _apart
from latentdial.reproduction.pictures import source
from latentdial.reproduction.protocol import BUDGETS, Published, names, read_protocol
from latentdial.reproduction.reproducing import compare, reproduce, slug


@pytest.mark.parametrize("name", names())
def test_a_protocol_names_what_there_is(name):
    protocol = read_protocol(name)
    rows = {row.name: row for row in protocol.rows}
    assert len(rows) == len({slug(row) for row in protocol.rows}) == len(protocol.rows)
    assert list(protocol.budgets) == list(BUDGETS)
    for budget in protocol.budgets.values():
        assert set(budget.rows or []) <= rows.keys()
        for row in protocol.rows:
            settings = {**protocol.train, **budget.train, **row.train}
            assert TrainSettings(**settings).start == "random" or row.extra  # as the papers do
            with torch.device("meta"):
                build(ModelSettings(row.recipe, {**row.options, **budget.options}), (1, protocol.size, protocol.size))
    assert all(protocol.budgets[budget].cannot for budget in BUDGETS)
    for one in protocol.published:
        assert one.row in rows
        assert one.source
        assert one.budget in BUDGETS
    for order in protocol.orders:
        assert {order.better[0], order.worse[0]} <= rows.keys()
        assert order.source


@pytest.fixture(scope="module")
def mnist(tmp_path_factory) -> Path:
    """A folder like MNIST's, of 96 and 24 drawn discs."""
    folder, rng = tmp_path_factory.mktemp("mnist"), np.random.default_rng(0)
    rows, columns = np.mgrid[:28, :28]
    for name, count in (("train", 96), ("t10k", 24)):
        x, y, radius = rng.uniform(8, 20, count), rng.uniform(8, 20, count), rng.uniform(3, 8, count)
        away = np.hypot(rows - y[:, None, None], columns - x[:, None, None])
        pixels = (255 * (radius[:, None, None] - away).clip(0, 1)).astype(np.uint8)
        header = struct.pack(">HBB3I", 0, 8, 3, count, 28, 28)
        (folder / f"{name}-images-idx3-ubyte").write_bytes(header + pixels.tobytes())
        labels = struct.pack(">HBBI", 0, 8, 1, count) + (radius > 5).astype(np.uint8).tobytes()
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(labels)
    return folder


def test_the_sets_own_test_part_is_kept_for_the_figures(mnist, tmp_path):
    grey = Geometry(size=28, colour="grey")
    images = open_images(source(str(mnist), None, grey, tmp_path, Show()), grey)
    parts = split_images(images, 0.1, 0)
    assert [len(part) for part in (parts.train, parts.validation, parts.test)] == [80, 16, 24]
    test = open_images(source(str(mnist / "t10k-images-idx3-ubyte"), None, grey, tmp_path, Show()), grey)
    assert np.array_equal(images.pixels[parts.test], test.pixels[:])
    assert np.array_equal(images.labels[parts.test], test.labels)
    few = open_images(source(str(mnist), 10, grey, tmp_path, Show()), grey)
    parts = split_images(few, 0.1, 0)
    assert [len(part) for part in (parts.train, parts.validation, parts.test)] == [10, 10, 24]
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "train-images-idx3-ubyte").write_bytes((mnist / "train-images-idx3-ubyte").read_bytes())
    with pytest.raises(LatentdialError, match="holds no t10k"):
        source(str(tmp_path / "half"), None, grey, tmp_path, Show())


def test_a_reproduction_goes_on_with_what_is_there_and_says_what_it_cannot_tell(mnist, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["reproduce", "vae-mnist", "--budget", "tiny", "--data", str(mnist), "--out", str(out)]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "shows that all runs, and nothing else" in said
    record = json.loads((out / "reproduction.json").read_text())
    figures = record["figures"]["VAE"]
    assert 0 < figures["nll"] <= -figures["elbo"] + 1e-3
    assert figures["test pictures"] == 8
    assert [one["verdict"] for one in record["published"]] == [
        "not compared below --budget 15m",
        "not compared below --budget 1h",
    ]
    assert record["core_seconds"]["VAE"] > 0
    page = (out / "index.html").read_text()
    assert "A VAE of MNIST" in page
    assert page.count("http") == page.count("http-equiv") == 1
    weights = (out / "vae" / "model.safetensors").stat().st_mtime_ns
    assert main([*arguments, "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["figures"] == record["figures"]
    assert (out / "vae" / "model.safetensors").stat().st_mtime_ns == weights
    assert main(["reproduce", "vae-mnist", "--budget", "15m", "--data", str(mnist), "--out", str(out)]) == 1
    assert "another --out" in capsys.readouterr().err


def test_bounds_and_manifold_are_drawn_of_avatars_where_no_pictures_are_given(tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["reproduce", "aevb", "--budget", "tiny", "--out", str(out), "--rows", "2 latent dimensions"]) == 0
    assert "Avatars stand in" in capsys.readouterr().out
    page = (out / "index.html").read_text()
    assert page.count("<img") == 16 * 16
    assert "<svg" in page
    record = json.loads((out / "reproduction.json").read_text())
    seen = [x for x, _ in record["curves"]["2 latent dimensions"]["train"]]
    assert seen == sorted(seen)
    assert all(one["holds"] is None for one in record["orders"])


def test_samples_are_measured_for_every_prior(mnist, tmp_path):
    found = reproduce("rae", tmp_path / "out", budget="tiny", data=str(mnist), rows=["VAE"])
    figures = found.rows["VAE"]
    assert {"frechet, samples: model", "frechet, PCA's reconstructions", "mse, reconstructions"} <= figures.keys()
    assert found.table()[1][0][0] == "VAE"
    words = reproduce("vq-vae", tmp_path / "words", budget="tiny", rows=["FSQ, 1,000 words"])
    assert 1 <= words.rows["FSQ, 1,000 words"]["perplexity"] <= words.rows["FSQ, 1,000 words"]["words"] <= 1000
    head, (row,) = words.table()
    assert len(head) == len(row)


@pytest.mark.parametrize(
    ("measured", "better", "verdict"),
    [
        (10.4, "lower", "within tolerance"),
        (10.6, "lower", "short by 0.6"),
        (9.0, "lower", "better by 1"),
        (9.0, "higher", "short by 1"),
        (12.0, "higher", "better by 2"),
        (12.0, "same", "differs by 2"),
    ],
)
def test_measured_is_held_against_published(measured, better, verdict):
    published = Published("row", "nll", 10.0, 0.5, "a table", "1h", better)
    assert compare(published, {"row": {"nll": measured}}, "1h").verdict == verdict
    assert compare(published, {"row": {"nll": measured}}, "full").verdict == verdict
    assert "below --budget 1h" in compare(published, {"row": {"nll": measured}}, "15m").verdict
    assert "not compared" in compare(published, {"row": {"nll": measured}}, "1h", official=False).verdict
    assert compare(published, {"row": {}}, "1h").verdict == "not measured"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["vae-minst"], "did you mean vae-mnist?"),
        (["rae", "--budget", "2h"], "no budget '2h'"),
        (["rae", "--rows", "EA"], "no row 'EA'"),
    ],
)
def test_what_is_not_there_is_told_in_one_line(arguments, reason, tmp_path, capsys):
    assert main(["reproduce", *arguments, "--out", str(tmp_path / "out")]) == 1
    assert reason in capsys.readouterr().err.splitlines()[-1]


def test_all_reproductions_are_listed(capsys):
    assert main(["reproduce"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in names())


def test_names_of_curves_that_end_together_lie_apart():
    ends = {"low": (5.0, 1.0), "high": (5.0, 3.0), "near": (5.0, 2.9), "short": (2.0, 2.95)}
    assert _apart(ends, 0.5) == {"high": (5.0, 3.0), "short": (2.0, 2.95), "near": (5.0, 2.5), "low": (5.0, 1.0)}
