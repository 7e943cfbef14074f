"""Settings of a recipe by search: what a net reaches in a fixed number of passes, on pictures held out for it.

Command:  python benchmarks/search.py SET RECIPE [--size 32] [--epochs 8] [--trials 16]
Time:     some 30 core-seconds a trial of fcn-ae, 60 of res-ae, one thread
Expected: one line of JSON a trial, the best last; figures of tests are made elsewhere, on other pictures

SET is anything that `latentdial train` takes. Optuna's TPE (arXiv 1907.10902; extra `dev`) proposes the peak of the
learning rate, the batch, weight decay, noise, and an average of the weights. The value is the squared error of
validation pictures in units of that of the start.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import optuna
import torch

import latentdial

FLOOR = 0.5 * math.log(2 * math.pi)  # nats a value of a picture that comes back as it was, sigma being 1


def settings_of(trial: optuna.Trial) -> dict[str, float | str]:
    return {
        "lr": trial.suggest_float("lr", 2e-4, 8e-3, log=True),
        "batch": trial.suggest_categorical("batch", [16, 32, 64, 128]),
        "weight_decay": trial.suggest_categorical("weight_decay", [0.0, 0.02, 0.1]),
        "noise": trial.suggest_categorical("noise", [0.0, 4.0, 12.0]),
        "ema": trial.suggest_categorical("ema", [0.0, 0.99]),
        "optimizer": "adamw",
    }


def error_of(folder: Path, row: int) -> float:
    """Squared error per value, with pictures in [-1, 1], of the first (0) or the best (-1) validation of an AE."""
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    seen = [record["nll"] for record in records if record["split"] == "validation"]
    config = json.loads((folder / "config.json").read_text())["geometry"]
    values = config["size"] ** 2 * (3 if config["colour"] == "rgb" else 1)
    return 2 * ((seen[0] if row == 0 else min(seen)) / values - FLOOR)


def value_of(trial: optuna.Trial, options: argparse.Namespace, folder: Path) -> float:
    begin = time.process_time()
    latentdial.train(
        options.recipe,
        options.set,
        folder,
        size=options.size,
        limit=options.limit,
        flip=options.flip,
        epochs=options.epochs,
        checkpoint=0,
        priors=False,
        overwrite=True,
        show=False,
        **settings_of(trial),
    )
    value = error_of(folder, -1) / error_of(folder, 0)
    spent = round(time.process_time() - begin, 1)
    print(json.dumps({**trial.params, "core_seconds": spent, "value": round(value, 4)}), flush=True)
    return value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set")
    parser.add_argument("recipe", help="an autoencoder")
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--limit", type=int, default=2000)
    parser.add_argument("--flip", action="store_true")
    parser.add_argument("--epochs", type=float, default=8.0, help="passes a trial")
    parser.add_argument("--trials", type=int, default=16)
    options = parser.parse_args()
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0, n_startup_trials=6))
    with tempfile.TemporaryDirectory() as room:
        folder = Path(room) / "run"
        study.optimize(lambda trial: value_of(trial, options, folder), n_trials=options.trials)
    print(json.dumps({"best": study.best_params, "value": round(study.best_value, 4)}))


if __name__ == "__main__":
    main()
