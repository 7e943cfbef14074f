"""How good codecs are at what they cost: error, Frechet distance, what judges read; beside PCA, a notebook and pythae.

Command:  python benchmarks/quality.py run --utk FOLDER [--pythae PYTHON] [--seeds 0 1 2] [--rows ROW ...]
          python benchmarks/quality.py table
          the same with --epochs 30: nets that have trained to the end (a GPU)
Time:     one to two core-minutes a row, some 75 minutes for all; one thread
Expected: no net above PCA's squared error, res-ae at most 0.6 times it on avatars and 0.9 on photographs

FOLDER holds UTKFace crops (age_gender_race_... in the file names). 500 avatars and 1,500 photographs are never trained
on; the split and the rows' settings are fixed below, and nothing is chosen on the test pictures. Rows that are in the
file of results already are left out, so that a run that was stopped goes on.

Rows: recipes, `@300` with 300 training pictures only; `start` is fcn-ae before its first step. `notebook` is the usual
loop (a DataLoader over float pictures, float32, Adam at 0.001, batches of 200, random start) and `pythae` its trainer
on the same fully connected net; both get BUDGET core-seconds, about what the nets take. With --epochs all nets make so
many passes, the notebook's too, on the device that `latentdial train` chooses.

Figures: core-seconds of the whole training (processor time; ours with priors, canonical coordinates and all that a run
holds); squared error per value with pictures in [0, 1], and in units of PCA's with 128 numbers trained on the same
pictures; the Frechet distance on EfficientNet-Lite0 (extra `features`; not FID) of reconstructions to other photographs
than those reconstructed; root mean square levels that the first of the canonical coordinates and the median of the
first eight move a picture by, and the share of the decoded variance that the first sixteen make up; judges on the same
features, fitted to training photographs: how often they read from a reconstruction what they read from its photograph
(categories), the correlation of their readings (numbers), and how often the photograph nearest to a reconstruction is
its own (identity).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from statistics import mean, pstdev

os.environ.setdefault("OMP_NUM_THREADS", "1")

import itertools

import numpy as np
import torch
from safetensors.torch import load_file
from sklearn.linear_model import LogisticRegression, Ridge
from torch import nn
from torch.utils.data import DataLoader

import latentdial
from latentdial.config import DataSettings, Geometry
from latentdial.features import efficientnet_features
from latentdial.images import open_images
from latentdial.latent.codec import Codec, wrap
from latentdial.machine.precision import choose_device
from latentdial.measure.generation import frechet, nearest
from latentdial.measure.reconstruction import reconstruction
from nets import NETS
from pythae_worker import Contender

HERE = Path(__file__).parent
LATENT, TESTS, JUDGED, FEW = 128, 250, 2000, 300
BUDGET = 60.0  # core-seconds of the notebook's loop and of pythae
SETTINGS: dict[str, dict[str, int]] = {  # 70 to 90 core-seconds of steps each
    "fcn-ae": {"steps": 1200},
    "fcn-vae": {"steps": 1200},
    "conv-ae": {"steps": 700, "batch": 32},
    "conv-vae": {"steps": 700, "batch": 32},
    "res-ae": {"steps": 560, "batch": 32},
    "res-vae": {"steps": 560, "batch": 32},
    "start": {"steps": 1},
    "pca": {},
}
ROWS = ["pca", "fcn-ae", "res-ae", "conv-ae", "notebook", "fcn-vae", "res-vae", "conv-vae", "start", "pythae"]
ROWS += [f"{name}@{FEW}" for name in ("pca", "fcn-ae", "conv-ae", "res-ae", "fcn-vae", "conv-vae", "res-vae")]
SHORT = 0.5  # of the steps, with few pictures


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


def trained(row: str, data: Data, pixels: np.ndarray, seed: int, folder: Path, epochs: float | None) -> Codec:
    np.save(folder / "train.npy", pixels)
    settings: dict[str, float] = dict(SETTINGS[row])
    if epochs and settings:
        settings = {"epochs": epochs}
    elif len(pixels) == FEW and "steps" in settings:
        settings["steps"] = round(SHORT * settings["steps"])
    recipe = "fcn-ae" if row == "start" else row
    return latentdial.train(
        recipe,
        folder / "train.npy",
        folder / "run",
        overwrite=True,
        seed=seed,
        flip=data.mirrored,
        checkpoint=0,
        **settings,
    )


def notebook(pixels: np.ndarray, seed: int, epochs: float | None) -> Codec:
    """The usual loop of a notebook, for `BUDGET` core-seconds or so many passes."""
    torch.manual_seed(seed)
    device = choose_device("auto")
    encoder, decoder = plain_nets()
    net = nn.Sequential(encoder, decoder).to(device)
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    pictures = torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div(127.5).sub(1).flatten(1)
    loader = DataLoader(list(pictures), batch_size=200, shuffle=True)
    passes = itertools.count() if epochs is None else range(round(epochs))
    end = time.process_time() + (BUDGET if epochs is None else float("inf"))
    for x in (batch.to(device) for _ in passes for batch in loader):
        optimizer.zero_grad()
        nn.functional.mse_loss(net(x), x).backward()
        optimizer.step()
        if time.process_time() > end:
            break
    return wrap(encoder, decoder, size=64, images=pixels)


def plain_nets() -> tuple[nn.Sequential, nn.Sequential]:
    sizes = [12288, 2048, 512, LATENT]
    down = [layer for a, b in itertools.pairwise(sizes) for layer in (nn.Linear(a, b), nn.ReLU())][:-1]
    up = [layer for a, b in zip(sizes[::-1], sizes[-2::-1], strict=False) for layer in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*down), nn.Sequential(*up[:-1], nn.Tanh())


def pythae(python: str, pixels: np.ndarray, seed: int, folder: Path) -> tuple[Codec, float]:
    """pythae's own trainer on the net of fcn-ae until it has taken `BUDGET` core-seconds, and what it took."""
    contender, weights = Contender(python, "fcn-ae", pixels, seed=seed), folder / "pythae.safetensors"
    begin = core_seconds(contender.process.pid)
    for _ in contender.epochs(weights):
        spent = core_seconds(contender.process.pid) - begin
        if spent > BUDGET:
            break
    contender.close()
    model = NETS["fcn-ae"].build(seed).model
    model.load_state_dict(load_file(weights))
    decoder = nn.Sequential(model.decoder, nn.Tanh())
    return wrap(model.encoder, decoder, size=64, images=pixels), spent


