"""Every exercise of the documentation runs, in a small size; what it tells is not judged."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"
EXERCISES = sorted((DOCS / "exercises").glob("*.py"))
SMALL = {"PICTURES": 380, "SIZE": 16, "EPOCHS": 2, "PAIRS": 3, "STEPS": 3, "SAMPLES": 4, "SIZES": (2, 8)}


@pytest.fixture(scope="module")
def notebooks():
    pytest.importorskip("jupytext", reason="needs the extra: pip install 'latentdial[docs]'")
    sys.path.insert(0, str(DOCS))
    yield importlib.import_module("notebooks")
    sys.path.remove(str(DOCS))


@pytest.mark.parametrize("path", EXERCISES, ids=lambda path: path.stem)
def test_exercise(path, notebooks, tmp_path, capsys):
    values = {name: SMALL[name] for name in notebooks.parameters(path) if name in SMALL}
    notebooks.run_here(path, tmp_path, **values)
    assert len(capsys.readouterr().out.split()) > 3


def test_every_exercise_says_where_it_comes_from_and_what_to_try(notebooks):
    for path in EXERCISES:
        text = path.read_text()
        assert text.startswith("# %% [markdown]\n# # ")
        assert "**Your turn.**" in text


def test_a_page_holds_what_the_cells_gave(notebooks, tmp_path):
    (tmp_path / "tiny.py").write_text(
        '# %% [markdown]\n# # Title\n\n# %% tags=["parameters"]\nN = 7\n\n# %%\nprint(6 * N)\n\n'
        '# %%\nfrom PIL import Image\n\nImage.new("RGB", (3, 2), "red")\n'
    )
    page, pictures = notebooks.as_page(notebooks.executed(tmp_path / "tiny.py", tmp_path, N=5), "tiny")
    assert page.startswith("# Title\n")
    assert "```text\n30\n```" in page
    assert "![What the cell above gives](tiny-0.png)" in page
    assert pictures["tiny-0.png"].startswith(b"\x89PNG")
