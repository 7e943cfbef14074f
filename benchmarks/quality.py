"""How good codecs are at what they cost: error, Frechet distance, what judges read; beside PCA and a notebook's loop.

Command:  python benchmarks/quality.py run SET ROW [ROW ...] --out results.jsonl
          python benchmarks/quality.py table results.jsonl
Time:     2 to 6 core-minutes a row of a net, 14 for the notebook, under one for pca; one thread each
Expected: res-ae at 0.6 times PCA's squared error on avatars and 0.9 on photographs; no row of a net above PCA's

SET is `avatars` or a folder of UTKFace crops (age_gender_race_... in the file names). 250 pictures of avatars and 1,500
photographs are never trained on; the split and the rows' settings are fixed below, and nothing is chosen on the test
pictures. A row is `NAME` or `NAME@300`, trained on 300 pictures only. `notebook` is the usual loop: a DataLoader over
float pictures, float32, Adam at 0.001, batches of 200, 280,000 pictures, random start.

Figures: core-seconds of training (processor time of the process); squared error per value with pictures in [0, 1], and
in units of PCA's with 128 numbers trained on the same pictures; the Frechet distance on EfficientNet-Lite0 (extra
`features`; not FID) of reconstructions and of samples to other photographs than those reconstructed; root mean square
levels that the first eight canonical coordinates move a picture by (median), and the share of the decoded variance that
the first sixteen make up; judges on the same features, fitted to training photographs: how often they read from a
reconstruction what they read from its photograph (categories), the correlation of their readings (numbers), and how
often the photograph nearest to a reconstruction is its own (identity).
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import itertools

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from torch import nn
from torch.utils.data import DataLoader

import latentdial
from latentdial.config import DataSettings, Geometry
from latentdial.features import efficientnet_features
from latentdial.images import open_images
from latentdial.latent.codec import Codec, wrap
from latentdial.latent.sampling import fit_prior
from latentdial.measure.generation import frechet, nearest
from latentdial.measure.reconstruction import reconstruction

LATENT, TESTS, JUDGED = 128, 500, 2000
COMMON = {"batch": 64, "checkpoint": 0, "precision": "auto"}
EPOCHS = {"fcn-ae": 12, "fcn-vae": 12, "conv-ae": 14, "conv-vae": 14, "res-ae": 16, "res-vae": 16, "pca": 1}
SEEN = 280_000  # pictures, by the notebook


@dataclass(frozen=True)
class Data:
    """Training and test pictures, uint8 (N, H, W, C), and what is known of all of them, training first."""

    name: str
    train: np.ndarray
    test: np.ndarray
    known: dict[str, np.ndarray]
    mirrored: bool


def photographs(folder: str) -> Data:
    images = open_images(DataSettings(folder), Geometry())
    order = np.random.default_rng(7).permutation(len(images))[:8500]
    fields = [Path(images.names[i]).name.split("_") for i in order]
    known = {"gender": np.array([f[1] for f in fields]), "age": np.array([float(f[0]) for f in fields])}
    pixels = images.pixels[order]
    return Data("photographs", pixels[:7000], pixels[7000:], known, mirrored=True)


def avatars() -> Data:
    images = open_images(DataSettings("avatars", limit=5000), Geometry())
    order = np.random.default_rng(7).permutation(len(images))
    known = {name: images.factors[name][order].astype(str) for name in ("hair", "skin", "glasses")}
    pixels = images.pixels[order]
    return Data("avatars", pixels[:4500], pixels[4500:], known, mirrored=False)


# codecs ---------------------------------------------------------------------------------------------------------------


def trained(row: str, data: Data, pixels: np.ndarray, seed: int, folder: Path) -> Codec:
    path = folder / f"{data.name}-{row}-{seed}"
    np.save(folder / "train.npy", pixels)
    epochs = EPOCHS[row] * (len(data.train) // len(pixels) if len(pixels) < 1000 else 1) ** 0.5
    codec = latentdial.train(
        row, folder / "train.npy", path, overwrite=True, seed=seed, flip=data.mirrored, epochs=epochs, **COMMON
    )
    return replace(codec, name=row)


def notebook(pixels: np.ndarray, seed: int) -> Codec:
    """The usual loop of a notebook."""
    torch.manual_seed(seed)
    sizes = [12288, 2048, 512, LATENT]
    down = [layer for a, b in itertools.pairwise(sizes) for layer in (nn.Linear(a, b), nn.ReLU())][:-1]
    up = [layer for a, b in zip(sizes[::-1], sizes[-2::-1], strict=False) for layer in (nn.Linear(a, b), nn.ReLU())]
    encoder, decoder = nn.Sequential(*down), nn.Sequential(*up[:-1], nn.Tanh())
    net = nn.Sequential(encoder, decoder)
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    pictures = torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div(127.5).sub(1).flatten(1)
    loader = DataLoader(list(pictures), batch_size=200, shuffle=True)
    for _ in range(round(SEEN / len(pixels))):
        for x in loader:
            optimizer.zero_grad()
            nn.functional.mse_loss(net(x), x).backward()
            optimizer.step()
    return replace(wrap(encoder, decoder, size=64, images=pixels), name="notebook")


# figures --------------------------------------------------------------------------------------------------------------


def judges(data: Data, features: Callable[[np.ndarray], np.ndarray]) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Readers of what is known, fitted to features of training photographs."""
    seen, found = features(data.train[:JUDGED]), {}
    scale = seen.std(0) + 1e-3
    for name, values in data.known.items():
        numbers = values.dtype.kind == "f"
        model = Ridge(100.0) if numbers else LogisticRegression(C=0.01, max_iter=300)
        model.fit(seen / scale, values[: len(seen)])
        found[name] = lambda rows, model=model: model.predict(rows / scale)
    return found