def core_seconds(process: int) -> float:
    """Processor time of a process so far."""
    user, system = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


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


class Judges:
    """What is read from the test pictures of a set, once, and from what codecs make of them."""

    def __init__(self, data: Data):
        self.data, self.features = data, efficientnet_features().features
        self.reading = judges(data, self.features)
        self.originals, self.others = self.features(data.test[:TESTS]), self.features(data.test[TESTS : 2 * TESTS])

    def measure(self, codec: Codec) -> dict[str, float]:
        made = codec.reconstruct(self.data.test)
        rebuilt, canonical = self.features(made[:TESTS]), codec.canonical
        return {
            "mse": reconstruction(self.data.test, made).mse,
            "frechet": frechet(rebuilt, self.others),
            "identity": float((nearest(rebuilt, self.originals)[0] == np.arange(TESTS)).mean()),
            **{name: agreement(read, self.originals, rebuilt) for name, read in self.reading.items()},
            "first_levels": float(canonical.levels[0]),
            "median_levels": float(np.median(canonical.levels[:8])),
            "share_of_16": float(canonical.shares[min(15, len(canonical.shares) - 1)]),
        }


def run(options: argparse.Namespace) -> None:
    """All rows that the file of results has not yet; it is read again before each, so that several can work at once."""
    sets = {"avatars": avatars, "photographs": lambda: photographs(options.utk)}
    with tempfile.TemporaryDirectory() as room:
        for name in options.sets:
            data = sets[name]()
            seen = Judges(data)
            for seed, row in itertools.product(options.seeds, options.rows):
                if any((r["set"], r["row"], r["seed"]) == (name, row, seed) for r in records(options.out)):
                    continue
                figures = one(row, data, seed, seen, options, Path(room))
                line = json.dumps({"set": name, "row": row, "seed": seed, **figures})
                print(line, flush=True)
                with options.out.open("a") as file:
                    file.write(line + "\n")


