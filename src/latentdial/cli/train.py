"""`latentdial train`: train a recipe on pictures and write a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace

from latentdial.cli.shared import (
    DATA,
    INTERRUPTED,
    PREEMPTED,
    cache_option,
    check_source,
    checked,
    config_of,
    json_option,
    out_folder,
    print_json,
    recipe_options,
    say,
)
from latentdial.config import AugmentSettings, DataSettings, Geometry, TrainSettings
from latentdial.texts import command

FIRST = ["out", "latent", "set", "size", "colour", "limit", "epochs", "time_budget", "batch", "lr", "device"]
FIRST += ["track", "resume", "overwrite", "json"]
EXAMPLES = [
    "latentdial train fcn-vae avatars --out runs/vae",
    "latentdial train res-ae PICTURES --out runs/ae --latent 64 --epochs 20",
    "latentdial train fcn-vae PICTURES --out runs/beta --set beta=4 --time-budget 10m",
]


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--config", action="config", help="settings from a YAML or JSON file")
    parser.add_argument("recipe", type=str, help="what to train: see latentdial recipes")
    checked(parser.add_argument("data", type=str, help=DATA), check_source)
    out_folder(parser, "directory of the run")
    recipe_options(parser)
    parser.add_class_arguments(Geometry)
    parser.add_class_arguments(DataSettings, skip={"source"})
    parser.add_class_arguments(TrainSettings)
    parser.add_class_arguments(AugmentSettings)
    cache_option(parser)
    parser.add_argument("--resume", action="store_true", help="go on with the run in --out where there is one")
    parser.add_argument("--overwrite", action="store_true", help="replace a run that is in --out already")
    json_option(parser)


def run(options: Namespace) -> int:
    from latentdial.progress import show_progress
    from latentdial.training.start import existing, train_run

    config = config_of(options)
    with show_progress() as show:
        finished = train_run(config, Path(options.out), existing(options.resume, options.overwrite), show)
    if finished.leads:
        _say_trained(finished, options)
    return {"": 0, "interrupted": INTERRUPTED, "preempted": PREEMPTED}[finished.stopped]


def _say_trained(finished: Any, options: Namespace) -> None:
    if options.json:
        print_json({"run": options.out, **finished.summary, "stopped": finished.stopped})
    elif finished.stopped == "preempted":
        say(f"told to stop at step {finished.summary['step']}: all is saved. Go on with the same command and --resume.")
    elif finished.stopped:
        say(f"stopped early; the run in {options.out} is usable. Go on with the same command and --resume.")
    else:
        say(finished.summary["verdict"])
        say(f"trained {options.out}. Next: {command('dimensions', options.out, '--out', 'dims.png')}")
