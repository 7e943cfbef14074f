"""Faces with known attributes, drawn locally from DiceBear's avataaars style and cached.

Style: remix of "Avataaars" by Pablo Stanley (avataaars.com), free for personal and commercial use.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from importlib.resources import files
from multiprocessing import get_context

import numpy as np
from filelock import FileLock
from PIL import Image

from latentdial.images.cache import cache_folder

DEFAULT_COUNT = 5_000
VERSION = 1
CHUNK = 50

CHOICES: dict[str, list[str]] = {
    "skin": ["#ffdbb4", "#edb98a", "#d08b5b", "#ae5d29", "#614335"],
    "hair": ["shortFlat", "shortRound", "theCaesar", "shortCurly", "bob", "straight01", "bigHair", "bun"],
    "hair_colour": ["#2c1b18", "#724133", "#a55728", "#d6b370", "#c93305", "#e8e1e1"],
    "mouth": ["smile", "default", "sad", "screamOpen"],
    "eyes": ["default", "happy", "closed", "surprised"],
    "eyebrows": ["default", "raisedExcited", "angry", "sadConcerned"],
    "glasses": ["none", "prescription02", "sunglasses"],
    "beard": ["none", "beardMedium"],
    "clothes": ["#25557c", "#ff5c5c", "#a7ffc4", "#ffffb1"],
    "background": ["#b6e3f4", "#d1d4f9", "#ffd5dc", "#e8f0d8"],
}
RANGES: dict[str, tuple[float, float]] = {"x": (-4.0, 4.0), "y": (-3.0, 3.0), "scale": (0.94, 1.06)}
SHARES = {"glasses": [0.7, 0.2, 0.1], "beard": [0.75, 0.25]}
SCALE, DOWN = 1.3, 7.0


def draw_factors(n: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Independent factors of n avatars: an index into `CHOICES` each, and numbers within `RANGES`."""
    rng = np.random.default_rng([seed, VERSION])
    discrete = {name: rng.choice(len(values), n, p=SHARES.get(name)) for name, values in CHOICES.items()}
    return discrete | {name: rng.uniform(low, high, n) for name, (low, high) in RANGES.items()}


def render(
    n: int, size: int, progress: Callable[[int, int], None] = lambda done, total: None, seed: int = 0
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """n avatars as uint8 (n, size, size, 3) with their factors; kept in the cache and drawn over all cores."""
    factors = draw_factors(n, seed)
    path = cache_folder() / f"avatars-v{VERSION}-{n}x{size}-seed{seed}.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        if path.exists():
            return np.load(path, mmap_mode="r", allow_pickle=False), factors
        pixels = _draw_all(n, size, factors, progress)
        unfinished = path.with_suffix(".part.npy")
        np.save(unfinished, pixels)
        unfinished.replace(path)
    return pixels, factors


def _draw_all(n: int, size: int, factors: dict[str, np.ndarray], progress: Callable[[int, int], None]) -> np.ndarray:
    jobs = [
        (
            size,
            [{name: values[i].item() for name, values in factors.items()} for i in range(start, min(n, start + CHUNK))],
        )
        for start in range(0, n, CHUNK)
    ]
    parts = []
    with ProcessPoolExecutor(min(os.cpu_count() or 1, len(jobs)), get_context("spawn")) as pool:
        for part in pool.map(_draw_chunk, jobs):
            parts.append(part)
            progress(min(n, len(parts) * CHUNK), n)
    return np.concatenate(parts)


def _draw_chunk(job: tuple[int, list[dict[str, float]]]) -> np.ndarray:
    size, people = job
    return np.stack([_draw(person, size) for person in people])


def _draw(person: dict[str, float], size: int) -> np.ndarray:
    from dicebear import Avatar
    from resvg_py import svg_to_bytes

    svg = Avatar(_style(), {"seed": "0", "size": size, **_options(person)}).to_string()
    png = bytes(svg_to_bytes(svg_string=svg, width=size, height=size, skip_system_fonts=True))
    with Image.open(io.BytesIO(png)) as picture:
        return np.asarray(picture.convert("RGB"))


def _options(person: dict[str, float]) -> dict[str, object]:
    chosen = {name: values[int(person[name])] for name, values in CHOICES.items()}
    glasses, beard = chosen["glasses"], chosen["beard"]
    return {
        "skinColor": [chosen["skin"]],
        "topVariant": chosen["hair"],
        "hairColor": [chosen["hair_colour"]],
        "facialHairColor": [chosen["hair_colour"]],
        "mouthVariant": chosen["mouth"],
        "eyesVariant": chosen["eyes"],
        "eyebrowsVariant": chosen["eyebrows"],
        "accessoriesProbability": 0 if glasses == "none" else 100,
        "accessoriesVariant": "round" if glasses == "none" else glasses,
        "accessoriesColor": ["#262e33"],
        "facialHairProbability": 0 if beard == "none" else 100,
        "facialHairVariant": "beardMedium" if beard == "none" else beard,
        "clothesVariant": "shirtCrewNeck",
        "clothesColor": [chosen["clothes"]],
        "backgroundColor": [chosen["background"]],
        "translateX": person["x"],
        "translateY": DOWN + person["y"],
        "scale": SCALE * person["scale"],
    }


@cache
def _style():
    from dicebear import Style

    return Style(json.loads(files("dicebear_styles").joinpath("avataaars.json").read_text()))
