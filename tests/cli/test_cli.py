"""The command line, end to end on a tiny folder of pictures."""

from __future__ import annotations

import json
import re
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from latentdial.cli import COMMANDS, main
from processes import start

SMALL = ["--size", "16", "--set", "widths=24", "--latent", "4", "--batch", "8", "--precision", "float32"]


@pytest.fixture(scope="module")
def folder(discs, tmp_path_factory):
    """Two labelled sub-folders of PNG and JPEG pictures of several sizes, and two files that are no pictures."""
    root = tmp_path_factory.mktemp("pictures")
    for i, disc in enumerate(discs):
        sub = root / ("warm" if disc[8, 8, 0] > 100 else "cold")
        sub.mkdir(exist_ok=True)
        Image.fromarray(disc).resize((20 + i, 24)).save(sub / f"{i}.{'png' if i % 2 else 'jpg'}")
    (root / "warm" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not a picture")
    (root / "warm" / "empty.png").write_bytes(b"")
    return root


@pytest.fixture(scope="module")
def runs(folder):
    for name in ("fcn-ae", "fcn-vae"):
        assert main(["train", name, str(folder), "--out", str(folder.parent / name), "--steps", "40", *SMALL]) == 0
    return folder.parent / "fcn-ae", folder.parent / "fcn-vae"


def printed(capsys) -> dict:
    return json.loads(capsys.readouterr().out)


def test_train_lists_what_it_skipped(folder, tmp_path, capsys):
    assert main(["train", "fcn-ae", str(folder), "--out", str(tmp_path / "r"), "--steps", "3", *SMALL, "--json"]) == 0
    output = capsys.readouterr()
    assert json.loads(output.out)["skipped"] == 2
    assert "broken.jpg" in output.err
    assert "empty.png" in output.err


def test_dimensions(runs, tmp_path, capsys):
    for run in runs:
        assert main(["dimensions", str(run), "--out", str(tmp_path / "dims.png"), "--json"]) == 0
        rows = printed(capsys)["dimensions"]
        assert [row["name"] for row in rows] == ["c0", "c1", "c2", "c3"]
        assert rows[-1]["share"] == pytest.approx(1)
        assert main(["dimensions", str(run), "--raw", "--out", str(tmp_path / "raw.png"), "--json"]) == 0
        rows = printed(capsys)["dimensions"]
        assert sorted(row["name"] for row in rows) == ["0", "1", "2", "3"]
        assert rows[0]["effect"] == max(row["effect"] for row in rows) > 0
        assert (rows[0]["kl"] is None) == (run.name == "fcn-ae")
        with Image.open(tmp_path / "dims.png") as picture:
            assert picture.width > 500
    assert main(["dimensions", str(runs[0])]) == 0
    assert "levels for +-1 sd" in capsys.readouterr().out


def test_edit(runs, folder, tmp_path, capsys):
    picture = str(next((folder / "warm").glob("*.png")))
    out = tmp_path / "edit.png"
    assert main(["edit", str(runs[0]), picture, "1*=2", "0*=10", "2+=2s;3=0", "--out", str(out), "--json"]) == 0
    edits = printed(capsys)["edits"]
    assert [edit["label"] for edit in edits] == ["1*=2", "0*=10", "2+=2s;3=0", "all together"]
    assert edits[1]["moves"][0]["after"] == pytest.approx(10 * edits[1]["moves"][0]["before"])
    assert min(edit["change"]["mean"] for edit in edits) > 0
    assert out.exists()
    assert main(["edit", str(runs[0]), picture, "1*=2"]) == 0
    assert re.search(r"1\*=2: dimension 1 goes from .* levels of 255 on average", capsys.readouterr().out)


def test_edit_of_several_pictures_makes_a_sheet_for_each(runs, folder, tmp_path, capsys):
    warm, cold = sorted(str(path) for path in (folder / "warm").glob("*.png"))[:2], tmp_path / "more"
    cold.mkdir()
    for name in ("a.png", "b.png"):
        (cold / name).write_bytes(Path(warm[0]).read_bytes())
    command = ["edit", str(runs[0]), *warm, str(cold), "c0+=1", "1*=2"]
    assert main([*command, "--json"]) == 0
    found = printed(capsys)["pictures"]
    assert [one["picture"] for one in found] == [Path(path).name for path in [*warm, "a.png", "b.png"]]
    assert found[0]["edits"] == found[2]["edits"]
    assert found[0]["edits"] != found[1]["edits"]
    assert main([*command, "--out-dir", str(tmp_path / "sheets"), "--sheets"]) == 0
    names = [f"{Path(path).stem}.png" for path in warm]
    made = {path.name for path in (tmp_path / "sheets").rglob("*.png")}
    assert made == {*names, "a.png", "b.png"}
    assert main([*command, "--out", str(tmp_path / "one.png")]) == 1
    assert "name a folder with --out-dir" in capsys.readouterr().err
    assert main(["edit", str(runs[0]), warm[0], "1*2", "c0+=1"]) == 1
    assert "cannot read edit '1*2'" in capsys.readouterr().err


def test_sample(runs, tmp_path):
    for run, prior in zip(runs, ("auto", "model"), strict=True):
        out = tmp_path / "new" / "samples.png"
        assert main(["sample", str(run), "-n", "9", "--prior", prior, "--out", str(out)]) == 0
        with Image.open(out) as picture:
            assert np.asarray(picture).std() > 1


def test_report_writes_one_page_without_requests(runs, tmp_path, capsys):
    out = tmp_path / "compare.html"
    assert main(["report", *map(str, runs), "--out", str(out), "--json"]) == 0
    result = printed(capsys)
    assert set(result["runs"]) == {"fcn-ae", "fcn-vae"}
    for run in result["runs"].values():
        assert 0 < run["mse"] < 1
        assert run["psnr"] > 5
        assert run["decode_ms"] > 0
        assert run["parameters"] > 10_000
    page = out.read_text()
    links = re.findall(r'(?:src|href)="(?!data:|#)([^"]*)"', page)
    assert links == []
    assert "http://" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", page)
    assert page.count("<img") > 100
    for heading in ("AE or VAE?", "compresses better than PCA", "What every dimension does", "Training"):
        assert heading in page


def test_recipes(capsys):
    assert main(["recipes", "--json"]) == 0
    assert {"fcn-ae", "fcn-vae", "conv-ae", "conv-vae"} <= set(printed(capsys))
    assert main(["recipes"]) == 0
    assert "1312.6114" in capsys.readouterr().out


def test_resume_trains_a_finished_run_further(folder, tmp_path, capsys):
    args = [
        "train",
        "fcn-vae",
        str(folder),
        "--out",
        str(tmp_path / "run"),
        *SMALL,
        "--json",
        "--keep-checkpoint",
        "true",
    ]
    assert main([*args, "--steps", "30"]) == 0
    assert main([*args, "--steps", "60", "--resume"]) == 0
    assert '"step": 60' in capsys.readouterr().out
    records = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    steps = [record["step"] for record in records]
    assert steps == sorted(steps)
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["step"] == 60


def test_interruption_leaves_a_usable_run(folder, tmp_path):
    out = tmp_path / "run"
    process = start("train", "fcn-ae", folder, "--out", out, "--steps", "50000", *SMALL)
    for _ in range(600):
        if (out / "metrics.jsonl").exists():
            break
        time.sleep(0.1)
    time.sleep(0.5)
    process.send_signal(2)
    assert process.wait(60) == 130
    assert main(["dimensions", str(out), "--json"]) == 0
    assert list((out / "checkpoint").glob("step-*/state.json"))


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["train", "nope", "avatars", "--out", "x"], "choose one of"),
        (["train", "fcn-ae", "/nowhere", "--out", "{tmp}/x"], "no pictures at"),
        (["train", "fcn-ae", "avatars", "--out", "{tmp}/x", "--size", "2"], "out of range"),
        (["train", "fcn-ae", "avatars", "--out", "{tmp}/x", "--lr", "0"], "--lr"),
        (["train", "fcn-ae", "avatars", "--out", "{tmp}/x", "--set", "kl=3"], "it takes latent, widths"),
        (["train", "conv-ae", "avatars", "--out", "{tmp}/x", "--size", "50"], "--size 48"),
        (["train", "fcn-ae", "avatars", "--out", "{run}"], "--overwrite"),
        (["train", "fcn-ae", "avatars", "--out", "{run}", "--resume"], "cannot resume"),
        (["dimensions", "/nowhere"], "no run at"),
        (["edit", "{run}", "/nowhere.png", "1*=2"], "there is nothing at"),
        (["edit", "{run}", "{run}/config.json", "1*=2"], "is no array of pictures"),
        (["sample", "{run}", "--prior", "model"], "no prior"),
        (["sample", "{run}", "-n", "0"], "-n must be"),
        (["sample", "{run}", "--out", "{tmp}/x.nothing"], "--out"),
        (["report", "{run}", "--data", "/nowhere"], "no pictures at"),
        (["import", "/nowhere.pt", "--recipe", "fcn-ae", "--out", "{tmp}/x"], "there is nothing at"),
    ],
)
def test_errors_are_one_line_with_a_remedy(args, says, runs, tmp_path, capsys):
    assert main([arg.format(tmp=tmp_path, run=runs[0]) for arg in args]) == 1
    error = capsys.readouterr().err.strip()
    assert says in error
    assert "\n" not in error


