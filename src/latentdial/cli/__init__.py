"""The command line: parse, call, print. A command is a file here; it imports torch only when it runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

from latentdial.cli.commands import COMMANDS, module_of
from latentdial.cli.helping import asked, told
from latentdial.cli.parsing import CommandParser, Misuse, shown, understood
from latentdial.cli.shared import FAILED, INTERRUPTED, MISUSED, say, with_local_runs
from latentdial.cli.streams import complain, flushed, prepare, reason
from latentdial.errors import LatentdialError
from latentdial.version import VERSION


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
    if asked(args):
        say(told(args))
        return 0 if args else MISUSED
    parser = make_parser(args)
    options = parser.parse_args(args)
    name = options.command
    _check(parser.chosen, options[name])
    if options[name].get("cache"):
        os.environ["LATENTDIAL_CACHE"] = options[name].cache
    with_local_runs(options[name])
    return module_of(name).run(options[name]) or 0


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
    parser = CommandParser(prog="latentdial", version=VERSION)
    commands = parser.add_subcommands(dest="command", metavar="COMMAND")
    for name, about in COMMANDS.items():
        command = CommandParser(description=about)
        if name in args[:1]:
            module_of(name).add_options(command)
            command.use_hyphens()
            args[1:] = understood(command, args[1:])
            parser.chosen = command
        commands.add_subcommand(name, command, help=about)
    return parser
