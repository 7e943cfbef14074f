"""Which pictures do not belong? latentdial with its default scores beside PyOD and plain reconstruction error.

Command:  python benchmarks/anomalies.py --pyod /path/to/pyod/bin/python --utk FACES --mnist FOLDER --fashion FOLDER
Time:     about 15 minutes on 2 cores; sets whose files are not named are left out
Expected: see docs/benchmarks.md, "Anomalies"

One normal class a task: 1,000 normal pictures (fewer for lfw) to fit to, of which latentdial keeps 300 from training to
calibrate on; 200 other normal pictures and 200 odd ones to score. All see the same pictures at 32x32. There is one
setting for all sets. Avatars are the set on which scores and their combination were chosen; the others were not looked
at before.

Make PyOD's interpreter with `python -m venv pyod && pyod/bin/pip install torch pyod tqdm`.
"""

from __future__ import annotations

import argparse
import gzip
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

SIZE, TRAIN, TEST = 32, 1000, 200
CODECS = {"conv-ae": {"latent": 32, "channels": [32, 64, 128]}, "pca": {"latent": 32}}
STEPS, HOLDOUT, FALSE_ALARMS = 300, 0.3, 0.05
Task = tuple[str, np.ndarray, np.ndarray, np.ndarray]  # name; uint8 (N, H, W, C) to fit to, normal ones, odd ones


