"""The exercises: read as notebooks, made smaller, run here or in a kernel, and written as pages.

`python docs/notebooks.py FOLDER` writes them as .ipynb files.
"""

from __future__ import annotations

import base64
import os
import sys
from contextlib import chdir
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbclient import NotebookClient

EXERCISES = Path(__file__).parent / "exercises"
TAG = "parameters"
WIDGET = "application/vnd.jupyter.widget-view+json"


def read(path: Path, **values: Any) -> Any:
    """The notebook in a .py file, with `values` in the place of its parameters."""
    notebook = jupytext.read(path)
    if values:
        (index,) = [i for i, cell in enumerate(notebook.cells) if TAG in cell.metadata.get("tags", [])]
        text = "\n".join(f"{name} = {value!r}" for name, value in values.items())
        notebook.cells.insert(index + 1, nbformat.v4.new_code_cell(text))
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return notebook


def parameters(path: Path) -> list[str]:
    """The names that the parameters' cell sets."""
    (cell,) = [cell for cell in jupytext.read(path).cells if TAG in cell.metadata.get("tags", [])]
    return [name.strip() for name in cell.source.split("=")[0].split(",")]


def run_here(path: Path, folder: Path, **values: Any) -> dict[str, Any]:
    """Run the code of a notebook in this process, in `folder`; returns what it has defined."""
    names: dict[str, Any] = {"__name__": path.stem}
    with chdir(folder):
        for cell in read(path, **values).cells:
            if cell.cell_type == "code":
                exec(compile(cell.source, str(path), "exec"), names)  # noqa: S102 - our own exercises
    return names


def executed(path: Path, folder: Path, **values: Any) -> Any:
    """A notebook with the outputs that its cells gave in a kernel of this Python, run in `folder`."""
    notebook = read(path, **values)
    NotebookClient(notebook, timeout=3600, resources={"metadata": {"path": str(folder)}}).execute()
    return notebook


def as_page(notebook: Any, name: str) -> tuple[str, dict[str, bytes]]:
    """Markdown of a notebook that has run, and its pictures by file name."""
    parts, pictures = [], {}
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
            continue
        parts.append(f"```python\n{cell.source}\n```")
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if WIDGET in data:  # a bar that has run its course
                continue
            if "image/png" in data:
                file = f"{name}-{len(pictures)}.png"
                pictures[file] = base64.b64decode(data["image/png"])
                parts.append(f"![What the cell above gives]({file})")
            elif text := output.get("text") if output.get("name") == "stdout" else data.get("text/plain"):
                parts.append(f"```text\n{text.rstrip()}\n```")
    return "\n\n".join(parts) + "\n", pictures


if __name__ == "__main__":
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    for exercise in sorted(EXERCISES.glob("*.py")):
        nbformat.write(read(exercise), os.fspath(out / f"{exercise.stem}.ipynb"))
