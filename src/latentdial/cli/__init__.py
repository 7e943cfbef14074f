"""The command line: parse, call, print. A command is a file here; it imports torch only when it runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from jsonargparse import set_parsing_settings

from latentdial.cli.parsing import CommandParser, Misuse, shown, understood
from latentdial.cli.shared import FAILED, INTERRUPTED, MISUSED, with_local_runs
from latentdial.cli.streams import complain, flushed, prepare, reason
from latentdial.errors import LatentdialError
from latentdial.version import VERSION

ABOUT = (
    "Train an image autoencoder on a folder of pictures, then see, measure and steer what every latent dimension does. "
    "latentdial COMMAND --help tells what a command takes."
)
COMMANDS = {
    "train": "train a recipe on pictures and write a run",
    "dimensions": "rank every dimension by what it does to the picture",
    "directions": "find, measure and name directions that change one thing",
    "reorder": "make the same run with its own dimensions in order",
    "disentanglement": "score how far each dimension carries one known factor",
    "edit": "change chosen dimensions of a picture's code and see what happens",
    "interpolate": "go from one picture to another through the code space",
    "average": "decode the mean code of groups of pictures",
    "analogy": "make D so that A : B :: C : D",
    "fit-prior": "fit densities to the codes of a run, so that it can be sampled",
    "anomalies": "score which pictures do not belong, with a threshold from normal ones",
    "sample": "draw new pictures",
    "evaluate": "measure reconstruction, samples, likelihood and codes, beside PCA",
    "encode": "write the codes of a whole set of pictures, resumable, shared by processes",
    "runs": "list the runs below a directory with their settings and results, or follow them",
    "clean": "remove what finished runs do not need any more, such as checkpoints",
    "report": "show what runs do on the same pictures, AE and VAE beside PCA, in one page",
    "explore": "turn the dimensions in a page: served here, or written as one file",
    "recipes": "list what can be trained, with its paper",
    "look": "see what a set of pictures holds: sizes, labels, duplicates, skipped files",
    "cache": "list or clear the decoded pictures",
    "push": "put a run on a hub, with a card, and the explorer as a page there",
    "import": "make a run of weights trained elsewhere",
    "export": "write a run for other programs: ONNX, a plain state dict, TensorBoard's projector",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 done, 1 an error in one line, 2 usage, 75 preempted, 130 Ctrl-C."""
    prepare()
    args = list(sys.argv[1:] if argv is None else argv)
    status, complaint = FAILED, ""
    try:
        status = _run(args)
    except SystemExit as stop:  # after --help and --version
        status = int(stop.code or 0)
    except LatentdialError as error:
        status, complaint = MISUSED if isinstance(error, Misuse) else FAILED, str(error)
    except KeyboardInterrupt:
        status, complaint = INTERRUPTED, "stopped by Ctrl-C"
    except BrokenPipeError:
        pass  # whoever read the output has had enough
    except OSError as error:
        complaint = reason(error)
    lost = flushed()
    if lost is not None:
        status = FAILED
        complaint = complaint or ("" if isinstance(lost, BrokenPipeError) else f"cannot write it: {reason(lost)}")
    if complaint:
        complain(f"{' '.join(['latentdial', *[word for word in args[:1] if word in COMMANDS]])}: {complaint}")
    return status


def _run(args: list[str]) -> int:
    parser = make_parser(args)
    if not args:
        parser.print_help()
        return MISUSED
    options = parser.parse_args(args)
    name = options.command
    _check(parser.chosen, options[name])
    if options[name].get("cache"):
        os.environ["LATENTDIAL_CACHE"] = options[name].cache
    with_local_runs(options[name])
    return _module(name).run(options[name]) or 0


def _check(parser: CommandParser, options: Any) -> None:
    """Look at all files and folders that are named, before any work."""
    for action in parser._actions:
        check, value = getattr(action, "check", None), options.get(action.dest)
        if check is not None and value is not None:
            for one in value if isinstance(value, list) else [value]:
                check(one, shown(action))


def make_parser(args: list[str]) -> CommandParser:
    """The whole parser; only the command named in `args` gets its options, which keeps the start fast.

    Puts the arguments of that command into the form that it takes.
    """
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    parser = CommandParser(prog="latentdial", description=ABOUT, version=VERSION)
    commands = parser.add_subcommands(dest="command", title="commands", metavar="COMMAND")
    for name, help_text in COMMANDS.items():
        command = CommandParser(description=help_text)
        if name in args[:1]:
            _module(name).add_options(command)
            command.use_hyphens()
            args[1:] = understood(command, args[1:])
            parser.chosen = command
        commands.add_subcommand(name, command, help=help_text)
    return parser


def _module(name: str) -> Any:
    """The file of a command: `add_options(parser)` and `run(options)`."""
    return import_module(f"latentdial.cli.{'importing' if name == 'import' else name.replace('-', '_')}")
