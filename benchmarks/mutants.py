"""Damages a run in many ways and reads it with everything that reads runs: no traceback, no hang, no more than 2 GB.

Command:  python benchmarks/mutants.py --count 10000        (tests/runs/test_mutants.py tries some hundreds)
Time:     about 0.2 s a mutant on one core
Expected: nothing but "read" and "refused"

Each mutant is a copy of a small run with all that a run can hold (checkpoints, thin layers, kept codes, canonical
coordinates, fitted priors, directions with attributes, a detector of anomalies, shards of codes, a tracker's id; every
fifth one has discrete codes and a prior of words), in which one file is damaged, or two are: bytes, values of its JSON
(huge, infinite, null, nested, of another type), arrays that are no numbers, another file in its place, or the file (a
link, a pipe, a folder, sparse GBs). All readers read it, and then one of `COMMANDS`, another for each mutant (`tune`
reads a damaged search), in processes whose memory is bounded, and where a warning counts as a traceback.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import json
import os
import random
import resource
import shutil
import signal
import struct
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from latentdial import LatentdialError
from latentdial.anomaly.stored import read_detector
from latentdial.cli import main as latentdial
from latentdial.codes.reading import read_codes
from latentdial.latent import sampling
from latentdial.latent.editing import edit
from latentdial.latent.effect import dimensions
from latentdial.priors import fitted
from latentdial.priors.diffusion import fit_diffusion
from latentdial.priors.words import fit_words
from latentdial.runs.cleaning import waste
from latentdial.runs.listing import list_runs
from latentdial.runs.loading import load
from latentdial.runs.records import read_metrics, read_summary, read_times
from latentdial.training.trackers import keep_id, read_ids

SECONDS, WAIT, MEMORY = 60, 600, 2 * 2**30  # of the processor; by the clock, where one only waits; bytes
TABLE = "../pictures/table.csv"
BATCH = 100  # mutants a process
PICTURES, SIDE = 160, 16
SMALL = ["--size", "16", "--steps", "4", "--holdout", "0.4", "--precision", "float32", "--memory", "hold"]
KEPT = ["--batch", "32", "--keep-checkpoint"]
OPTIONS = ["--latent", "3", "--set", "widths=8", "--subspace", "16"]
TRAIN = ["train", "fcn-vae", TABLE, "--out", "run", *OPTIONS, *SMALL, *KEPT]
TUNE = ["tune", "fcn-vae", TABLE, "--out", "search", "--trials", "1", "--set", "widths=8", *SMALL, "--search", "lr"]
WORDS = ["null", "1" + "0" * 400, "-1", '"x"', "[]", "{}", "[" * 50 + "]" * 50, "1e400", "NaN", "true", "0", "1.5",
         '"' + "n" * 5000 + '"', "9223372036854775807", '"../../x"', '"\\u001b[31m"', "[null]", "[" * 3000]  # fmt: skip
LEAF = "\x00leaf\x00"
COMMANDS = {
    "train": [*TRAIN, "--resume"],
    "runs": ["runs", ".", "--json"],
    "clean": ["clean", ".", "--yes"],
    "dimensions": ["dimensions", "run", "--out", "out.png"],
    "directions": ["directions", "run", "--out", "out.png"],
    "disentanglement": ["disentanglement", "run"],
    "edit": ["edit", "run", "picture.png", "c0+=2", "0*=2", "shade+=1s", "--keep", "half", "--out", "out.png"],
    "interpolate": ["interpolate", "run", "picture.png", "picture.png", "--path", "density", "--out", "out.png"],
    "analogy": ["analogy", "run", "picture.png", "picture.png", "picture.png", "--out", "out.png"],
    "anomalies": ["anomalies", "run", TABLE, "--out", "out.csv"],
    "sample": ["sample", "run", "-n", "4", "--out", "out.png"],
    "fit-prior": ["fit-prior", "run", "--kind", "mixture"],
    "reorder": ["reorder", "run", "--out", "ordered"],
    "evaluate": ["evaluate", "run", "-n", "20", "--samples", "2", "--features", "pixels-pca", "--out", "out.html"],
    "encode": ["encode", "run", TABLE, "--out", "run/codes", "--shard-rows", "100"],
    "report": ["report", "run", "--out", "out.html"],
    "explore": ["explore", "run", "--out", "out.html"],
    "average": ["average", "run", "picture.png", "picture.png", "--out", "out.png"],
    "decode": ["decode", "run", "run/codes", "--out", "out.npy"],
    "export": ["export", "run", "--format", "safetensors", "--out", "exported"],
    "nearest": ["nearest", "run", "picture.png", "--out", "out.png"],
    "push": ["push", "run", "hub:anna/faces"],  # offline: all is made that would travel
    "traverse": ["traverse", "run", "picture.png", "c0", "--out", "out.png"],
    "tune": TUNE,
}
VQ = ["train", "vq-vae", TABLE, "--out", "run", "--latent", "2", "--set", "words=8", "width=8", "blocks=1,1"]
WORDS_COMMANDS = COMMANDS | {
    "train": [*VQ, *SMALL, *KEPT, "--resume"],
    "edit": ["edit", "run", "picture.png", "c0+=2", "0*=2", "--out", "out.png"],
    "fit-prior": ["fit-prior", "run"],
}
EVERY = 5  # the mutants of discrete codes
RARE = {"report": 0.1, "explore": 0.1, "evaluate": 0.5, "train": 0.15, "tune": 0.5}  # shares of their turns: slow


class TooLong(BaseException):
    """A reader that does not come back."""


def make_runs(room: Path) -> tuple[Path, Path]:
    """Two folders with the runs that are damaged, with all that a run can hold, beside the pictures of both."""
    pictures = room / "pictures"
    _pictures(pictures)
    bases = room / "base", room / "words"
    for base, commands in zip(bases, (COMMANDS, WORDS_COMMANDS), strict=True):
        base.mkdir()
        shutil.copyfile(pictures / "0.png", base / "picture.png")
        with inside(base):
            finds = ["directions", "run", "--labels", "data"]
            for command in (commands["train"], finds, commands["anomalies"], commands["encode"]):
                if called(command):
                    raise RuntimeError(f"{command} was refused")
            keep_id(Path("run"), "wandb", "abc123")
    for base, command in zip(bases, (TUNE, WORDS_COMMANDS["fit-prior"]), strict=True):
        with inside(base):
            called(command)
    return bases


def _pictures(folder: Path) -> None:
    """Pictures of two properties, with a table that says them."""
    from PIL import Image

    folder.mkdir()
    rng = np.random.default_rng(0)
    shade, side = rng.integers(0, 2, (2, PICTURES))
    pixels = rng.integers(0, 60, (PICTURES, SIDE, SIDE, 3), np.uint8)
    pixels[..., 0] += (shade * 120).astype(np.uint8)[:, None, None]
    pixels[side == 1, :, : SIDE // 2] += 90
    for i, one in enumerate(pixels):
        Image.fromarray(one).save(folder / f"{i}.png")
    with (folder / "table.csv").open("w", newline="") as file:
        rows = [[f"{i}.png", f"{shade[i]}", f"{side[i]}"] for i in range(PICTURES)]
        csv.writer(file).writerows([["file", "shade", "half"], *rows])


@contextlib.contextmanager
def inside(folder: Path):
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def called(command: list[str]) -> bool:
    """Run a command; whether it was refused, which must be in one line. A traceback comes out as it is."""
    said, heard = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(heard), contextlib.redirect_stderr(said):
        status = latentdial(command)
    last = said.getvalue().splitlines()[-1:] or [""]
    if status not in (0, 1) or (status and not last[0].startswith("latentdial ")) or len(last[0]) > 2000:
        raise RuntimeError(f"status {status}: {last[0][:200]}")
    return status != 0


def damage(path: Path, rng: random.Random) -> str:
    """Damage one file; says how."""
    kinds: list[Callable[[Path, random.Random], str]] = [_bytes, _cut, _odd_file, _other]
    text = path.suffix in {".json", ".jsonl"}
    kinds += 3 * [_value] if text else [_numbers] + 3 * [_header] if path.suffix == ".safetensors" else []
    kind = rng.choice(kinds)
    return f"{kind.__name__} {kind(path, rng)}"


def _bytes(path: Path, rng: random.Random) -> str:
    data = bytearray(path.read_bytes() or b" ")
    for _ in range(rng.choice([1, 1, 3, 20])):
        data[min(int(rng.random() ** rng.choice([1, 3]) * len(data)), len(data) - 1)] = rng.randrange(256)
    path.write_bytes(data)
    return ""


def _cut(path: Path, rng: random.Random) -> str:
    data = path.read_bytes()
    path.write_bytes(data[: rng.randrange(len(data) + 1)] + rng.choice([b"", b"", b"\x00" * 100, data]))
    return ""


def _odd_file(path: Path, rng: random.Random) -> str:
    kind = rng.choice(["missing", "folder", "pipe", "link", "loop", "sparse"])
    data = path.read_bytes()
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "link":
        (path.parent / "elsewhere").write_bytes(data)
        path.symlink_to(path.parent / "elsewhere")
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "sparse":
        path.write_bytes(data)
        os.truncate(path, 2**36)
    return kind


def _other(path: Path, rng: random.Random) -> str:
    """Another file of the run in its place."""
    others = sorted(one for one in path.parents[0].rglob("*") if one.is_file() and one.suffix == path.suffix)
    other = rng.choice(others)
    path.write_bytes(other.read_bytes())
    return other.name


def _numbers(path: Path, rng: random.Random) -> str:
    """Values of arrays that are no finite numbers, or zero."""
    data = bytearray(path.read_bytes())
    (length,) = struct.unpack("<Q", data[:8])
    words = [b"\x00\x00\x80\x7f", b"\x00\x00\xc0\x7f", b"\x00" * 4, b"\xff\xff\x7f\x7f", b"\x00\x00\x80\xff"]
    word, rows = rng.choice(words), (len(data) - 8 - length) // 4
    for _ in range(rng.choice([1, 10, rows])):
        at = 8 + length + 4 * rng.randrange(max(rows, 1))
        data[at : at + 4] = word
    path.write_bytes(data)
    return word.hex()


def _value(path: Path, rng: random.Random) -> str:
    lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
    at = rng.randrange(len(lines))
    lines[at], word = _changed(lines[at], rng)
    path.write_text("\n".join(lines))
    return word


def _header(path: Path, rng: random.Random) -> str:
    """A value of a safetensors header, or of the JSON within it."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    if "__metadata__" in header and rng.random() < 0.7:
        texts = header["__metadata__"]
        name = rng.choice(sorted(texts))
        texts[name], word = _changed(texts[name], rng)
        text = json.dumps(header)
    else:
        text, word = _changed(json.dumps(header), rng)
    path.write_bytes(struct.pack("<Q", len(text.encode())) + text.encode() + data[8 + length :])
    return word


