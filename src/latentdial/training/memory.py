"""Memory that a step frees is kept for the next one."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

# mallopt's parameters, from malloc.h
TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4
USUAL = {MMAP_MAX: 65536, MMAP_THRESHOLD: 32 << 20, TRIM_THRESHOLD: 64 << 20}  # where glibc ends up by itself
KEEPING = {MMAP_MAX: 0, TRIM_THRESHOLD: -1}  # no blocks of their own, and never less


@contextmanager
def kept_memory() -> Iterator[None]:
    """Within it, large blocks of host memory that are freed stay with the process; elsewhere than glibc, nothing.

    By itself glibc gives every block above 32 MB back to the system, which fills it with zeros, page by page, when the
    next step asks for it again: over a third of a step of fcn-ae (docs/benchmarks.md).
    """
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallopt"):
        yield
        return
    _set(library, KEEPING)
    try:
        yield
    finally:
        _set(library, USUAL)
        library.malloc_trim(0)


def _set(library: ctypes.CDLL, values: dict[int, int]) -> None:
    for parameter, value in values.items():
        library.mallopt(parameter, value)