def agreement(read: Callable[[np.ndarray], np.ndarray], originals: np.ndarray, made: np.ndarray) -> float:
    ours, theirs = read(made), read(originals)
    if ours.dtype.kind == "f":
        return float(np.corrcoef(ours, theirs)[0, 1])
    return float((ours == theirs).mean())


def measure(codec: Codec, data: Data, features: Callable[[np.ndarray], np.ndarray], reading: dict) -> dict[str, float]:
    made = codec.reconstruct(data.test)
    half = min(TESTS, len(data.test) // 2)
    originals, others = features(data.test[:half]), features(data.test[half : 2 * half])
    rebuilt = features(made[:half])
    canonical = codec.canonical
    figures = {
        "mse": reconstruction(data.test, made).mse,
        "frechet": frechet(rebuilt, others),
        "frechet_photographs": frechet(originals, others),
        "first_levels": float(canonical.levels[0]),
        "median_levels": float(np.median(canonical.levels[:8])),
        "share_of_16": float(canonical.shares[min(15, len(canonical.shares) - 1)]),
        "identity": float((nearest(rebuilt, originals)[0] == np.arange(half)).mean()),
        **{name: agreement(read, originals, rebuilt) for name, read in reading.items()},
    }
    for prior in ["model"] * (codec.prior is not None) + ["fitted"]:
        sampling = codec if prior == "model" else replace(codec, fitted=fit_prior(codec))
        drawn = sampling.sample(half, seed=5, prior="model" if prior == "model" else "auto")
        figures[f"frechet_{prior}"] = frechet(features(drawn), others)
        if prior == "fitted":
            figures["prior"] = sampling.prior_named("auto")
    return figures


def run(data: Data, rows: list[str], seed: int, out: Path, folder: Path) -> None:
    features = efficientnet_features().features
    reading = judges(data, features)
    for row in rows:
        name, _, count = row.partition("@")
        pixels = data.train[: int(count)] if count else data.train
        start = time.process_time()
        codec = notebook(pixels, seed) if name == "notebook" else trained(name, data, pixels, seed, folder)
        seconds = time.process_time() - start
        figures = {"set": data.name, "row": row, "seed": seed, "core_seconds": seconds}
        figures |= measure(codec, data, features, reading)
        print(json.dumps(figures), flush=True)
        with out.open("a") as file:
            file.write(json.dumps(figures) + "\n")


def table(path: Path) -> None:
    """Means over seeds, a table for each set, squared errors in units of PCA's too."""
    records = [json.loads(line) for line in path.read_text().splitlines()]
    for name in dict.fromkeys(record["set"] for record in records):
        of_set = [record for record in records if record["set"] == name]
        keys = [key for key in of_set[-1] if key not in {"set", "row", "seed", "mse", "prior", "core_seconds"}]
        print(f"\n| {name} | seeds | core-s | MSE | / PCA | {' | '.join(keys)} |\n|{'---|' * (len(keys) + 5)}")
        for row in dict.fromkeys(record["row"] for record in of_set):
            same = [record for record in of_set if record["row"] == row]
            pca = "pca" + row[row.index("@") :] if "@" in row else "pca"
            base = [record["mse"] for record in of_set if record["row"] == pca] or [float("nan")]
            mse = np.mean([record["mse"] for record in same])
            cells = [f"{np.mean([r[key] for r in same]):.3g}" if all(key in r for r in same) else "-" for key in keys]
            seconds = np.mean([record["core_seconds"] for record in same])
            ratio = mse / np.mean(base)
            print(f"| {row} | {len(same)} | {seconds:.0f} | {mse:.5f} | {ratio:.3f} | {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run")
    running.add_argument("set", help="avatars, or a folder of UTKFace crops")
    running.add_argument("rows", nargs="+")
    running.add_argument("--seed", type=int, default=0)
    running.add_argument("--out", type=Path, default=Path("quality.jsonl"))
    running.add_argument("--runs", type=Path, default=Path("quality-runs"))
    commands.add_parser("table").add_argument("results", type=Path)
    options = parser.parse_args()
    if options.command == "table":
        table(options.results)
        return
    torch.set_num_threads(1)
    options.runs.mkdir(parents=True, exist_ok=True)
    data = avatars() if options.set == "avatars" else photographs(options.set)
    run(data, options.rows, options.seed, options.out, options.runs)


if __name__ == "__main__":
    main()
