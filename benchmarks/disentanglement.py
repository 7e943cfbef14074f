"""Do recipes for disentanglement disentangle? Drawn faces with independent known factors, one net and budget for all.

Command:  python benchmarks/disentanglement.py [--steps 1500] [--seeds 1] [--only RECIPE ...]
Time:     some five core-minutes a seed
Expected: benchmarks/results/disentanglement.json

Scores (MIG, DCI, SAP, InfoMEC; latentdial.measure.disentanglement) are of codes of test pictures, which no part of the
training saw. Selectivity is of edits: the dimension that tells most of a factor (mutual information, on training codes)
moves by 1 sd either way, the picture is decoded, and a reader that has seen real training pictures only (ridge
regression of every factor on 100 principal components of pixels) reads all factors. The change of a reading is that of
its mean over pictures, in sd over the data, for categories the length of the vector of all of them; selectivity is
target / (target + sum of the others), the mean over the factors that the reader reads with r of 0.6 or more from test
pictures. Nothing is chosen by these figures: every recipe has the options below, set before any was seen.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge

import latentdial
from latentdial.images import ImageSet
from latentdial.measure.disentanglement import binned, mutual_information, scores
from latentdial.measure.reconstruction import reconstruction
from latentdial.runs.pictures import run_pictures

RECIPES: dict[str, dict[str, float]] = {
    "pca": {},
    "conv-ae": {},
    "conv-vae": {},
    "conv-vae beta 4": {"beta": 4.0},
    "beta-tcvae": {"beta": 6.0},
    "dip-vae": {},
    "factor-vae": {"gamma": 6.4},
    "info-vae": {},
}
PICTURES, SIZE, LATENT, LAYERS = 3000, 32, 10, [16, 32, 64]
COMPONENTS, READ = 100, 0.6
EDITED = 200  # pictures
COLUMNS = ["MIG", "SAP", "DCI disentanglement", "DCI completeness", "modularity", "FactorVAE score"]


@dataclass
class Reader:
    """Readings of every factor from pictures (N, H, W, C): columns, each in sd of its factor over the data."""

    pca: PCA
    ridge: Ridge
    columns: list[np.ndarray]  # of each factor

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        return self.ridge.predict(self.pca.transform(flat(pictures)))


def flat(pictures: np.ndarray) -> np.ndarray:
    return np.asarray(pictures, np.float32).reshape(len(pictures), -1) / 255


def targets(images: ImageSet) -> tuple[np.ndarray, list[np.ndarray]]:
    """Factors as numbers in sd, (N, T): themselves, or one of 0 and 1 for each category; and whose columns they are."""
    parts = [
        np.eye(int(values.max()) + 1)[values] if values.dtype.kind in "iu" else values[:, None]
        for values in images.factors.values()
    ]
    ends = np.cumsum([part.shape[1] for part in parts])
    columns = [np.arange(end - part.shape[1], end) for part, end in zip(parts, ends, strict=True)]
    whole = np.concatenate(parts, 1)
    scale = np.concatenate([np.full(len(mine), np.sqrt(whole[:, mine].var(0).sum())) for mine in columns])
    return whole / scale, columns


def learn_reader(training: ImageSet) -> Reader:
    pictures, (wanted, columns) = training.pixels[:], targets(training)
    pca = PCA(COMPONENTS, random_state=0).fit(flat(pictures))
    return Reader(pca, Ridge(1.0).fit(pca.transform(flat(pictures)), wanted), columns)


def well_read(reader: Reader, test: ImageSet) -> list[int]:
    """The factors whose readings from test pictures go with the truth."""
    read, (truth, columns) = reader(test.pixels[:]), targets(test)
    right = [np.corrcoef(read[:, mine].ravel(), truth[:, mine].ravel())[0, 1] for mine in columns]
    return [i for i, r in enumerate(right) if r >= READ]


def selectivity(codec: latentdial.Codec, training: ImageSet, test: ImageSet, reader: Reader) -> float:
    codes = codec.encode(training.pixels[:])
    factors = np.stack([discrete(values) for values in training.factors.values()], 1)
    best = mutual_information(codes, factors).argmax(0)
    start, found = codec.encode(test.pixels[:EDITED]), []
    for factor in well_read(reader, test):
        step = codes.std(0) * np.eye(codec.latent)[best[factor]]
        change = (reader(codec.decode(start + step)) - reader(codec.decode(start - step))).mean(0) / 2
        lengths = np.array([np.linalg.norm(change[mine]) for mine in reader.columns])
        found.append(lengths[factor] / max(lengths.sum(), 1e-9))
    return float(np.mean(found))


def discrete(values: np.ndarray) -> np.ndarray:
    return values if values.dtype.kind in "iu" else binned(values[:, None], 5)[:, 0]


def measured(name: str, options: dict[str, float], steps: int, seed: int, folder: Path) -> dict[str, float]:
    recipe, begin = name.split()[0], time.process_time()
    chosen = dict(options, latent=LATENT)
    shapes = {} if recipe == "pca" else {"channels" if recipe.startswith("conv") else "layers": LAYERS}
    codec = latentdial.train(
        recipe,
        "avatars",
        folder,
        options=chosen | shapes,
        size=SIZE,
        limit=PICTURES,
        holdout=0.2,
        steps=steps,
        lr=1e-3,
        seed=seed,
        precision="float32",
        device="cpu",
    )
    spent = time.process_time() - begin
    training, test = run_pictures(codec)
    codes = codec.encode(test.pixels[:])
    factors = np.stack([discrete(values) for values in test.factors.values()], 1)
    row = scores(codes, factors) | {"selectivity": selectivity(codec, training, test, learn_reader(training))}
    psnr = reconstruction(test.pixels[:], codec.reconstruct(test.pixels[:])).psnr
    return row | {"psnr": psnr, "core_seconds": spent}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", nargs="+", default=list(RECIPES))
    parser.add_argument("--out", default="benchmarks/results/disentanglement.json")
    options = parser.parse_args()
    rows = []
    for name in options.only:
        found = []
        for seed in range(options.seeds):
            with tempfile.TemporaryDirectory() as folder:
                found.append(measured(name, RECIPES[name], options.steps, seed, Path(folder) / "run"))
        keys = ["selectivity", *(key for key in COLUMNS if key in found[0]), "psnr", "core_seconds"]
        means = {key: float(np.mean([one[key] for one in found])) for key in keys}
        rows.append([name, *(round(value, 3) for value in means.values())])
        print(rows[-1], flush=True)
        record = {
            "question": "Do recipes for disentanglement disentangle, beside PCA, an AE and a VAE?",
            "command": f"python benchmarks/disentanglement.py --steps {options.steps} --seeds {options.seeds}",
            "date": time.strftime("%Y-%m-%d"),
            "machine": "2 virtual cores, Intel Xeon with AMX, shared; one thread, float32",
            "versions": {"torch": torch.__version__.split("+")[0]},
            "columns": ["recipe", *keys],
            "rows": rows,
            "notes": [
                f"{PICTURES} avatars of {SIZE} pixels, a fifth of them held out (half of these for the scores), "
                f"{LATENT} numbers, convolutions of {LAYERS} channels, {options.steps} steps of 64, "
                f"{options.seeds} seed(s).",
                "Nets start as PCA does, as every training here (pca has no steps).",
                "Avatars have 13 independent factors, and codes 10 numbers: no code can give each its own.",
            ],
        }
        Path(options.out).write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
