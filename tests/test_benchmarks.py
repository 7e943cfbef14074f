"""Every benchmark can be imported, and says at its top how it is run, how long it takes and what to expect."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

BENCHMARKS = sorted((Path(__file__).parent.parent / "benchmarks").glob("*.py"))
DOCS = Path(__file__).parent.parent / "docs"


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_benchmark_states_its_terms(path, monkeypatch):
    monkeypatch.syspath_prepend(path.parent)
    module = importlib.import_module(path.stem)
    for word in ("Command:", "Time:", "Expected:"):
        assert word in module.__doc__
    assert callable(module.main)


def test_operations_are_counted_as_six_a_weight_less_two_of_the_first_layer(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS[0].parent)
    nets = importlib.import_module("nets")
    small = nets.Net("fcn-ae", {"widths": [8], "latent": 3}, (1, 4, 4), 2, variational=False)
    weights = 2 * (16 * 8 + 8 * 3)
    assert nets.flops_a_picture(small) == 6 * weights - 2 * 16 * 8
    assert nets.parameters(small.build()) == weights + 8 + 3 + 8 + 16


def test_the_page_of_figures_is_made_of_the_results(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(DOCS)
    tables = importlib.import_module("tables")
    assert tables.page() == tables.PAGE.read_text(), "run: make tables"
    lines = tables.markdown_table(["net", "MSE"], [["a|b", 0.00123456], [None, None]]).splitlines()
    assert lines == ["| net | MSE |", "| --- | ---: |", "| a\\|b | 0.001235 |", "|  |  |"]
    (tmp_path / "new.json").write_text('{"question": "Why?"}')
    with pytest.raises(SystemExit, match=r"new\.json lacks command"):
        tables.page(tmp_path)
