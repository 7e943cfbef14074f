"""`latentdial import`: make a run of weights trained elsewhere."""

from __future__ import annotations

from jsonargparse import ArgumentParser, Namespace

from latentdial.cli.shared import (
    cache_option,
    check_exists,
    check_source,
    checked,
    json_option,
    out_folder,
    print_json,
    recipe_options,
    say,
)
from latentdial.config import DataSettings, Geometry, settings_in


def add_options(parser: ArgumentParser) -> None:
    checked(parser.add_argument("weights", type=str, help="a .pt state dict or .safetensors file"), check_exists)
    parser.add_argument("--recipe", type=str, required=True, help="the recipe whose nets the weights are of")
    out_folder(parser, "directory of the run to make")
    about = "pictures, for effects and edits in sd"
    checked(parser.add_argument("--data", type=str | None, default=None, help=about), check_source)
    recipe_options(parser)
    parser.add_class_arguments(Geometry)
    cache_option(parser)
    json_option(parser)


def run(options: Namespace) -> None:
    from latentdial.images import open_images
    from latentdial.progress import show_progress
    from latentdial.recipes import parse_options
    from latentdial.runs.importing import import_weights

    geometry = settings_in(Geometry, vars(options))
    pixels = None
    if options.data:
        with show_progress() as show:
            pixels = open_images(DataSettings(options.data), geometry, show.advance).pixels
    chosen = parse_options(options.set, options.latent)
    import_weights(options.weights, options.recipe, options.out, geometry, chosen, pixels)
    if options.json:
        print_json({"run": options.out, "recipe": options.recipe})
    else:
        say(f"imported {options.weights} as {options.recipe} into {options.out}")