def one_class(name: str, pixels: np.ndarray, odd: np.ndarray, seed: int = 0) -> Task:
    rng = np.random.default_rng(seed)
    normal, strange = (rng.permutation(np.flatnonzero(which)) for which in (~odd, odd))
    fit = min(TRAIN, len(normal) * 7 // 10)
    return name, pixels[normal[:fit]], pixels[normal[fit : fit + TEST]], pixels[strange[:TEST]]


def avatars() -> Iterator[Task]:
    from latentdial.config import DataSettings, Geometry
    from latentdial.images import open_images
    from latentdial.images.avatars import CHOICES

    images = open_images(DataSettings("avatars", limit=6000), Geometry(size=SIZE))
    pixels = images.pixels[:]
    for attribute, values in CHOICES.items():
        value = len(values) - 1
        yield one_class(f"avatars {attribute}.{values[value]}", pixels, images.factors[attribute] == value)


def lfw() -> Iterator[Task]:
    from latentdial.config import DataSettings, Geometry
    from latentdial.images import open_images

    images = open_images(DataSettings("lfw"), Geometry(size=SIZE, colour="grey"))
    yield one_class("lfw not a face", images.pixels[:], images.labels == 1)


def children(folder: Path) -> Iterator[Task]:
    from latentdial.config import DataSettings, Geometry
    from latentdial.images import open_images

    images = open_images(DataSettings(str(folder)), Geometry(size=SIZE))
    ages = np.array([int(Path(name).name.split("_")[0]) for name in images.names])
    kept = np.flatnonzero((ages < 10) | (ages >= 18))
    yield one_class("UTKFace children", images.pixels[kept], ages[kept] < 10)


def idx(folder: Path, kind: str, count: int) -> Iterator[Task]:
    from PIL import Image

    def read(what: str) -> np.ndarray:
        path = next(folder.glob(f"train-{what}*"))
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        return np.frombuffer(data, np.uint8, offset=16 if what == "images" else 8)

    pixels, labels = read("images").reshape(-1, 28, 28)[:12_000], read("labels")[:12_000]
    large = np.stack([np.asarray(Image.fromarray(one).resize((SIZE, SIZE))) for one in pixels])[..., None]
    for label in range(0, 10, 10 // count):
        _, fit, normal, _ = one_class("", large[labels == label], np.zeros((labels == label).sum(), bool))
        odd = np.random.default_rng(0).permutation(np.flatnonzero(labels != label))[:TEST]
        yield f"{kind} {label}", fit, normal, large[odd]


def textures(seed: int = 0) -> Iterator[Task]:
    """Woven and grained surfaces; odd ones have a scratch, a spot or a missing part, with known masks."""
    for kind in ("woven", "grained"):
        rng = np.random.default_rng([seed, len(kind)])
        good = np.stack([surface(kind, rng) for _ in range(TRAIN + 2 * TEST)])
        yield f"textures {kind}", good[:TRAIN], good[TRAIN : TRAIN + TEST], damaged(good[TRAIN + TEST :], rng)[0]


def surface(kind: str, rng: np.random.Generator) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    rows, columns = np.mgrid[:SIZE, :SIZE] + rng.uniform(-1, 1, (2, 1, 1))
    if kind == "woven":
        plain = 128 + 40 * np.sin(rows * np.pi / 4) * np.sin(columns * np.pi / 4)
    else:
        plain = 128 + 220 * gaussian_filter(rng.normal(size=(SIZE, SIZE)), (0.7, 4))
    tint = np.array([1.0, 0.9, 0.75]) * rng.uniform(0.95, 1.05)
    noise = rng.normal(0, 5, (SIZE, SIZE, 1))
    return (plain[..., None] * tint + noise).clip(0, 255).astype(np.uint8)


def damaged(pictures: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Pictures with one defect each, and where it is, bool (N, H, W)."""
    made, masks = pictures.copy(), np.zeros(pictures.shape[:3], bool)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    for i, (picture, mask) in enumerate(zip(made, masks, strict=True)):
        y, x = rng.uniform(6, SIZE - 6, 2)
        if i % 3 == 0:
            angle = rng.uniform(0, np.pi)
            along = (rows - y) * np.sin(angle) + (columns - x) * np.cos(angle)
            across = (rows - y) * np.cos(angle) - (columns - x) * np.sin(angle)
            mask[:] = (abs(across) < 0.7) & (abs(along) < 7)
            picture[mask] = picture[mask] // 2
        elif i % 3 == 1:
            mask[:] = (rows - y) ** 2 + (columns - x) ** 2 < rng.uniform(2, 8)
            picture[mask] = picture[mask] // 3 + rng.integers(60, 140, 3).astype(np.uint8)
        else:
            mask[:] = (abs(rows - y) < 3.5) & (abs(columns - x) < 3.5)
            picture[mask] = picture.mean((0, 1)).astype(np.uint8)
    return made, masks


def auroc(normal: np.ndarray, odd: np.ndarray) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(np.repeat([0, 1], [len(normal), len(odd)]), np.concatenate([normal, odd])))


def ours(task: Task, folder: Path) -> dict[str, float]:
    import latentdial
    from latentdial.anomaly.places import Places, fit_places
    from latentdial.anomaly.views import View

    name, fit, normal, odd = task
    np.save(folder / "fit.npy", fit)
    colour = "rgb" if fit.shape[-1] == 3 else "grey"
    found: dict[str, float] = {}
    for recipe, options in CODECS.items():
        run, start = folder / f"{name} {recipe}".replace(" ", "-"), time.perf_counter()
        settings = {"size": SIZE, "colour": colour, "holdout": HOLDOUT, "steps": STEPS, "batch": 64, "checkpoint": 0}
        latentdial.train(recipe, folder / "fit.npy", run, options=options, **settings)
        result = latentdial.anomalies(run, np.concatenate([normal, odd]), false_alarms=FALSE_ALARMS)
        seconds, n = time.perf_counter() - start, len(normal)
        found |= {f"{recipe} {key}": auroc(values[:n], values[n:]) for key, values in result.scores.items()}
        found[f"{recipe} default"] = auroc(result.score[:n], result.score[n:])
        if result.odd is not None:
            found[f"{recipe} false alarms"] = float(result.odd[:n].mean())
        found[f"{recipe} seconds"] = seconds
    return found | padim(fit, normal, odd, fit_places, Places, View)


def padim(fit, normal, odd, fit_places, _places, _view) -> dict[str, float]:
    """PaDiM on the colours themselves, fine and blurred: anomalib's needs a downloaded net."""
    from scipy.ndimage import gaussian_filter

    def features(pictures: np.ndarray) -> np.ndarray:
        x = pictures / 255.0
        return np.concatenate([gaussian_filter(x, sd, axes=(1, 2)) for sd in (0.0, 1.0, 2.0)], axis=-1)

    places = fit_places(features(fit))
    scores = [places.distances(features(pictures)).max((1, 2)) for pictures in (normal, odd)]
    return {"PaDiM on colours": auroc(*scores)}


def theirs(python: str, task: Task, folder: Path) -> dict[str, float]:
    _, fit, normal, odd = task
    path = folder / "task.npz"
    np.savez(path, fit=fit, normal=normal, odd=odd)
    done = subprocess.run([python, __file__, "--worker", str(path)], capture_output=True, text=True, check=True)
    scores = json.loads(done.stdout.splitlines()[-1])
    return {name: auroc(np.array(one["normal"]), np.array(one["odd"])) for name, one in scores.items()}


def work(path: str) -> None:
    """Inside PyOD's interpreter: fit its detectors to rows in 0 to 1, and print the scores of all."""
    from pyod.models.auto_encoder import AutoEncoder
    from pyod.models.iforest import IForest
    from pyod.models.knn import KNN
    from pyod.models.pca import PCA
    from pyod.models.vae import VAE

    parts = {name: array.reshape(len(array), -1) / 255.0 for name, array in np.load(path).items()}
    detectors = {
        "PyOD AutoEncoder": AutoEncoder(epoch_num=30, batch_size=64, verbose=0, random_state=0),
        "PyOD VAE": VAE(epoch_num=30, batch_size=64, verbose=0, random_state=0),
        "PyOD IForest": IForest(random_state=0),
        "PyOD PCA": PCA(n_components=32, random_state=0),
        "PyOD KNN": KNN(),
    }
    scores = {}
    for name, detector in detectors.items():
        detector.fit(parts["fit"])
        scores[name] = {
            one: np.nan_to_num(detector.decision_function(parts[one])).tolist() for one in ("normal", "odd")
        }
    print(json.dumps(scores))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pyod", metavar="PYTHON")
    parser.add_argument("--utk", type=Path)
    parser.add_argument("--mnist", type=Path)
    parser.add_argument("--fashion", type=Path)
    parser.add_argument("--classes", type=int, default=5, help="of MNIST and Fashion-MNIST")
    parser.add_argument("--only", default="", help="sets whose names hold this")
    parser.add_argument("--worker", metavar="FILE", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help="figures of every task as JSON lines")
    args = parser.parse_args()
    if args.worker:
        work(args.worker)
        return
    sets = {"avatars": avatars, "lfw": lfw, "textures": textures}
    sets |= {"utk": lambda: children(args.utk)} if args.utk else {}
    sets |= {"mnist": lambda: idx(args.mnist, "MNIST", args.classes)} if args.mnist else {}
    sets |= {"fashion": lambda: idx(args.fashion, "Fashion-MNIST", args.classes)} if args.fashion else {}
    figures: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind, tasks in sets.items():
            for task in tasks() if args.only in kind else ():
                found = ours(task, Path(folder)) | (theirs(args.pyod, task, Path(folder)) if args.pyod else {})
                figures.setdefault(kind, []).append(found)
                print(task[0], json.dumps({name: round(value, 3) for name, value in found.items()}), flush=True)
                if args.out:
                    with args.out.open("a") as file:
                        file.write(json.dumps({"task": task[0], "set": kind, **found}) + "\n")
    table(figures)


def table(figures: dict[str, list[dict[str, float]]]) -> None:
    """Means over the tasks of a set, and over the sets but the one of development."""
    names = list(dict.fromkeys(name for tasks in figures.values() for task in tasks for name in task))
    print("\n| | " + " | ".join(figures) + " | mean without avatars |\n|---|" + "---|" * (len(figures) + 1))
    for name in names:
        means = {
            kind: np.mean([task[name] for task in tasks if name in task] or [np.nan]) for kind, tasks in figures.items()
        }
        rest = np.nanmean([value for kind, value in means.items() if kind != "avatars"] or [np.nan])
        print(f"| {name} | " + " | ".join(f"{value:.3f}" for value in means.values()) + f" | {rest:.3f} |")


if __name__ == "__main__":
    sys.exit(main())
