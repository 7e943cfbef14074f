"""What the site is made of besides pages: exercises that have run, the commands' own help, the table of recipes.

Exercises run in a kernel when the site is built, once: their outputs are kept in build/exercises until they change.
`LATENTDIAL_DOCS=small` runs them with few pictures, `LATENTDIAL_DOCS=pages` not at all.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import sys
import tempfile
from contextlib import redirect_stdout
from html import escape
from pathlib import Path
from typing import Any

import nbformat
from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).parent))

from notebooks import EXERCISES, as_page, executed, parameters, read

ROOT = Path(__file__).parent.parent
KEPT = ROOT / "build" / "exercises"
SMALL = {"PICTURES": 400, "SIZE": 16, "EPOCHS": 3, "PAIRS": 4, "STEPS": 5, "SAMPLES": 8, "SIZES": (2, 8)}
GALLERY = """# Exercises

What courses ask for, each as a notebook that you can run and change, with what comes out.

<div class="gallery">
{cards}
</div>
"""
PAGES = ("recipes",)  # that are shown in the navigation where they are there


def on_config(config: Any) -> Any:
    """Pages that may be missing are put into the navigation where they are there."""
    for name in PAGES:
        if (ROOT / "docs" / f"{name}.md").is_file():
            next(part["Recipes"] for part in config.nav if "Recipes" in part).insert(0, {"All recipes": f"{name}.md"})
    exercises = next(part["Exercises"] for part in config.nav if "Exercises" in part)
    exercises += [f"exercises/{path.stem}.md" for path in sorted(EXERCISES.glob("*.py"))]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the pages of exercises, of their table, and of the command line."""
    cards = []
    for path in sorted(EXERCISES.glob("*.py")):
        text, pictures = as_page(_ran(path), path.stem)
        source = f"\n[The notebook]({path.stem}.ipynb), to run it yourself.\n"
        _add(files, config, f"exercises/{path.stem}.md", text + source)
        _add(files, config, f"exercises/{path.stem}.ipynb", nbformat.writes(read(path)))
        for name, data in pictures.items():
            _add(files, config, f"exercises/{name}", data)
        cards.append(_card(path.stem, *_heading(text), pictures))
    _add(files, config, "exercises/index.md", GALLERY.format(cards="\n".join(cards)))
    _add(files, config, "commands.md", _commands())
    return files


def _add(files: Files, config: Any, uri: str, content: str | bytes) -> None:
    files.append(File.generated(config, uri, content=content))


def _card(name: str, title: str, about: str, pictures: dict[str, bytes]) -> str:
    """An exercise in the gallery, with that of its pictures that holds most."""
    most = max(pictures, key=lambda one: len(pictures[one]), default=None)
    picture = "" if most is None else f'<img src="{most}" alt="" loading="lazy">'
    return f'<a href="{name}.html">{picture}<b>{escape(title)}</b><span>{escape(about)}</span></a>'


def _heading(text: str) -> tuple[str, str]:
    """The title of an exercise, and the course that asks for it with what it asks."""
    title = text.splitlines()[0].removeprefix("# ")
    said = re.search(r"\*(.+?)\*", text.split("\n", 1)[1], re.S)
    return title, " ".join(said.group(1).split()) if said else ""


def _ran(path: Path) -> Any:
    """The exercise with its outputs: those that are kept, or those of a new run."""
    size = os.environ.get("LATENTDIAL_DOCS", "full")
    if size == "pages":
        return read(path)
    values = {name: SMALL[name] for name in parameters(path) if name in SMALL and size == "small"}
    digest = hashlib.sha256(f"{path.read_text()}{values}".encode()).hexdigest()[:16]
    kept = KEPT / f"{path.stem}-{digest}.ipynb"
    if not kept.is_file():
        print(f"running {path.stem}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            notebook = executed(path, Path(folder), **values)
        KEPT.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, os.fspath(kept))
    return nbformat.read(os.fspath(kept), as_version=4)


def _commands() -> str:
    """The help of every command, as it is printed."""
    from latentdial.cli import COMMANDS

    os.environ |= {"COLUMNS": "110", "NO_COLOR": "1"}
    parts = ["# Command line\n", f"```text\n{_help()}```\n"]
    parts += [f"## latentdial {name}\n\n```text\n{_help(name)}```\n" for name in COMMANDS]
    return "\n".join(parts)


def _help(*words: str) -> str:
    from latentdial.cli import main

    said = io.StringIO()
    with redirect_stdout(said):
        main([*words, "--help"])
    return said.getvalue()
