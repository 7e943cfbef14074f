"""`latentdial export`: write a run for other programs."""

from __future__ import annotations

from typing import Literal

from jsonargparse import ArgumentParser, Namespace

from latentdial.cli.shared import (
    DATA,
    cache_option,
    check_source,
    checked,
    json_option,
    load_run,
    out_folder,
    print_json,
    run_argument,
    say,
)


def add_options(parser: ArgumentParser) -> None:
    run_argument(parser)
    parser.add_argument(
        "--format",
        type=Literal["onnx", "sequential", "safetensors", "projector"],
        default="onnx",
        help="onnx: both nets, compared with torch; sequential: a state dict for a class of nn.Linear and nn.ReLU; "
        "safetensors: all weights; projector: codes and pictures for TensorBoard",
    )
    out_folder(parser, "folder of the files; a README.md in it says how to read them")
    data = parser.add_argument("--data", type=str | None, default=None, help=f"for projector, {DATA}; default: its own")
    checked(data, check_source)
    parser.add_argument("--overwrite", action="store_true", help="write into a folder that is not empty")
    cache_option(parser)
    json_option(parser)


def run(options: Namespace) -> None:
    from latentdial.exporting import export
    from latentdial.progress import show_progress

    codec = load_run(options.run)
    with show_progress() as show:
        done = export(codec, options.out, options.format, options.data, options.overwrite, show.advance)
    files = [str(path) for path in done.files]
    if options.json:
        print_json({"run": options.run, "format": options.format, "files": files, **done.figures})
        return
    say(done.sentence)
    say(f"wrote {', '.join(files)}")
