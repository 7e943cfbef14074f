"""The examples in docstrings run and give what they say."""

from __future__ import annotations

import doctest
import re
from importlib import import_module
from pathlib import Path

import pytest

import latentdial
from latentdial.recipes import registry
from latentdial.runs.records import read_metrics
from latentdial.training import train

ROOT = Path(latentdial.__file__).parent
DOCS = Path(__file__).parent.parent / "docs"
MODULES = sorted(
    ".".join(("latentdial", *path.relative_to(ROOT).with_suffix("").parts))
    for path in ROOT.rglob("*.py")
    if ">>>" in path.read_text()
)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    assert doctest.testmod(import_module(name), raise_on_error=False).failed == 0


def test_examples_are_code_on_the_pages_of_the_reference(monkeypatch):
    monkeypatch.syspath_prepend(DOCS)
    fenced = import_module("doctests").fenced("Adds.\n\n>>> a = 1  # doctest: +SKIP\n>>> a + 1\n2\n\nMore.")
    assert fenced == "Adds.\n\n```pycon\n>>> a = 1\n>>> a + 1\n2\n```\n\nMore."


def test_the_recipe_of_the_page_trains(monkeypatch, discs_file, tmp_path):
    page = (DOCS / "adding_a_recipe.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.S)
    monkeypatch.setattr(registry, "RECIPES", dict(registry.RECIPES))
    exec(code, {"__name__": "mypackage"})
    codec = train("spread-ae", discs_file, tmp_path / "run", size=16, steps=3, options={"latent": 4, "weight": 0.5})
    assert codec.latent == 4
    terms = read_metrics(tmp_path / "run")[0]
    assert {"nll", "spread"} <= terms.keys()


def test_every_page_is_in_the_navigation_and_every_link_leads_somewhere():
    listed = set(re.findall(r"[\w/]+\.md", (DOCS.parent / "mkdocs.yml").read_text())) | {"recipes.md"}
    made = {"commands.md", "exercises/index.md"}
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    assert pages <= listed
    assert listed - made - {"recipes.md"} <= pages
    for path in [*DOCS.glob("*.md"), DOCS.parent / "README.md", DOCS.parent / "CONTRIBUTING.md"]:
        for link in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text()):
            assert (path.parent / link).exists() or link in made, f"{path.name} links to {link}"