def one(row: str, data: Data, seed: int, seen: Judges, options: argparse.Namespace, room: Path) -> dict[str, float]:
    """A row's figures."""
    name, _, count = row.partition("@")
    pixels = data.train[: int(count)] if count else data.train
    start, clock = time.process_time(), time.perf_counter()
    if name == "pythae":
        codec, seconds = pythae(options.pythae, pixels, seed, room)
    else:
        codec = (
            notebook(pixels, seed, options.epochs)
            if name == "notebook"
            else trained(name, data, pixels, seed, room, options.epochs)
        )
        seconds = time.process_time() - start
    return {"core_seconds": seconds, "seconds": time.perf_counter() - clock, **seen.measure(codec)}


def records(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


KEYS = [
    "frechet",
    "identity",
    "gender",
    "age",
    "hair",
    "skin",
    "glasses",
    "first_levels",
    "median_levels",
    "share_of_16",
]


def table(path: Path, target: Path, machine: str) -> None:
    """Means over seeds with their standard deviations where there are several, as one file of results."""
    found = records(path)
    rows: list[list[str | float | int | None]] = []
    for data, row in dict.fromkeys((record["set"], record["row"]) for record in found):
        same = [r for r in found if (r["set"], r["row"]) == (data, row)]
        base = {r["seed"]: r["mse"] for r in found if r["set"] == data and r["row"] == pca_of(row)}
        ratios = [r["mse"] / base[r["seed"]] for r in same if r["seed"] in base]
        rows.append(
            [
                data,
                row,
                len(same),
                round(mean(r["core_seconds"] for r in same)),
                round(mean(r["mse"] for r in same), 6),
                round(mean(ratios), 3) if ratios else None,
                round(pstdev(ratios), 3) if len(ratios) > 1 else None,
                *(round(mean(r[key] for r in same), 3) if key in same[0] else None for key in KEYS),
            ]
        )
    target.parent.mkdir(exist_ok=True)
    columns = ["set", "codec", "seeds", "core_seconds", "mse", "of_pca", "of_pca_sd", *KEYS]
    target.write_text(json.dumps(result(columns, rows, machine), indent=1) + "\n")
    print("\n".join(" | ".join("" if cell is None else str(cell) for cell in row) for row in [columns, *rows]))


def pca_of(row: str) -> str:
    """The row of PCA with the same training pictures."""
    return "pca" + row[row.index("@") :] if "@" in row else "pca"


def result(columns: list[str], rows: list[list], machine: str) -> dict:
    return {
        "topic": "Codecs",
        "question": "How good are codecs at what they cost, beside PCA, a notebook's loop and pythae?",
        "command": "python benchmarks/quality.py run --utk FOLDER --pythae PYTHON, then table",
        "date": date.today().isoformat(),
        "machine": machine,
        "versions": {name: version(name) for name in ("torch", "numpy", "scikit-learn")},
        "columns": columns,
        "rows": rows,
        "notes": [
            f"4,500 avatars and 7,000 photographs (mirrored) trained on, 500 and 1,500 unseen, {LATENT} numbers",
            f"steps and batches: {json.dumps(SETTINGS)}; with {FEW} pictures {SHORT:g} times the steps",
            f"notebook and pythae: float32, {BUDGET:g} core-seconds; of recipes all of the training is counted",
            "frechet: EfficientNet-Lite0, 250 pictures; of_pca: squared error in units of PCA's on the same seed",
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("quality.jsonl"), help="one line a row and seed")
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run")
    running.add_argument("--utk", required=True, help="folder of UTKFace crops")
    running.add_argument("--pythae", default=sys.executable, help="a Python with pythae 0.1.2")
    running.add_argument("--sets", nargs="+", default=["avatars", "photographs"])
    running.add_argument("--rows", nargs="+", default=ROWS)
    running.add_argument("--epochs", type=float, help="passes of every net; default: the short steps of SETTINGS")
    running.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    tabling = commands.add_parser("table")
    tabling.add_argument("--to", type=Path, default=HERE / "results" / "quality.json")
    tabling.add_argument("--machine", default="2 virtual cores, Intel Xeon with AMX, shared; one thread")
    options = parser.parse_args()
    torch.set_num_threads(1)
    table(options.out, options.to, options.machine) if options.command == "table" else run(options)


if __name__ == "__main__":
    main()
