"""The parser of a command: options with hyphens, and errors in one line that name the remedy."""

from __future__ import annotations

import re
import sys
from argparse import Action
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NoReturn, get_args, get_origin

from jsonargparse import ArgumentParser, set_parsing_settings

from latentdial.errors import LatentdialError
from latentdial.texts import suggestion

LISTS = {"--track", "--decay-at", "--levels"}
TRUTHS = {"true", "false", "yes", "no"}
set_parsing_settings(docstring_parse_attribute_docstrings=True)
WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


class Misuse(LatentdialError):
    """A command line that cannot be understood."""


class CommandParser(ArgumentParser):
    """A parser that raises `Misuse` in place of printing its usage; `chosen` is that of the command in use."""

    chosen: CommandParser

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        raise Misuse(_in_words(self, message)) from None

    def _print_message(self, message: str, file: Any = None) -> None:
        (file or sys.stderr).write(message)  # argparse says nothing where that fails

    def use_hyphens(self) -> None:
        """Show --time-budget for --time_budget; both are taken."""
        for action in self._actions:
            names = [name.replace("_", "-") for name in action.option_strings]
            self._option_string_actions |= dict.fromkeys(names, action)
            action.option_strings = names


def understood(parser: ArgumentParser, args: Sequence[str]) -> list[str]:
    """The arguments with plain lists, --track a,b, in brackets and --flip for --flip true; no option is a `Misuse`."""
    known, words = parser._option_string_actions, list[str]()
    for word, following in zip(args, [*args[1:], ""], strict=False):
        name, equals, value = word.partition("=")
        if name.startswith("--") and name != "--":
            name = name.replace("_", "-")
            if name not in known:
                raise _no_option(parser, name)
            _need_small(known[name], value if equals else following)
            alone = not equals and _is_switch(known[name]) and following.lower() not in TRUTHS
            word = f"{name}=true" if alone else name + equals + value
        elif re.match("-[A-Za-z]", word) and word[:2] not in known:
            raise _no_option(parser, word)
        elif words and words[-1] in LISTS and not word.startswith("["):
            word = f"[{word}]"
        words.append(word)
    return words


def _need_small(action: Action, value: str) -> None:
    """Python reads no number of thousands of digits, and no option needs one of more than twenty."""
    if re.fullmatch(r"[-+]?\d{21,}", value) and _hint(action) is not str and str not in get_args(_hint(action)):
        raise Misuse(f"{shown(action)} is out of range: a number of {len(value)} digits is too large")


def _hint(action: Action) -> Any:
    return getattr(action, "_typehint", action.type)


def _is_switch(action: Action) -> bool:
    """Whether an option takes true or false."""
    return _hint(action) is bool and action.nargs != 0


def _no_option(parser: ArgumentParser, name: str) -> Misuse:
    known = [option for action in parser._actions for option in action.option_strings]
    meant = suggestion(name, known)
    return Misuse(f"there is no option {name}: {meant if meant.endswith('?') else '--help tells of all'}")


def _in_words(parser: ArgumentParser, message: str) -> str:
    """A message of jsonargparse in one line that names the remedy."""
    if found := re.match(r"the following arguments are required: (.*)", message):
        return _missing(parser, [name.rpartition(".")[2] for name in found[1].split(", ")])
    if found := re.match(r"unrecognized arguments: (\S+)", message):
        return f"{found[1]!r} is one argument too many: put quotes around names with spaces; see --help"
    if found := re.match(r"argument (\S+): expected (?:at least )?one argument", message):
        return f"{found[1].partition('/')[0]} needs a value: see --help"
    if found := re.match(r"argument COMMAND: invalid choice: '(.*)' \(choose from (.*)\)", message):
        commands = re.findall(r"[\w-]+", found[2])
        return f"there is no command {found[1]!r}: {suggestion(found[1], commands)}"
    key, value = re.match(r'Parser key "([\w.]+)"', message), re.search(r"(?:Given|Got) value: (.*)\s*$", message)
    action = next((one for one in parser._actions if key and one.dest == key[1]), None)
    if action and value:
        return f"{shown(action)} takes {_kinds(action)}, and not {value[1][:60]!r}"
    rest = " ".join(message.split())[:300]
    return rest.replace(key[0], shown(action), 1) if action and key else rest


def _missing(parser: ArgumentParser, names: list[str]) -> str:
    """Such as "--out is missing: directory of the run"."""
    actions = {action.dest: action for one in _with_commands(parser) for action in one._actions}
    told = [shown(actions[name]) if name in actions else name for name in names]
    about = (actions[names[0]].help or "").partition(" (required")[0] if names[0] in actions else "see --help"
    return f"{told[0]} is missing: {about}" if len(names) == 1 else f"{', '.join(told)} are missing: see --help"


def _with_commands(parser: ArgumentParser) -> Iterator[ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action.choices, dict):
            yield from action.choices.values()


def shown(action: Action) -> str:
    """The name of an argument as people write it."""
    return action.option_strings[0] if action.option_strings else action.dest.upper()


def _kinds(action: Action) -> str:
    """The kinds of values that an option takes, in words."""
    hint = _hint(action)
    hints = [hint] if get_origin(hint) in (Literal, list) else list(get_args(hint) or [hint])
    texts = []
    for one in hints:
        choices = get_args(one) if get_origin(one) is Literal else ()
        if get_origin(one) is list:
            texts.append(f"a list of {_item(one)}")
        elif choices:
            texts.append(", ".join(choices[:-1]) + f" or {choices[-1]}" if len(choices) > 1 else choices[0])
        elif one in WORDS:
            texts.append(WORDS[one])
    return " or ".join(texts) or "another value"


def _item(hint: Any) -> str:
    """Of a list's type, what it holds."""
    (inner,) = get_args(hint)
    return ", ".join(get_args(inner)) if get_origin(inner) is Literal else f"{WORDS.get(inner, 'value')[2:]}s"
