"""Faces with known attributes, drawn locally from DiceBear's avataaars style and cached.

Style: remix of "Avataaars" by Pablo Stanley (avataaars.com), free for personal and commercial use.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import IO, cast

import numpy as np
from filelock import FileLock

from latentdial.errors import LatentdialError, needs
from latentdial.images.cache import cache_folder
from latentdial.images.pool import start_module
from latentdial.progress import Steps, quiet
from latentdial.storage import opened, writing

DEFAULT_COUNT = 5_000
VERSION = 1

# What DiceBear draws, by the words that attributes have here.
DRAWN: dict[str, dict[str, str]] = {
    "skin": {"pale": "#ffdbb4", "light": "#edb98a", "tan": "#d08b5b", "brown": "#ae5d29", "dark": "#614335"},
    "hair": {
        "flat": "shortFlat",
        "round": "shortRound",
        "caesar": "theCaesar",
        "curly": "shortCurly",
        "bob": "bob",
        "straight": "straight01",
        "big": "bigHair",
        "bun": "bun",
    },
    "hair_colour": {
        "black": "#2c1b18",
        "brown": "#724133",
        "auburn": "#a55728",
        "blonde": "#d6b370",
        "red": "#c93305",
        "silver": "#e8e1e1",
    },
    "mouth": {"smile": "smile", "open": "default", "sad": "sad", "scream": "screamOpen"},
    "eyes": {"plain": "default", "happy": "happy", "closed": "closed", "surprised": "surprised"},
    "eyebrows": {"plain": "default", "raised": "raisedExcited", "angry": "angry", "worried": "sadConcerned"},
    "glasses": {"none": "none", "clear": "prescription02", "sunglasses": "sunglasses"},
    "beard": {"none": "none", "full": "beardMedium"},
    "clothes": {"navy": "#25557c", "red": "#ff5c5c", "mint": "#a7ffc4", "yellow": "#ffffb1"},
    "background": {"blue": "#b6e3f4", "lavender": "#d1d4f9", "pink": "#ffd5dc", "green": "#e8f0d8"},
}
CHOICES: dict[str, list[str]] = {name: list(words) for name, words in DRAWN.items()}
RANGES: dict[str, tuple[float, float]] = {"x": (-4.0, 4.0), "y": (-3.0, 3.0), "scale": (0.94, 1.06)}
SHARES = {"glasses": [0.7, 0.2, 0.1], "beard": [0.75, 0.25]}


def draw_factors(n: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Independent factors of n avatars: an index into `CHOICES` each, and numbers within `RANGES`."""
    rng = np.random.default_rng([seed, VERSION])
    discrete = {name: rng.choice(len(values), n, p=SHARES.get(name)) for name, values in CHOICES.items()}
    return discrete | {name: rng.uniform(low, high, n) for name, (low, high) in RANGES.items()}


def render(n: int, size: int, progress: Steps = quiet, seed: int = 0) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """n avatars as uint8 (n, size, size, 3) with their factors; kept in the cache and drawn over all cores."""
    factors = draw_factors(n, seed)
    path = cache_folder() / f"avatars-v{VERSION}-{n}x{size}-seed{seed}.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        held = _kept(path, (n, size, size, 3))
        if held is not None:
            return held, factors
        pixels = draw_all(factors, size, progress)
        with writing(path) as file:
            np.save(file, pixels)
    return pixels, factors


def _kept(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """The pictures of an earlier time; None where there are none, or no whole ones."""
    try:
        opened(path).close()
        held = np.load(path, mmap_mode="r", allow_pickle=False)
    except (LatentdialError, OSError, ValueError, EOFError):
        return None
    return held if held.shape == shape and held.dtype == np.uint8 else None


def draw_all(factors: dict[str, np.ndarray], size: int, progress: Steps = quiet) -> np.ndarray:
    """Avatars with these factors, each (n,), as uint8 (n, size, size, 3).

    Drawn over all cores, in processes that answer with the pixels of one avatar after another.
    """
    with needs("demo", "the set avatars"):
        import dicebear  # noqa: F401 - the drawers need it, which are processes of their own
        import dicebear_styles  # noqa: F401
        import resvg_py  # noqa: F401
    n = len(next(iter(factors.values())))
    pixels = np.empty((n, size, size, 3), np.uint8)
    shares = np.array_split(np.arange(n), min(os.cpu_count() or 1, n))
    processes = [start_module("latentdial.images.drawing", str(size)) for _ in shares]
    done, one_at_a_time = itertools.count(1), threading.Lock()

    def draw(process: subprocess.Popen[bytes], share: np.ndarray) -> None:
        people = [{name: values[i].item() for name, values in factors.items()} for i in share]
        with suppress(BrokenPipeError), cast(IO[bytes], process.stdin) as ask:
            ask.write(json.dumps(people).encode())
        for i in share:
            drawn = cast(IO[bytes], process.stdout).read(pixels[i].nbytes)
            if len(drawn) < pixels[i].nbytes:
                raise LatentdialError("a process that draws avatars has died: try again, with more memory free")
            pixels[i] = np.frombuffer(drawn, np.uint8).reshape(pixels[i].shape)
            with one_at_a_time:
                progress(next(done), n)

    with ThreadPoolExecutor(len(shares)) as threads:
        try:
            list(threads.map(draw, processes, shares))
        finally:
            for process in processes:
                with process:
                    process.kill()
    return pixels