def _changed(text: str, rng: random.Random) -> tuple[str, str]:
    """JSON with one value, at any depth, in place of which another word stands, or with a key gone."""
    try:
        found = json.loads(text)
    except ValueError:
        return text[: len(text) // 2], "half"
    places = [
        (held, key) for held in _containers(found) for key in (held if isinstance(held, dict) else range(len(held)))
    ]
    if not places:
        return "[]", "empty"
    held, key = rng.choice(places)
    if rng.random() < 0.15:
        del held[key]
        return json.dumps(found), f"without {key}"
    word = rng.choice(WORDS)
    held[key] = LEAF
    return json.dumps(found).replace(json.dumps(LEAF), word, 1), f"{key} = {word[:20]}"


def _containers(value):
    if isinstance(value, dict | list):
        yield value
        for one in value.values() if isinstance(value, dict) else value:
            yield from _containers(one)


READERS: dict[str, Callable[[Path], object]] = {
    "runs": lambda run: (list_runs(run.parent), list_runs(run.parent, "loss")),
    "records": lambda run: (read_metrics(run), read_times(run), read_summary(run), read_ids(run)),
    "waste": lambda run: waste(run.parent),
    "codes": lambda run: _use_codes(run / "codes"),
    "codec": lambda run: _use(run),
}


def _use(run: Path) -> None:
    codec = load(run)
    code = codec.encode(np.zeros((1, SIDE, SIDE, 3), np.uint8))
    codec.decode(code)
    codec.sample(2)
    read_detector(run, codec)
    dimensions(codec)
    edit(codec, np.zeros((SIDE, SIDE, 3), np.uint8), "c0+=1", "0*=2").sentences()


def _use_codes(folder: Path) -> None:
    codes = read_codes(folder)
    _ = codes[:], codes.names, codes.labels
    codes.check()


def command_of(number: int, rng: random.Random) -> list[str]:
    """One command, in turns, the slow ones not at every turn."""
    names = list(COMMANDS)
    name = names[number % len(names)]
    return [name] if rng.random() < RARE.get(name, 1) else []


def _tried(job: Callable[[], object]) -> tuple[str, str]:
    """What came of a job, and what was odd about it."""
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.alarm(WAIT)
    try:
        return ("refused" if job() is True else "read"), ""
    except LatentdialError as error:
        odd = "\n" in str(error) or len(str(error)) > 2000
        return ("traceback", "an error that is not one line") if odd else ("refused", "")
    except TooLong:
        return "hang", ""
    except MemoryError:
        return "memory", ""
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-3:]
        places = " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(last))
        return "traceback", f"{type(error).__name__}: {str(error)[:150]} at {places}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)


