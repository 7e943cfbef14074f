"""`latentdial completion`: print what lets a shell complete commands, options and their values."""

from __future__ import annotations

from argparse import Action
from typing import Any, Literal, get_args, get_origin

from jsonargparse import ArgumentParser, Namespace

from latentdial.cli.shared import say

EXAMPLES = [
    "latentdial completion bash > ~/.local/share/bash-completion/completions/latentdial",
    "latentdial completion zsh > ~/.zfunc/_latentdial         # with fpath+=~/.zfunc before compinit in ~/.zshrc",
    "latentdial completion fish > ~/.config/fish/completions/latentdial.fish",
]


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("shell", type=Literal["bash", "zsh", "fish"], help="the shell that you use")


def run(options: Namespace) -> None:
    import shtab

    from latentdial.cli.commands import COMMANDS
    from latentdial.cli.helping import ALL, HelpFormatter, parser_of
    from latentdial.cli.parsing import CommandParser

    whole = CommandParser(prog="latentdial", formatter_class=HelpFormatter)
    commands = whole.add_subcommands(dest="command", metavar="COMMAND")
    whole.add_argument(ALL, action="store_true", help="every command")
    for name, about in COMMANDS.items():
        command = parser_of(name)
        command.add_argument(ALL, action="store_true", help="every option")
        for action in command._actions:
            _complete(action, shtab.FILE)
        commands.add_subcommand(name, command, help=about)
    say(shtab.complete(whole, options.shell))


def _complete(action: Action, file: Any) -> None:
    """Offer the words that a value may be, recipes for recipes, and else files."""
    from latentdial.recipes import names

    words = _words(getattr(action, "_typehint", None))
    if action.dest == "recipe":
        words = names()
    if words:
        action.choices = words
    elif action.nargs != 0 and action.dest not in ("help", "command"):
        action.complete = file  # type: ignore[attr-defined]


def _words(hint: object) -> list[str]:
    """The words that a type stands for: those of a literal, alone or beside other types."""
    kinds = [hint] if get_origin(hint) is Literal else get_args(hint)
    return [str(word) for kind in kinds if get_origin(kind) is Literal for word in get_args(kind)]
