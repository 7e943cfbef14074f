"""Names of files and folders are looked at before any work: here there is not even a run to work with."""

from __future__ import annotations

import os

import pytest

from latentdial import LatentdialError, outputs
from latentdial.cli import COMMANDS, main, make_parser

OUTS = {"out", "sheet", "report", "submit"}
INS = {"data", "labels", "masks", "these", "those", "normal", "correct", "picture", "pictures", "direction", "groups",
       "first", "last", "weights", "run", "runs"}  # fmt: skip


def refused(capfd, *args: str) -> str:
    """The one line with which a command refuses its arguments."""
    assert main(args) == 1
    said = capfd.readouterr().err
    assert said.count("\n") == 1, said
    return said


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with something that might be a run, a picture, a table, and a folder that is taken."""
    monkeypatch.chdir(tmp_path)
    for name in ("run", "taken.png", "pictures"):
        (tmp_path / name).mkdir()
    for name in ("face.png", "labels.csv", "file", "pictures/1.png"):
        (tmp_path / name).write_text("")
    return tmp_path


EDIT, ANOMALIES = ["edit", "run", "face.png", "c0+=2"], ["anomalies", "run", "pictures"]
WRONG = [
    ([*EDIT, "--out", "x.pgn"], "ending in .png"),
    ([*EDIT, "--out", "taken.png"], "is a folder"),
    ([*EDIT, "--out", "file/x.png"], "is no folder"),
    (["edit", "run", "pictures", "c0+=2", "--out-dir", "file"], "it is no folder"),
    ([*EDIT[:2], "gone.png", "c0+=2"], "nothing at gone.png"),
    ([*EDIT, "--direction", "gone.json"], "nothing at gone.json"),
    (["dimensions", "run", "--out", "x.pgn"], "ending in .png"),
    (["dimensions", "run", "--picture", "gone.png"], "nothing at gone.png: check the path that --picture names"),
    (["directions", "run", "--labels", "missing.csv"], "nothing at missing.csv"),
    (["directions", "run", "--labels", "labels.csv", "--out", "x.jpg.x"], "ending in .png"),
    (["directions", "run", "--data", "gone"], "no pictures at 'gone'"),
    (["directions", "run", "--these", "gone", "--those", "pictures", "--name", "x"], "no pictures at 'gone'"),
    (["average", "run", "pictures", "gone"], "no pictures at 'gone'"),
    (["average", "run", "pictures", "--out", "x"], "ending in .png"),
    (["analogy", "run", "face.png", "face.png", "gone.png"], "nothing at gone.png"),
    (["analogy", "run", "face.png", "face.png", "face.png", "--out", "a.gif"], "ending in .png"),
    (["interpolate", "run", "face.png", "gone.png"], "nothing at gone.png"),
    (["interpolate", "run", "face.png", "face.png", "--out", "x.mp4"], "ending in .png, .gif or .webp"),
    (["sample", "run", "--out", "x.txt"], "ending in .png"),
    ([*ANOMALIES, "--out", "x.txt"], "ending in .csv"),
    ([*ANOMALIES, "--report", "x.csv"], "choose an --report ending in .html"),
    ([*ANOMALIES, "--submit", "x.html"], "ending in .csv"),
    ([*ANOMALIES, "--masks", "gone"], "no pictures at 'gone'"),
    ([*ANOMALIES, "--correct", "gone.csv"], "nothing at gone.csv"),
    (["evaluate", "run", "--out", "x.png"], "ending in .html, .json or .csv"),
    (["evaluate", "run", "gone"], "no pictures at 'gone'"),
    (["report", "run", "--out", "x.pdf"], "ending in .html, .htm or .md"),
    (["report", "run", "gone"], "no run at gone"),
    (["explore", "run", "--out", "x.zip"], "ending in .html"),
    (["look", "pictures", "--sheet", "x.pgn"], "ending in .png"),
    (["look", "gone"], "no pictures at 'gone'"),
    (["encode", "run", "pictures", "--out", "file"], "it is no folder"),
    (["encode", "gone", "pictures", "--out", "codes"], "no run at gone"),
    (["import", "gone.pt", "--recipe", "fcn-ae", "--out", "x"], "nothing at gone.pt"),
    (["reorder", "run", "--out", "file"], "it is no folder"),
    (["train", "fcn-ae", "gone", "--out", "x"], "no pictures at 'gone'"),
    (["train", "fcn-ae", "avatars", "--out", "file/x"], "is no folder"),
    (["train", "fcn-ae", "avatars", "--out", "x" * 300], "file name too long"),
]


@pytest.mark.parametrize(("args", "words"), WRONG, ids=[" ".join(args)[:60] for args, _ in WRONG])
def test_names_are_looked_at_first(args, words, here, capfd):
    assert words in refused(capfd, *args)
    assert not (here / "x").exists()


NINES = "9" * 400
TRAIN = ["train", "fcn-ae", "avatars", "--out", "x"]
ABSURD = [
    *([*TRAIN, option, NINES] for option in ("--steps", "--epochs", "--batch", "--size", "--latent", "--time-budget",
      "--limit", "--warmup", "--patience", "--seed", "--checkpoint", "--clip", "--kl-cycles", "--crop", "--noise",
      "--lr", "--weight-decay", "--holdout")),
    *([*TRAIN, option, "-1"] for option in ("--steps", "--epochs", "--batch", "--latent", "--time-budget")),
    [*TRAIN, "--time-budget", f"{NINES}h"],
    [*TRAIN, "--epochs", "nan"],
    [*TRAIN, "--epochs", "1e400"],
    [*TRAIN, "--set", f"widths={NINES}"],
    [*TRAIN, "--set", f"latent={'9' * 5000}"],
    [*TRAIN, "--steps", "9" * 5000],
    [*TRAIN, "--set", "widths=131072,131072"],
    ["sample", "run", "-n", NINES],
    ["sample", "run", "--temperature", "nan"],
    ["sample", "run", "--seed", NINES],
    ["interpolate", "run", "face.png", "face.png", "-n", "1"],
    ["dimensions", "run", "--top", NINES],
    ["encode", "run", "pictures", "--out", "codes", "--shard-rows", NINES],
    ["explore", "run", "--port", NINES],
    ["evaluate", "run", "--samples", NINES],
]  # fmt: skip


@pytest.mark.parametrize("args", ABSURD, ids=[" ".join(args)[:40] for args in ABSURD])
def test_absurd_numbers_are_one_sentence(args, here, capfd):
    assert main(args) in (1, 2)
    said = capfd.readouterr().err
    assert said.count("\n") == 1, said
    assert len(said) < 200, said
    assert any(word in said for word in ("from", "at most", "out of range", "cannot read", "takes", "more than")), said
    assert not (here / "x").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folders_that_may_not_be_written(here, capfd):
    (here / "pictures").chmod(0o555)
    assert "permission denied" in refused(capfd, "sample", "run", "--out", "pictures/x.png")
    assert "permission denied" in refused(capfd, "train", "fcn-ae", "avatars", "--out", "pictures/run")


def test_a_pipe_is_no_place_for_a_picture(here, capfd):
    os.mkfifo("pipe.png")
    assert "no plain file" in refused(capfd, "sample", "run", "--out", "pipe.png")


@pytest.mark.parametrize("name", COMMANDS)
def test_all_commands_look_at_the_names_that_they_take(name):
    parser = make_parser([name])
    named = [action for action in parser.chosen._actions if action.dest in OUTS | INS]
    unlooked = [action.dest for action in named if not hasattr(action, "check")]
    own = {"explore": ["weights"]}  # no file
    assert unlooked == own.get(name, [])


def test_what_is_written_is_whole_and_through_no_link(tmp_path):
    (tmp_path / "victim").write_text("kept")
    (tmp_path / "page.html").symlink_to(tmp_path / "victim")
    outputs.write(tmp_path / "page.html", "new")
    outputs.write(tmp_path / "deep" / "er" / "page.html", b"new")
    assert (tmp_path / "victim").read_text() == "kept"
    assert [one.read_text() for one in (tmp_path / "page.html", tmp_path / "deep" / "er" / "page.html")] == ["new"] * 2
    with pytest.raises(LatentdialError, match="cannot write"):
        outputs.write(tmp_path / "victim" / "page.html", "new")
