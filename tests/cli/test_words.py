"""What reaches the terminal: no control characters, one line for every mistake, and no traceback where it cannot go."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import latentdial
from latentdial.cli import COMMANDS, main
from latentdial.cli.shared import print_table
from latentdial.errors import LatentdialError
from latentdial.images.types import readable
from latentdial.progress import PlainShow, show_progress
from latentdial.texts import printable, suggestion
from pictures import encoded, photo, write_folder

EVIL = "\x1b]0;owned\x07\x1b[31m\x9b2J\u202egpj.exe\r\x08"
OBEYED = "\x1b\x07\x9b\u202e\r\x08"


def heard(text: str) -> bool:
    """Whether a terminal would obey something in it."""
    return any(one in text for one in OBEYED)


def test_printable_writes_out_what_a_terminal_obeys():
    assert printable(EVIL) == r"\x1b]0;owned\x07\x1b[31m\x9b2J\u202egpj.exe\r\x08"
    assert printable("hand\udcff.jpg") == r"hand\udcff.jpg"
    for plain in ("ünïcödé 顔 \u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "two\nlines", "a\u00a0b", "a\tb", ""):
        assert printable(plain) == plain
    assert printable("two\nlines", lines=False) == r"two\nlines"


def test_what_is_said_is_printable(capfd):
    PlainShow().say(EVIL)
    PlainShow().advance(EVIL, 3, 3, EVIL)
    print_table(EVIL, [EVIL, "b"], [[EVIL, EVIL]])
    assert not heard("".join(capfd.readouterr()))
    assert not heard(str(LatentdialError(EVIL)))
    assert not heard(readable(EVIL))
    assert str(LatentdialError("one\ntwo")) == r"one\ntwo"


def test_a_bar_is_printable(capfd, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with show_progress() as show:
        show.say("\x07evil\u202e")
        show.advance("\x07evil\u202e", 1, 2, "\x07evil\u202e")
    shown = "".join(capfd.readouterr())
    assert "evil" in shown
    assert "\x07" not in shown
    assert "\u202e" not in shown


def test_only_two_files_print():
    """Everything else goes through what makes it printable."""
    root = Path(latentdial.__file__).parent
    found = {
        str(path.relative_to(root))
        for path in root.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    }
    assert found == {"progress.py", "cli/shared.py", "cli/streams.py", "explorer/server.py"}


SMALL = ["--size", "8", "--set", "widths=8", "--latent", "2", "--steps", "2", "--precision", "float32"]


def test_names_of_files_cannot_drive_the_terminal(tmp_path, capfd):
    root = tmp_path / f"set{EVIL.replace('/', '')}"
    files = {f"{EVIL}{i}/{EVIL}{i}.png": encoded(photo(i), "PNG") for i in range(8)}
    write_folder(root, files | {f"{EVIL}0/{EVIL}broken.jpg": b"text", f"{EVIL}.txt": b"text"})
    look = ["look", str(root), "--out", str(tmp_path / f"{EVIL}.html"), "--sheet", str(tmp_path / f"{EVIL}.png")]
    assert main(look) == 0
    assert main([*look, "--json"]) == 0
    run = str(tmp_path / f"run{EVIL}")
    assert main(["train", "fcn-ae", str(root), "--out", run, *SMALL]) == 0
    for command in (
        ["dimensions", run],
        ["runs", str(tmp_path)],
        ["cache", "list"],
        ["train", EVIL, "x", "--out", EVIL],
    ):
        main(command)
    main(["train", "fcn-ae", "x", "--out", "x", "--schedule", EVIL])
    main([EVIL, EVIL])
    main(["train", f"--{EVIL}"])
    main(["dimensions", run, EVIL])
    (Path(run) / "config.json").write_text('{"format": 1, "\\u001b]0;owned\\u0007": "\\u001b]0;owned\\u0007"}')
    assert main(["dimensions", run]) == 1
    text = "".join(capfd.readouterr())
    assert text.count("owned") > 20
    assert not heard(text)


def ran(*args: str, then: str) -> subprocess.CompletedProcess[str]:
    """The command line in a shell, with its streams as `then` leaves them."""
    command = " ".join(f"'{word}'" for word in (sys.executable, "-m", "latentdial", *args))
    return subprocess.run(["bash", "-c", f"{command} {then}"], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("args", [["cache", "list"], ["cache", "list", "--json"], ["--help"], []])
def test_output_that_cannot_be_written_is_one_line(args):
    done = ran(*args, then=">/dev/full")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("then", ["<&- >&- 2>&-", "| true", "2>/dev/full"])
def test_closed_streams_are_no_error(tmp_path, discs_file, then):
    done = ran("look", str(discs_file), "--out", f"{tmp_path}/x.html", "--sheet", f"{tmp_path}/x.png", then=then)
    assert "Traceback" not in done.stderr
    assert (tmp_path / "x.html").read_text().startswith("<!doctype html>")
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
    assert done.returncode == 0


def test_an_error_that_nobody_hears_has_its_status(tmp_path):
    assert ran("runs", str(tmp_path / "none"), then="2>/dev/full").returncode == 1


LONG = "n" * 300


@pytest.mark.parametrize(
    "args",
    [
        ["look", LONG],
        ["train", "fcn-ae", LONG, "--out", "{tmp}/x"],
        ["train", "fcn-ae", "{set}", "--out", LONG, *SMALL],
        ["dimensions", LONG],
        ["runs", LONG],
        ["report", LONG],
        ["encode", LONG, "x", "--out", "{tmp}/x"],
        ["import", LONG, "--recipe", "fcn-ae", "--out", "{tmp}/x"],
        ["train", "fcn-ae", "x", "--out", "{tmp}/x", "--config", LONG],
        ["look", "{set}", "--cache", LONG],
    ],
)
def test_names_that_are_too_long_are_one_line(tmp_path, discs_file, monkeypatch, capsys, args):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LATENTDIAL_CACHE", os.environ["LATENTDIAL_CACHE"])
    assert main([arg.format(tmp=tmp_path, set=discs_file) for arg in args]) in (1, 2)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith("latentdial")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("trian", "there is no command 'trian': did you mean train?"),
        ("train", "RECIPE, DATA, --out are missing: see --help"),
        ("train fcn-ae avatars", "--out is missing: directory of the run"),
        ("train fcn-ae avatars --out x --lable z", "there is no option --lable: did you mean --label?"),
        (
            "train fcn-ae avatars --out x --time_bugdet z",
            "there is no option --time-bugdet: did you mean --time-budget?",
        ),
        ("train fcn-ae avatars --out x --zzzzzz z", "there is no option --zzzzzz: --help tells of all"),
        ("train fcn-ae avatars --out x -q", "there is no option -q: --help tells of all"),
        ("train fcn-ae avatars --out x --steps abc", "--steps takes a whole number, and not 'abc'"),
        ("train fcn-ae avatars --out x --steps", "--steps needs a value: see --help"),
        ("train fcn-ae avatars --out x --batch many", "--batch takes a whole number or auto, and not 'many'"),
        ("train fcn-ae avatars --out x --schedule no", "--schedule takes cosine, constant or step, and not 'no'"),
        ("train fcn-ae avatars --out x --decay-at x", "--decay-at takes a list of numbers, and not 'x'"),
        ("train fcn-ae avatars --out x --flip=maybe", "--flip takes true or false, and not 'maybe'"),
        ("train fcn-ae avatars --out x y", "'y' is one argument too many"),
        ("train fcn-ae avatars --out x --config /nowhere.yaml", "--config: File does not exist: '/nowhere.yaml'"),
        ("interpolate run a b --path liner", "--path takes linear, spherical or density, and not 'liner'"),
        ("directions run --labels data --method rige", "--method takes mean, ridge or svm, and not 'rige'"),
        ("cache lst", "ACTION takes list or clear, and not 'lst'"),
    ],
)
def test_misuse_is_one_line_with_a_remedy(capsys, line, says):
    assert main(line.split()) == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("name", COMMANDS)
def test_options_have_hyphens(name, capsys):
    assert main([name, "--help"]) == 0
    words = capsys.readouterr().out.replace("\n", " ").split(" ")
    assert [word for word in words if word.startswith(("--", "[--")) and "_" in word] == []


def test_suggestions():
    assert suggestion("SMILE", ["smile", "age"]) == "did you mean smile?"
    assert suggestion("x", map(str, np.arange(100, 130))).endswith("111 and 18 more")


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["train", "fcn-ea", "avatars", "--out", "x"], "did you mean fcn-ae?"),
        (["train", "fcn-ae", "avatars", "--out", "x", "--set", "width=3"], "did you mean widths?"),
        (["train", "fcn-ae", "{set}", "--out", "{tmp}/x", "--monitor", "los", *SMALL], "did you mean loss?"),
        (["edit", "{run}", "{picture}", "smlie+=2s"], "no dimension or direction 'smlie': this code has"),
    ],
)
def test_a_word_close_to_a_known_one_is_suggested(tiny_runs, discs_file, tmp_path, capsys, args, says):
    (tmp_path / "one.png").write_bytes(encoded(photo(1), "PNG"))
    run = shutil.copytree(tiny_runs["fcn-vae"], tmp_path / "run")
    places = {"run": run, "set": discs_file, "tmp": tmp_path, "picture": tmp_path / "one.png"}
    assert main([arg.format(**places) for arg in args]) == 1
    assert says in capsys.readouterr().err


def test_the_time_left_counts_from_where_a_run_goes_on(monkeypatch, capsys):
    seconds = iter([0.0, 20.0, 40.0])
    monkeypatch.setattr("latentdial.progress.time.monotonic", lambda: next(seconds))
    show = PlainShow()
    for done in (900, 910, 920):
        show.advance("training", done, 1000)
    assert capsys.readouterr().err == "training 910/1000  180 s left\ntraining 920/1000  160 s left\n"


def test_help_comes_in_tiers(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "110")
    assert main([]) == 2
    first = capsys.readouterr().out
    assert main(["--help"]) == 0
    assert capsys.readouterr().out == first
    assert main(["--help-all"]) == 0
    whole = capsys.readouterr().out
    assert all(f"  {name} " in whole for name in COMMANDS)
    assert all(re.search(rf"\b{name}\b", first) for name in COMMANDS)
    assert len(first.splitlines()) < 25 < len(whole.splitlines())
    assert main(["train", "-h"]) == 0
    few = capsys.readouterr().out
    assert main(["train", "--help-all"]) == 0
    every = capsys.readouterr().out
    assert "--epochs" in few
    assert "--kl-cycles" not in few
    assert "--kl-cycles" in every
    shown, told = ({*re.findall(r"^  (?:-\w, )?(--[\w-]+)", text, re.M)} for text in (every, few))
    assert f"{len(shown - told)} more options: latentdial train --help-all" in few


def completed(script: str, line: str) -> list[str]:
    """What bash offers for the last word of a command line."""
    words = line.split(" ")
    probe = (
        f"source {script}; COMP_WORDS=({' '.join(words[:-1])} {words[-1] or repr('')}); COMP_CWORD={len(words) - 1}; "
        '_shtab_latentdial; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    return subprocess.run(["bash", "-c", probe], capture_output=True, text=True, check=True).stdout.split()


def test_shells_complete_commands_options_and_values(tmp_path, capsys):
    assert main(["completion", "bash"]) == 0
    (there := tmp_path / "pictures").mkdir()
    script = tmp_path / "complete.bash"
    script.write_text(capsys.readouterr().out)
    assert completed(str(script), "latentdial dim") == ["dimensions"]
    assert completed(str(script), "latentdial train fcn-") == ["fcn-ae", "fcn-vae"]
    assert completed(str(script), f"latentdial train fcn-ae {tmp_path}/pic") == [str(there)]
    assert completed(str(script), "latentdial train fcn-ae x --sched") == ["--schedule"]
    assert completed(str(script), "latentdial train fcn-ae x --schedule c") == ["cosine", "constant"]
    for shell in ("zsh", "fish"):
        assert main(["completion", shell]) == 0
        said = capsys.readouterr().out
        assert all(name in said for name in COMMANDS)
        assert "type: str" not in said
