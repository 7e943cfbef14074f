"""Row 45 at every place: a run that is ended at any change of its directory goes on to the same bytes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

EVERY = {"fresh": 14, "overwrite": 17, "full": 19, "directions": 1}


@pytest.fixture(scope="module")
def told(discs_file, tmp_path_factory) -> subprocess.CompletedProcess[str]:
    """What is said of one in so many of all points; `python tests/training/kills.py` tries all of them."""
    where = tmp_path_factory.mktemp("kills"), discs_file
    command = [sys.executable, Path(__file__).with_name("kills.py"), ",".join(EVERY), *where]
    return subprocess.run([*command, ",".join(map(str, EVERY.values()))], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("kind", EVERY)
def test_a_run_goes_on_from_wherever_it_ended(kind, told):
    assert told.returncode == 0, told.stderr
    lines = [line for line in told.stdout.splitlines() if line.startswith("{")]
    found = json.loads(lines[list(EVERY).index(kind)])
    assert found["wrong"] == [], told.stderr
    assert found["tried"] >= (3 if kind == "directions" else 8)