def mutant(number: int, bases: tuple[Path, Path], room: Path) -> dict:
    """One damaged copy, and what came of reading it: the worst of all readers and of the commands whose turn it is."""
    rng = random.Random(number)
    discrete = number % EVERY == EVERY - 1
    copy = room / f"copy{number}"
    shutil.copytree(bases[discrete], copy)
    turn = command_of(number, rng)
    damaged_folder = copy / ("search" if turn == ["tune"] and not discrete else "run")
    files = sorted(path for path in damaged_folder.rglob("*") if path.is_file())
    damaged = rng.sample(files, rng.choice([1, 1, 1, 1, 2]))
    how = [f"{path.relative_to(copy)}: {damage(path, rng)}" for path in damaged]
    start, found, wrong = time.process_time(), set(), []
    with inside(copy):
        jobs = [(name, lambda job=job: job(Path("run"))) for name, job in READERS.items()]
        commands = WORDS_COMMANDS if discrete else COMMANDS
        jobs += [(name, lambda name=name: called(commands[name])) for name in turn]
        for name, job in jobs:
            came, odd = _tried(job)
            found.add(came)
            if came not in {"read", "refused"}:
                wrong.append(f"{name}: {came} {odd}")
    shutil.rmtree(copy, ignore_errors=True)
    came = next(one for one in ("hang", "memory", "traceback", "refused", "read") if one in found)
    seconds = round(time.process_time() - start, 2)
    return {"number": number, "how": how, "came": came, "wrong": wrong, "seconds": seconds}