def test_nothing_is_lost_by_a_refused_overwrite(runs, folder):
    before = {path.name: path.stat().st_mtime_ns for path in runs[0].iterdir()}
    assert main(["train", "fcn-ae", str(folder), "--out", str(runs[0]), *SMALL]) == 1
    assert before == {path.name: path.stat().st_mtime_ns for path in runs[0].iterdir()}


def test_overwriting_loses_nothing_when_the_pictures_are_gone(runs, tmp_path):
    run = shutil.copytree(runs[0], tmp_path / "run")
    before = {path.name for path in run.iterdir()}
    assert main(["train", "fcn-ae", "/nowhere", "--out", str(run), "--overwrite", *SMALL]) == 1
    assert before == {path.name for path in run.iterdir()}
    assert main(["dimensions", str(run), "--json"]) == 0
    assert main(["train", "fcn-ae", "/nowhere", "--out", str(tmp_path / "new"), *SMALL]) == 1
    assert not (tmp_path / "new" / "config.json").exists()


@pytest.mark.parametrize("name", sorted({*COMMANDS} - {"completion"}))
def test_every_command_explains_itself(name, capsys):
    assert main([name, "--help"]) == 0
    assert "--json" in capsys.readouterr().out


def test_settings_from_a_file(folder, tmp_path, capsys):
    (tmp_path / "small.yaml").write_text("size: 16\nsteps: 2\nset: [widths=24]\nlatent: 3\n")
    args = ["train", "fcn-ae", str(folder), "--out", str(tmp_path / "run"), "--config", str(tmp_path / "small.yaml")]
    assert main([*args, "--latent", "5", "--json"]) == 0
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["model"]["options"] == {"latent": 5, "widths": 24}
    assert config["geometry"]["size"] == 16
    assert printed(capsys)["steps"] == 2


def test_dashes_and_plain_lists_are_understood(folder, tmp_path):
    args = ["train", "fcn-ae", str(folder), "--out", str(tmp_path / "run"), *SMALL, "--time-budget", "1s"]
    assert main([*args, "--decay-at", "0.2,0.6", "--schedule=step"]) == 0
    settings = json.loads((tmp_path / "run" / "config.json").read_text())["train"]
    assert settings["time_budget"] == "1s"
    assert settings["decay_at"] == [0.2, 0.6]
