"""Damages a run in many ways and reads it with everything that reads runs: no traceback, no hang, no more than 2 GB.

Command:  python benchmarks/mutants.py --count 10000        (tests/runs/test_mutants.py tries some hundreds)
Time:     about 0.1 s a mutant on one core
Expected: nothing but "read" and "refused"

Each mutant is a copy of a small run with directions, checkpoints and codes in which one file is damaged: bytes, values
of its JSON (huge, infinite, null, nested, of another type), or the file itself (a link, a pipe, a folder, sparse GBs).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import signal
import struct
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

import numpy as np

import latentdial
from latentdial import LatentdialError
from latentdial.codes.reading import read_codes
from latentdial.codes.writing import encode_pictures
from latentdial.config import DataSettings
from latentdial.directions.measuring import measure
from latentdial.latent.naming import axis_directions
from latentdial.latent.stored import Stored
from latentdial.runs.cleaning import waste
from latentdial.runs.listing import list_runs
from latentdial.runs.loading import load, read_metrics, read_summary, read_times, save_directions

SECONDS, MEMORY = 10, 2 * 2**30
BATCH = 50  # mutants a process
SMALL = {"size": 16, "steps": 4, "batch": 16, "precision": "float32", "keep_checkpoint": True}
OPTIONS = {"latent": 3, "widths": [4]}
WORDS = ["null", "1" + "0" * 400, "-1", '"x"', "[]", "{}", "[" * 50 + "]" * 50, "1e400", "NaN", "true", "0", "1.5",
         '"' + "n" * 5000 + '"', "9223372036854775807", '"../../x"', '"\\u001b[31m"', "[null]", "[" * 3000]  # fmt: skip
LEAF = "\x00leaf\x00"


class TooLong(BaseException):
    """A reader that does not come back."""


def make_run(room: Path) -> Path:
    """The run that is damaged, and `pictures.npy` beside it."""
    rng = np.random.default_rng(0)
    np.save(room / "pictures.npy", rng.integers(0, 256, (48, 16, 16, 3), np.uint8))
    out = room / "run"
    latentdial.train("fcn-vae", room / "pictures.npy", out, options=OPTIONS, **SMALL)
    codec = load(out)
    save_directions(out, Stored(tuple(measure(codec, axis_directions(codec))), (), codec.support))
    encode_pictures(out, DataSettings(str(room / "pictures.npy")), out / "codes", 20)
    return out


def damage(path: Path, rng: random.Random) -> str:
    """Damage one file; says how."""
    kinds = [_bytes, _cut, _odd_file]
    text = path.suffix in {".json", ".jsonl"}
    kinds += 3 * [_value] if text else 3 * [_header] if path.suffix == ".safetensors" else []
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


def read_all(run: Path, pictures: Path) -> str:
    """Read a run as all commands do; whether every one of them could."""
    refused = 0
    for job in (
        lambda: list_runs(run.parent),
        lambda: list_runs(run.parent, "loss"),
        lambda: (read_metrics(run), read_times(run), read_summary(run)),
        lambda: waste(run.parent),
        lambda: _use_codes(run / "codes"),
        lambda: _use(load(run)),
        lambda: latentdial.train("fcn-vae", pictures, run, options=OPTIONS, resume=True, **SMALL),
    ):
        try:
            job()
        except LatentdialError as error:
            if "\n" in str(error) or len(str(error)) > 2000:
                raise RuntimeError("an error that is not one line") from error
            refused += 1
    return "refused" if refused else "read"


def _use(codec) -> None:
    codec.decode(codec.encode(np.zeros((1, 16, 16, 3), np.uint8)))


def _use_codes(folder: Path) -> None:
    codes = read_codes(folder)
    _ = codes[:], codes.names, codes.labels
    codes.check()


def mutant(number: int, base: Path, room: Path) -> dict:
    """One damaged copy, and what came of reading it."""
    rng = random.Random(number)
    copy = room / f"copy{number}"
    shutil.copytree(base, copy / "run")
    files = sorted(path for path in (copy / "run").rglob("*") if path.is_file())
    path = rng.choice(files)
    name = str(path.relative_to(copy / "run"))
    how = damage(path, rng)
    signal.alarm(SECONDS)
    start = time.perf_counter()
    try:
        came = read_all(copy / "run", base.parent / "pictures.npy")
        odd = ""
    except TooLong:
        came, odd = "hang", ""
    except MemoryError:
        came, odd = "memory", ""
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-3:]
        places = " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(last))
        came, odd = "traceback", f"{type(error).__name__}: {str(error)[:100]} at {places}"
    finally:
        signal.alarm(0)
        shutil.rmtree(copy, ignore_errors=True)
    seconds = round(time.perf_counter() - start, 2)
    return {"number": number, "file": name, "how": how, "came": came, "odd": odd, "seconds": seconds}


def batch(numbers: range, base: Path, room: Path) -> list[dict]:
    """Mutants in a process of its own, whose memory is bounded."""
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        os.close(ours)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY,) * 2)

        def too_long(*_):
            raise TooLong

        signal.signal(signal.SIGALRM, too_long)
        with os.fdopen(theirs, "w") as pipe:
            for number in numbers:
                pipe.write(json.dumps(mutant(number, base, room)) + "\n")
                pipe.flush()
        os._exit(0)
    os.close(theirs)
    with os.fdopen(ours) as pipe:
        found = [json.loads(line) for line in pipe]
    os.waitpid(child, 0)
    if len(found) < len(numbers):
        found.append({"number": numbers[len(found)], "file": "", "how": "", "came": "died", "odd": "", "seconds": 0})
    return found


def try_mutants(count: int, room: Path, first: int = 0) -> list[dict]:
    """Damage and read so many copies of a run."""
    base = make_run(room)
    numbers = range(first, first + count)
    return [one for start in range(0, count, BATCH) for one in batch(numbers[start : start + BATCH], base, room)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    options = parser.parse_args()
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as room:
        os.environ["LATENTDIAL_CACHE"] = f"{room}/cache"
        found = try_mutants(options.count, Path(room), options.first)
    for one in found:
        if one["came"] not in {"read", "refused"}:
            print(json.dumps(one))
    slowest = max(found, key=lambda one: one["seconds"])
    print(dict(Counter(one["came"] for one in found)), f"in {time.perf_counter() - start:.0f} s; slowest {slowest}")


if __name__ == "__main__":
    main()
