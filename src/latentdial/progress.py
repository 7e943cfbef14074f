"""What a person sees while something long runs: a rich bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING

from latentdial.texts import printable

if TYPE_CHECKING:
    from rich import progress as rich_progress

PLAIN_SECONDS = 15.0

Progress = Callable[[str, int, int], None]  # what is being done, done so far, in all
Steps = Callable[[int, int], None]  # of one task: done so far, in all


def quiet(*_: object) -> None:
    """A progress that shows nothing."""


class Show:
    """Shows nothing; the base of those that do."""

    def say(self, text: str) -> None:
        """One line of news."""

    def advance(self, what: str, done: int, total: int, note: str = "") -> None:
        """How far a task has come."""


class PlainShow(Show):
    """Lines on standard error, at most one every 15 seconds for a task."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}
        self._start: dict[str, tuple[float, int]] = {}

    def say(self, text: str) -> None:
        with suppress(OSError):  # nobody hears it, which is no reason to stop
            print(printable(text), file=sys.stderr, flush=True)

    def advance(self, what: str, done: int, total: int, note: str = "") -> None:
        now = time.monotonic()
        start, before = self._start.setdefault(what, (now, done))
        last = self._last.setdefault(what, now)
        if done < total and now - last < PLAIN_SECONDS:
            return
        self._last[what] = now
        left = f"{(now - start) / (done - before) * (total - done):.0f} s left" if done > before else ""
        self.say("  ".join(part for part in (f"{what} {done}/{total}", note, left) if part))


class RichShow(Show):
    """Progress bars on a terminal."""

    def __init__(self, progress: rich_progress.Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, rich_progress.TaskID] = {}

    def say(self, text: str) -> None:
        self._progress.console.print(printable(text), highlight=False, markup=False)

    def advance(self, what: str, done: int, total: int, note: str = "") -> None:
        note = printable(note, lines=False)
        if what not in self._tasks:
            title = printable(what, lines=False)
            self._tasks[what] = self._progress.add_task(title, total=total, completed=done, note="")
        task = self._tasks[what]
        self._progress.update(task, completed=done, total=total)
        if note:
            self._progress.update(task, note=note)


@contextmanager
def show_progress() -> Iterator[Show]:
    """Bars where standard error is a terminal and in a notebook, else plain lines."""
    if not (sys.stderr.isatty() or in_notebook()):
        yield PlainShow()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()]
    with Progress(*columns, TextColumn("[dim]{task.fields[note]}"), console=Console(stderr=True)) as progress:
        yield RichShow(progress)


@contextmanager
def showing(show: Show | bool) -> Iterator[Show]:
    """What functions take as `show`: True, what `show_progress` gives; False, nothing; or a Show of one's own."""
    if isinstance(show, Show):
        yield show
    elif show:
        with show_progress() as bars:
            yield bars
    else:
        yield Show()


def in_notebook() -> bool:
    """Whether bars can be shown below the cell of a Jupyter notebook."""
    kernel = sys.modules.get("ipykernel.zmqshell")
    shell = kernel.ZMQInteractiveShell if kernel else None
    return shell is not None and shell.initialized() and find_spec("ipywidgets") is not None
