"""`latentdial decode`: make pictures of codes."""

from __future__ import annotations

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from latentdial import outputs
from latentdial.cli.shared import check_exists, checked, json_option, load_run, print_json, run_argument, say
from latentdial.texts import counted

EXAMPLES = [
    "latentdial encode runs/vae PICTURES --out codes/",
    "latentdial decode runs/vae codes/ --out again/       # the same pictures, under their names",
    "latentdial decode runs/vae changed.csv --out sheet.png",
]


def add_options(parser: ArgumentParser) -> None:
    run_argument(parser)
    about = "a folder of encode, or a .csv, .npy or .safetensors of rows of numbers"
    checked(parser.add_argument("codes", type=str, help=about), check_exists)
    about = "a folder; or all as one .npy, or a sheet as .png"
    checked(parser.add_argument("--out", type=str, required=True, help=about), _check_out)
    json_option(parser)


def run(options: Namespace) -> None:
    from latentdial.codes.decoding import decode_codes
    from latentdial.progress import show_progress

    with show_progress() as show:
        done = decode_codes(load_run(options.run), options.codes, options.out, show=show)
    if options.json:
        print_json({"run": options.run, "pictures": done.pictures, "out": str(done.out)})
    else:
        say(f"wrote {counted(done.pictures, 'picture')} to {done.out}")


def _check_out(out: str, option: str) -> None:
    """A folder, or a file in one of two kinds."""
    outputs.check_file(out, (".npy", ".png"), option) if Path(out).suffix else outputs.check_folder(out, option)
