"""docs/benchmarks.md from benchmarks/results/*.json, a table for every question: `python docs/tables.py`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
RESULTS, PAGE = ROOT / "benchmarks" / "results", ROOT / "docs" / "benchmarks.md"
KEYS = ("question", "command", "date", "machine", "versions", "columns", "rows", "notes")
TOPICS = ("Codecs", "Training", "Directions and edits", "Anomalies", "Explorer", "Pictures in", "Promises")
OTHER = "More"
HEAD = """# Benchmarks

What was measured, a table for every question, with the command that measures it again. This page is made from
`benchmarks/results/*.json` by `python docs/tables.py`. "PCA" is the best linear codec with as many numbers.
"""


def page(folder: Path = RESULTS) -> str:
    """The whole page; results without a topic come last."""
    found = [_result(path) for path in sorted(folder.glob("*.json"))]
    topics = {one.get("topic", OTHER) for one in found}
    order = [*(topic for topic in TOPICS if topic in topics), *sorted(topics - {*TOPICS, OTHER}), OTHER]
    parts = [HEAD]
    for topic in order:
        of_topic = [one for one in found if one.get("topic", OTHER) == topic]
        parts += [f"## {topic}\n", *map(_section, of_topic)] if of_topic else []
    return "\n".join(parts)


def markdown_table(columns: Sequence[Any], rows: Sequence[Sequence[Any]]) -> str:
    """Rows under their columns; columns of numbers stand to the right."""
    marks = ["---:" if all(_is_number(row[i]) for row in rows) else "---" for i in range(len(columns))]
    lines = [[cell(one) for one in columns], marks, *([cell(one) for one in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def cell(value: Any) -> str:
    """A value as it stands in a table.

    >>> [cell(one) for one in (None, True, 12345, 0.00292, 23.0, "a|b")]
    ['', 'yes', '12,345', '0.00292', '23', 'a\\\\|b']
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    text = f"{value:.4g}" if isinstance(value, float) else " ".join(str(value).split())
    return text.replace("|", "\\|").replace("<", "&lt;")


def _result(path: Path) -> dict[str, Any]:
    result = json.loads(path.read_text(encoding="utf-8"))
    lacks = [key for key in KEYS if key not in result]
    if lacks:
        raise SystemExit(f"{path} lacks {', '.join(lacks)}")
    for row in result["rows"]:
        if len(row) != len(result["columns"]):
            raise SystemExit(f"{path} has {len(row)} values in a row and {len(result['columns'])} columns")
    return result


def _section(result: dict[str, Any]) -> str:
    verdict, *notes = result["notes"] or [""]
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    lines = [f"### {result['question']}\n", *([f"{verdict}\n"] if verdict else [])]
    lines += [markdown_table(result["columns"], result["rows"]), *(f"- {note}" for note in notes)]
    lines += ["" if notes else None, f"`{result['command']}`, {result['date']}, {result['machine']}; {versions}.\n"]
    return "\n".join(line for line in lines if line is not None)


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
