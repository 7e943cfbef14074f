"""Memory that is freed while training stays with the process, and goes back afterwards."""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys

import pytest

from latentdial.training import memory
from latentdial.training.memory import kept_memory

PAGES = 100_000_000 // 4096  # of one allocation below

FAULTS = """
import contextlib, json, resource, sys
import torch
from latentdial.training.memory import kept_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        torch.zeros(25_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

found = {"before": faults()}
with contextlib.suppress(KeyError), kept_memory():
    torch.zeros(25_000_000)
    found["within"] = faults()
    raise KeyError
found["after"] = faults()
print(json.dumps(found))
"""

needs_glibc = pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="only glibc has mallopt")


@needs_glibc
def test_pages_are_asked_for_once_within_and_every_time_outside_even_after_an_error():
    """Four tensors of 100 MB one after the other: a page fault each page, or those of one at most where memory is kept.

    That one is for a small block that lands between two large ones, so that the next one finds its place too short.
    Huge pages are switched off for the process, because one fault would then stand for 512 pages.
    """
    off = "import ctypes; ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)\n"  # PR_SET_THP_DISABLE
    done = subprocess.run([sys.executable, "-c", off + FAULTS], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["before"] > 3 * PAGES
    assert found["within"] < 1.5 * PAGES
    assert found["after"] > 3 * PAGES


def test_without_mallopt_nothing_happens(monkeypatch):
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: object())
    with kept_memory():
        pass
    with pytest.raises(KeyError), kept_memory():
        raise KeyError
