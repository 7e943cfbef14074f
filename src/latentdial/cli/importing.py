"""`latentdial import`: make a run of weights trained elsewhere."""

from __future__ import annotations

from jsonargparse import ArgumentParser, Namespace

from latentdial.cli.shared import cache_option, json_option, print_json, recipe_options, say
from latentdial.config import DataSettings, Geometry, settings_in


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("weights", type=str, help="a .pt state dict or .safetensors file")
    parser.add_argument("--recipe", type=str, required=True, help="the recipe whose nets the weights are of")
    parser.add_argument("--out", type=str, required=True, help="directory of the run to make")
    parser.add_argument("--data", type=str | None, default=None, help="pictures, for effects and edits in sd")
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
