"""`latentdial tune`: search the settings of a recipe for a set of pictures."""

from __future__ import annotations

from jsonargparse import ArgumentParser, Namespace

from latentdial.cli.shared import (
    DATA,
    INTERRUPTED,
    cache_option,
    check_source,
    checked,
    config_of,
    json_option,
    number_option,
    out_folder,
    print_json,
    print_table,
    recipe_options,
    say,
)
from latentdial.config import DataSettings, Geometry, TrainSettings
from latentdial.texts import command, counted

SEARCHED = {"lr", "batch", "weight_decay", "patience", "time_budget", "track", "shard", "checkpoint", "keep_checkpoint"}


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("recipe", type=str, help="what to train: see latentdial recipes")
    checked(parser.add_argument("data", type=str, help=DATA), check_source)
    out_folder(parser, "directory of the search; one that was stopped goes on")
    number_option(parser, "--trials", 20, 1, 10_000, "how many settings are tried in all")
    parser.add_argument(
        "--search", type=str, nargs="+", default=None, help="only these settings, such as lr beta latent; default: most"
    )
    parser.add_argument(
        "--by", type=str, default="bound", help="validation term that is made small; bound: nll and KL, unweighted"
    )
    recipe_options(parser)
    parser.add_class_arguments(Geometry)
    parser.add_class_arguments(DataSettings, skip={"source"})
    parser.add_class_arguments(TrainSettings, skip=SEARCHED)
    cache_option(parser)
    json_option(parser)


def run(options: Namespace) -> int:
    from latentdial.progress import show_progress
    from latentdial.tuning.searching import tune

    config = config_of(options)
    with show_progress() as show:
        found = tune(
            config,
            options.out,
            trials=options.trials,
            search=options.search,
            by=options.by,
            show=show,
        )
    if options.json:
        print_json(found.as_dict())
    elif found.trials:
        print_table("", *found.table())
    if found.best is None:
        say(f"stopped after {counted(len(found.trials), 'trial')}: the same command goes on")
        return INTERRUPTED
    if not options.json:
        best = found.folder / "best"
        say(f"the best, trial {found.ranked[0].number}, is trained in {best}. Next: {command('report', best)}")
    return 0
