"""Commands in processes of their own that start at once: a server has imported all, and forks one for each."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import weakref
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(
    [
        "torch._dynamo",
        "torch._decomp.decompositions_for_jvp",
        "latentdial.cli",
        "latentdial.training",
        "latentdial.runs",
    ]
)


class Started:
    """A command that runs, with what tests ask of a `subprocess.Popen`; what it says goes to files."""

    def __init__(self, command: Sequence[object], environment: dict[str, str], and_then: str = ""):
        self._room = Path(tempfile.mkdtemp())
        weakref.finalize(self, shutil.rmtree, self._room, ignore_errors=True)
        given = [*map(str, command)], os.environ | environment, os.getcwd(), self._room, and_then
        self._process = _SERVER.Process(target=_run, args=given, daemon=True)
        self._process.start()
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit status, or minus the signal that ended it; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def send_signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float = 240) -> int:
        self._process.join(timeout)
        if self.returncode is None:
            self.kill()
            raise TimeoutError(f"still running after {timeout} s; it said {self._said()}")
        return self.returncode

    def communicate(self, timeout: float = 240) -> tuple[str, str]:
        """What it said to standard output and to standard error, once it has ended."""
        self.wait(timeout)
        return self._said()

    def _said(self) -> tuple[str, str]:
        out, err = ((self._room / name).read_text() for name in ("out", "err"))
        return out, err


def start(*command: object, and_then: str = "", **environment: str) -> Started:
    """Begin `latentdial COMMAND ...` in a process of its own; `and_then` is code that it runs at its end."""
    return Started(command, environment, and_then)


def _run(command: list[str], environment: dict[str, str], place: str, room: Path, and_then: str) -> None:
    from latentdial.cli import main

    for number, name in ((1, "out"), (2, "err")):
        with (room / name).open("w") as file:
            os.dup2(file.fileno(), number)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(place)
    status = main(command)
    exec(and_then)
    sys.exit(status)
