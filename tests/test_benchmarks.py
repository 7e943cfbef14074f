"""Every benchmark can be imported, and says at its top how it is run, how long it takes and what to expect."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

BENCHMARKS = sorted((Path(__file__).parent.parent / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_benchmark_states_its_terms(path, monkeypatch):
    monkeypatch.syspath_prepend(path.parent)
    module = importlib.import_module(path.stem)
    for word in ("Command:", "Time:", "Expected:"):
        assert word in module.__doc__
    assert callable(module.main)