def batch(numbers: list[int], bases: tuple[Path, Path], room: Path) -> list[dict]:
    """Mutants in a process of its own, whose memory is bounded; where it dies, the next goes on after that mutant."""
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        os.close(ours)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY,) * 2)

        def too_long(*_):
            raise TooLong

        signal.signal(signal.SIGALRM, too_long)
        signal.signal(signal.SIGPROF, too_long)
        warnings.simplefilter("error")
        with os.fdopen(theirs, "w") as pipe:
            for number in numbers:
                pipe.write(json.dumps(mutant(number, bases, room)) + "\n")
                pipe.flush()
        os._exit(0)
    os.close(theirs)
    with os.fdopen(ours) as pipe:
        found = [json.loads(line) for line in pipe]
    os.waitpid(child, 0)
    if len(found) < len(numbers):
        odd = {"how": [], "came": "died", "wrong": [], "seconds": 0.0}
        found.append({"number": numbers[len(found)], **odd})
        found += batch(numbers[len(found) :], bases, room) if len(found) < len(numbers) else []
    return found


def try_mutants(numbers: list[int], room: Path, tell: Callable[[list[dict]], None]) -> None:
    """Damage and read so many copies of runs, and tell of them, some at a time."""
    fitted.fit_diffusion = partial(fit_diffusion, steps=50)  # how good a prior is does not matter here
    sampling.fit_words = partial(fit_words, steps=50)
    bases = make_runs(room)
    for start in range(0, len(numbers), BATCH):
        tell(batch(numbers[start : start + BATCH], bases, room))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--log", type=Path, help="gets a line for each mutant; those that it has are not tried again")
    options = parser.parse_args()
    found = [json.loads(line) for line in options.log.open()] if options.log and options.log.exists() else []
    had = {one["number"] for one in found}

    def tell(fresh: list[dict]) -> None:
        found.extend(fresh)
        for one in fresh:
            if one["came"] not in {"read", "refused"}:
                print(json.dumps(one), flush=True)
        if options.log:
            with options.log.open("a") as log:
                log.writelines(json.dumps(one) + "\n" for one in fresh)
        print(f"{len(found)} of {options.count}", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory() as room:
        os.environ |= {"LATENTDIAL_CACHE": f"{room}/cache", "HF_HUB_OFFLINE": "1"}
        every = range(options.first, options.first + options.count)
        try_mutants([number for number in every if number not in had], Path(room), tell)
    slowest = max(found, key=lambda one: one["seconds"])
    total = sum(one["seconds"] for one in found)
    print(dict(Counter(one["came"] for one in found)), f"in {total:.0f} core-seconds; slowest {slowest}")


if __name__ == "__main__":
    main()
