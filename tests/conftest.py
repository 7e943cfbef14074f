"""Small pictures and small trained runs that the tests share."""

from __future__ import annotations

import os
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # two threads on a busy machine can be ten times slower than one

import numpy as np
import pytest


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory):
    """Nothing a test draws or decodes goes to the user's cache."""
    os.environ["LATENTDIAL_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def discs() -> np.ndarray:
    """48 coloured discs, uint8 (48, 16, 16, 3): position, radius and colour vary."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:16, :16]
    pictures = np.full((48, 16, 16, 3), 230, np.uint8)
    for picture in pictures:
        x, y, radius = [*rng.uniform(5, 11, 2).tolist(), rng.uniform(2, 5)]
        picture[(rows - y) ** 2 + (columns - x) ** 2 < radius**2] = rng.integers(0, 200, 3)
    return pictures


@pytest.fixture(scope="session")
def discs_file(discs, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("data") / "discs.npy"
    np.save(path, discs)
    return path


@pytest.fixture(scope="session")
def tiny_runs(discs_file, tmp_path_factory) -> dict[str, Path]:
    """A trained fcn-ae and fcn-vae of 16x16 discs, 6 latent dimensions."""
    from latentdial.training import train

    folder = tmp_path_factory.mktemp("runs")
    runs = {}
    for recipe in ("fcn-ae", "fcn-vae"):
        runs[recipe] = folder / recipe
        options = {"latent": 6, "widths": [32]}
        train(recipe, discs_file, runs[recipe], options=options, size=16, steps=400, batch=16, lr=3e-3)
    return runs


@pytest.fixture(scope="session")
def codec(tiny_runs):
    """The tiny fcn-vae, loaded."""
    import latentdial

    return latentdial.load(tiny_runs["fcn-vae"])


@pytest.fixture(scope="session")
def content(codec, discs):
    """What the explorer shows of it; needs the extra `explorer`."""
    from latentdial.explorer import make_content

    return make_content(codec, discs, weights="fp16")
