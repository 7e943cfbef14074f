"""Ends a tiny training run at every call that changes its directory on the disk, and goes on with it.

    python tests/training/kills.py fresh|overwrite|directions|full ROOM DATA [EVERY]

Every child is a fork of this process, which has imported everything, and is ended by `os._exit` right before its n-th
call of the file system; with `full` the disk is full from that call on, which must be said in one line. Prints a JSON
line: the calls that there are, the points that were tried, and what went wrong.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
import traceback
from pathlib import Path

import latentdial
from latentdial import LatentdialError
from latentdial.runs.loading import load, read_directions, save_directions
from latentdial.training.checkpoint import Checkpoints

NEED_ROOM = ("open", "write", "fsync", "mkdir")
CALLS = ("fsync", "replace", "rename", "unlink", "rmdir", "mkdir", "ftruncate")
ENDED, SAID = 9, 3
SETTINGS = {"size": 16, "steps": 5, "batch": 16, "precision": "float32", "memory": "hold"}
SAME = ("model.safetensors", "codes.safetensors", "metrics.jsonl", "config.json", "samples")


def train(recipe: str, data: str, out: Path, **more) -> None:
    latentdial.train(recipe, data, out, options={"latent": 3, "widths": [4]}, **SETTINGS, **more)


def forked(job, end_at: int | None = None, full: bool = False) -> tuple[int, int]:
    """Run a job in a child; its exit status, and how many calls it made."""
    counter, into = os.pipe()
    child = os.fork()
    if child:
        os.close(into)
        with os.fdopen(counter) as pipe:
            told = pipe.read()
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), int(told or 0)
    count = 0

    def counted(real):
        def call(*args, **kwargs):
            nonlocal count
            if real is not opens or args[1] & os.O_CREAT:
                count += 1
                if full and end_at is not None and count >= end_at:
                    raise OSError(errno.ENOSPC, "No space left on device")
                if count == end_at:
                    os._exit(ENDED)
            return real(*args, **kwargs)

        return call

    opens = os.open
    for name in NEED_ROOM if full else CALLS:
        setattr(os, name, counted(getattr(os, name)))
    Checkpoints.due_after = lambda self, minutes: 0.0
    try:
        job()
    except LatentdialError as error:
        told = str(error)
        remedy = any(words in told for words in ("free some space", "use --cache DIR", "choose another --out"))
        os._exit(SAID if full and "\n" not in told and remedy else 1)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os.write(into, str(count).encode())
    os._exit(0)


def contents(out: Path) -> dict[str, bytes]:
    """What must be the same, and the names of all the rest."""
    files = {str(path.relative_to(out)): path for path in out.rglob("*") if path.is_file()}
    files = {name: path for name, path in files.items() if not name.startswith("..overwriting.")}
    return {name: path.read_bytes() if name.split("/")[0] in SAME else b"" for name, path in files.items()}


def training(kind: str, room: Path, data: str, every: int) -> dict:
    whole, killed, other = room / "whole", room / "killed", room / "other"
    train("fcn-ae", data, other, keep_checkpoint=True)
    replaces = {"overwrite": True} if kind == "overwrite" else {}

    def begin() -> None:
        shutil.rmtree(killed, ignore_errors=True)
        if replaces:
            shutil.copytree(other, killed)

    train("fcn-vae", data, whole)
    expected, before, wrong = contents(whole), contents(other), []
    begin()
    full = kind == "full"
    status, calls = forked(lambda: train("fcn-vae", data, killed, **replaces), None, full)
    assert (status, contents(killed)) == (0, expected), "no kill, and yet not the same"
    points = range(1, calls + 1, every)
    for point in points:
        begin()
        status, _ = forked(lambda: train("fcn-vae", data, killed, **replaces), point, full)
        again = replaces if replaces and contents(killed) == before else {"resume": True}  # the old run is all there
        resumed, _ = forked(lambda: train("fcn-vae", data, killed, **again))  # noqa: B023 - called at once
        if resumed or status != (SAID if full else ENDED) or contents(killed) != expected:
            found = contents(killed)
            odd = [name for name in {*found, *expected} if found.get(name) != expected.get(name)]
            wrong.append({"point": point, "killed": status, "resumed": resumed, "differs": sorted(odd)})
    return {"calls": calls, "tried": len(points), "wrong": wrong}


def directions(room: Path, data: str) -> dict:
    """Old or new directions, never half of each, and a run that can be read."""
    from latentdial.discovery.measuring import measure
    from latentdial.latent.naming import axis_directions
    from latentdial.latent.stored import Stored

    out, run = room / "whole", room / "killed"
    train("fcn-vae", data, out)
    codec = load(out)
    old, new = (Stored(tuple(measure(codec, found))) for found in (axis_directions(codec), axis_directions(codec)[:2]))
    save_directions(out, old)
    expected, wrong = {tuple(one.name for one in kept.directions) for kept in (old, new)}, []
    shutil.copytree(out, run)
    _, calls = forked(lambda: save_directions(run, new))
    for point in range(1, calls + 1):
        shutil.rmtree(run)
        shutil.copytree(out, run)
        status, _ = forked(lambda: save_directions(run, new), point)
        kept = read_directions(run, codec.latent, codec.geometry)
        if status != ENDED or tuple(one.name for one in kept.directions) not in expected:
            wrong.append({"point": point, "killed": status})
    return {"calls": calls, "tried": calls, "wrong": wrong}


if __name__ == "__main__":
    kind, room, data = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    every = int(sys.argv[4]) if len(sys.argv) > 4 else 1
    print(json.dumps(directions(room, data) if kind == "directions" else training(kind, room, data, every)))
