"""`latentdial disentanglement`: score how far each dimension carries one known factor."""

from __future__ import annotations

from jsonargparse import ArgumentParser, Namespace

from latentdial.cli.shared import check_source, checked, json_option, load_run, print_json, print_table, run_argument


def add_options(parser: ArgumentParser) -> None:
    run_argument(parser)
    about = "pictures with known factors: a table of paths (.csv, .parquet) with a column for each; default: the run's"
    checked(parser.add_argument("--data", type=str | None, default=None, help=about), check_source)
    json_option(parser)


def run(options: Namespace) -> None:
    from latentdial.discovery.study import disentanglement
    from latentdial.latent.naming import code_shape, said_of_code

    codec = load_run(options.run)
    found = disentanglement(codec, options.data)
    if options.json:
        print_json({"run": options.run, **found})
        return
    grid = ", each read as the mean over its places" if len(code_shape(codec)) == 3 else ""
    title = f"{options.run}: {said_of_code(codec)}{grid}; 1 is best"
    print_table(title, ["score", ""], [[name, f"{value:.3f}"] for name, value in found.items()])
