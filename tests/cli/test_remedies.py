"""Commands in messages are those that a user can paste."""

from __future__ import annotations

import shlex
import shutil

import numpy as np
import pytest

import latentdial
from latentdial import LatentdialError
from latentdial.cli import main
from latentdial.config import make_config
from latentdial.runs.card import card
from latentdial.texts import command


@pytest.fixture
def run(tiny_runs, tmp_path, monkeypatch) -> str:
    """A run whose path has spaces, as it is written below the current folder."""
    shutil.copytree(tiny_runs["fcn-ae"], tmp_path / "my runs" / "an ae")
    monkeypatch.chdir(tmp_path)
    return "my runs/an ae"


def pasted(text: str, name: str) -> list[str]:
    """The words of the command `name` in a text, as a shell reads them."""
    words = shlex.split(text.partition(f"latentdial {name} ")[2])
    assert words, text
    return words


def test_next_commands_name_the_run_by_its_path(run, capsys):
    assert main(["fit-prior", run, "--kind", "gaussian"]) == 0
    assert pasted(capsys.readouterr().out, "sample") == [run]
    assert main(["reorder", run, "--out", "an other"]) == 0
    out = capsys.readouterr().out
    assert "latentdial directions 'an other' and latentdial fit-prior 'an other' find them anew" in out


def test_training_ends_with_a_command_for_its_run(discs_file, tmp_path, capsys):
    out = str(tmp_path / "a run")
    small = ["--size", "16", "--steps", "1", "--set", "widths=8"]
    assert main(["train", "fcn-ae", str(discs_file), "--out", out, *small]) == 0
    assert pasted(capsys.readouterr().out, "dimensions") == [out, "--out", "dims.png"]


@pytest.mark.parametrize(
    ("args", "name"),
    [
        (["sample", "RUN", "--prior", "diffusion"], "fit-prior"),
        (["edit", "RUN", "PICTURE", "smile+=2"], "directions"),
    ],
)
def test_remedies_name_the_run_by_its_path(run, args, name, capsys):
    from PIL import Image

    Image.new("RGB", (16, 16)).save("face.png")
    assert main([{"RUN": run, "PICTURE": "face.png"}.get(arg, arg) for arg in args]) == 1
    assert pasted(capsys.readouterr().err, name)[0] == run


@pytest.mark.parametrize("written", ["prior.json", "words.json", "anomaly.json"])
def test_what_cannot_be_read_is_made_anew_by_a_command(run, written, discs_file, tmp_path):
    from latentdial.anomaly.stored import read_detector
    from latentdial.priors.stored import read_priors
    from latentdial.priors.words import read_words

    folder, codec = tmp_path / run, latentdial.load(run)
    (folder / written).write_text("{")
    read, name = {
        "prior.json": (lambda: read_priors(folder, codec.codes), "fit-prior"),
        "words.json": (lambda: read_words(folder, codec.codes, 1, 2), "fit-prior"),
        "anomaly.json": (lambda: read_detector(folder, codec), "anomalies"),
    }[written]
    with pytest.raises(LatentdialError) as told:
        read()
    assert pasted(str(told.value), name) == [str(folder)]


def test_what_is_not_there_is_made_by_a_command(tmp_path, capsys):
    gone = str(tmp_path / "no run")
    assert main(["sample", gone]) == 1
    assert pasted(capsys.readouterr().err, "train") == ["RECIPE", "DATA", "--out", gone]
    with pytest.raises(LatentdialError) as told:
        latentdial.load(gone)
    assert pasted(str(told.value), "train") == ["RECIPE", "DATA", "--out", gone]
    with pytest.raises(LatentdialError) as told:
        latentdial.read_codes(gone)
    assert pasted(str(told.value), "encode")[:4] == ["RUN", "DATA", "--out", gone]


def test_cards_and_training_name_the_run_by_its_path(discs_file, tmp_path):
    config = make_config("fcn-ae", str(discs_file), {"widths": [8]}, {"size": 16})
    assert "\nlatentdial edit 'my run' picture.jpg" in card(config, {}, "run", "my run")
    codec = latentdial.train("fcn-ae", discs_file, tmp_path / "a b", options={"widths": [8]}, size=16, steps=1)
    assert codec.address == str(tmp_path / "a b")
    assert codec.command("sample", "-n", 4) == command("sample", tmp_path / "a b", "-n", 4)
    assert latentdial.load(tmp_path / "a b").address == codec.address


def test_a_codec_without_a_run_says_run():
    from torch import nn

    codec = latentdial.wrap(nn.Linear(48, 2), nn.Linear(2, 48), size=4, images=np.zeros((5, 4, 4, 3), np.uint8))
    assert codec.command("fit-prior") == "latentdial fit-prior RUN"
