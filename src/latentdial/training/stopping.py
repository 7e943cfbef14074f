"""Signals that ask training to stop: Ctrl-C, and what a cluster sends before it takes the machine away."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Literal

Reason = Literal["", "interrupted", "preempted"]


@dataclass
class Stop:
    """Whether and why training was asked to stop."""

    reason: Reason = ""

    def __call__(self) -> bool:
        return self.reason != ""


@contextmanager
def listening() -> Iterator[Stop]:
    """Ctrl-C asks to stop (the second quits at once); SIGTERM and SIGUSR1 announce that the machine is taken away."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    preempting = [signal.SIGTERM] + ([signal.SIGUSR1] if hasattr(signal, "SIGUSR1") else [])
    before = {number: signal.getsignal(number) for number in [signal.SIGINT, *preempting]}

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        stop.reason = "interrupted"
        signal.signal(signal.SIGINT, before[signal.SIGINT])

    def preempt(_number: int, _frame: FrameType | None) -> None:
        stop.reason = "preempted"

    signal.signal(signal.SIGINT, interrupt)
    for number in preempting:
        signal.signal(number, preempt)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
