"""Row 45 at every place: a run that is ended at any change of its directory goes on to the same bytes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(("kind", "every"), [("fresh", 14), ("overwrite", 17), ("full", 19), ("directions", 1)])
def test_a_run_goes_on_from_wherever_it_ended(kind, every, discs_file, tmp_path):
    """One in so many of all points; `python tests/training/kills.py` tries all of them."""
    command = [sys.executable, Path(__file__).with_name("kills.py"), kind, tmp_path, discs_file, str(every)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["wrong"] == [], done.stderr
    assert found["tried"] >= (3 if kind == "directions" else 8)
