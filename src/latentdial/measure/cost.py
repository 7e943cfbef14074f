"""What a model costs: time per call and memory of the process."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable


def milliseconds(calls: dict[str, Callable[[], object]], repeats: int = 15) -> dict[str, list[float]]:
    """The milliseconds of each repeat of each call, which take turns: a slow moment of the machine hits all."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(repeats):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name].append(1000 * (time.perf_counter() - start))
    return times


def peak_memory_mb() -> float:
    """The largest resident memory of this process so far, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
