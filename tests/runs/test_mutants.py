"""Damaged and hostile runs are read or refused in one line, in time and memory that are bounded, by all readers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

MUTANTS = Path(__file__).parents[2] / "benchmarks" / "mutants.py"


@pytest.mark.timeout(600)
def test_no_mutant_of_a_run_breaks_a_reader(tmp_path):
    """40 of those that `benchmarks/mutants.py` tries: no traceback, no hang, at most 2 GB."""
    done = subprocess.run(
        [sys.executable, MUTANTS, "--count", "40"], capture_output=True, text=True, check=False, timeout=560
    )
    *wrong, counts = done.stdout.splitlines()
    assert wrong == [], done.stderr
    assert json.loads(counts.split("}")[0].replace("'", '"') + "}").keys() == {"read", "refused"}
