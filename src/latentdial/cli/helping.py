"""Help in tiers: the commands and options that most need, and with --help-all every one."""

from __future__ import annotations

import shutil
from argparse import SUPPRESS, Action
from collections.abc import Collection, Sequence
from typing import Any

from jsonargparse import DefaultHelpFormatter

from latentdial.cli.commands import COMMANDS, GROUPS, module_of
from latentdial.cli.parsing import CommandParser, shown

ABOUT = (
    "Train an image autoencoder on a folder of pictures, then see, measure and steer what every latent dimension does."
)
FEW, ALL = {"-h", "--help"}, "--help-all"
WIDTH, NAMES = 110, 21  # columns of a terminal at most; of these for names of commands
UNSAID: tuple[Any, ...] = (None, False, [], SUPPRESS)  # defaults that say nothing


class HelpFormatter(DefaultHelpFormatter):
    """Options with what they do and their default; types are in the errors."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=26, width=_width())  # type: ignore[no-untyped-call]

    def _get_help_string(self, action: Action) -> str:
        told = not action.option_strings or "default" in (action.help or "") or action.default in UNSAID
        return (action.help or "") + ("" if told else " (default: %(default)s)")


def asked(args: Sequence[str]) -> bool:
    """Whether a command line asks for help."""
    return not args or ALL in args or bool(FEW & {*args[:1], *(args[1:] if args[0] in COMMANDS else [])})


def told(args: Sequence[str]) -> str:
    """The help that a command line asks for."""
    everything = ALL in args
    return _of_command(args[0], everything) if args and args[0] in COMMANDS else overview(everything)


def overview(everything: bool) -> str:
    """The first group of commands with what they do; the others by name, or all of them."""
    first, *others = GROUPS.items()
    lines = ["usage: latentdial COMMAND ...", "", *_wrapped(ABOUT, ""), "", *_listed(*first)]
    if everything:
        return "\n".join([*lines, *(line for group in others for line in ("", *_listed(*group)))])
    more = [line for title, names in others for line in _wrapped(", ".join(names), f"  {title}")]
    helps = ["latentdial COMMAND --help tells what a command takes, latentdial --help-all what every command does."]
    return "\n".join([*lines, "", "more", *more, "", *_wrapped(helps[0], "")])


def _of_command(name: str, everything: bool) -> str:
    module, parser = module_of(name), parser_of(name)
    hidden = 0 if everything else _hide(parser, getattr(module, "FIRST", None))
    examples = [f"  {line}" for line in getattr(module, "EXAMPLES", [])]
    ends = ["", "for example:", *examples] if examples else []
    ends += ["", f"{hidden} more options: latentdial {name} --help-all"] if hidden else []
    return "\n".join([parser.format_help().rstrip(), *ends])


def parser_of(name: str) -> CommandParser:
    """The parser of one command with all its options."""
    parser = CommandParser(prog=f"latentdial {name}", description=COMMANDS[name], formatter_class=HelpFormatter)
    module_of(name).add_options(parser)
    parser.use_hyphens()
    places = [action for action in parser._actions if not action.option_strings]
    for action in places:
        action.metavar = action.metavar or action.dest.upper()
    needed = [f"{shown(action)} {action.dest.upper()}" for action in parser._actions if _needed(action)]
    parser.usage = " ".join(["%(prog)s", *map(_place, places), *needed, "[options]"])
    return parser


def _needed(action: Action) -> bool:
    return bool(action.option_strings) and action.required


def _place(action: Action) -> str:
    """Such as RUN, [DATA] or EDITS ..."""
    name = str(action.metavar)
    return {"?": f"[{name}]", "*": f"[{name} ...]", "+": f"{name} ..."}.get(str(action.nargs), name)


def _hide(parser: CommandParser, first: Collection[str] | None) -> int:
    """Leave out the options that are not among the first; how many there are."""
    if first is None:
        return 0
    left_out = [action for action in parser._actions if action.option_strings and action.dest not in {*first, "help"}]
    for action in left_out:
        action.help = SUPPRESS
    return len(left_out)


def _listed(title: str, names: dict[str, str]) -> list[str]:
    return [title, *(line for name, about in names.items() for line in _wrapped(about, f"  {name}"))]


def _wrapped(text: str, before: str) -> list[str]:
    """Lines of a text behind a name in a column of its own, or of a text alone."""
    import textwrap

    indent = " " * (NAMES + 2) if before else ""
    return textwrap.wrap(text, _width(), initial_indent=before.ljust(len(indent)), subsequent_indent=indent)


def _width() -> int:
    return min(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns - 2)
