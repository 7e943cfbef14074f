"""What a run says of itself: its files by name, its settings, its records and its figures. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from latentdial import storage
from latentdial.config import RunConfig, from_json
from latentdial.errors import LatentdialError
from latentdial.texts import command

CONFIG, MODEL, CODES, CARD = "config.json", "model.safetensors", "codes.safetensors", "README.md"
MAX_CODES = 10_000  # of pictures of one kind
METRICS, TIMES, SUMMARY = "metrics.jsonl", "times.jsonl", "summary.json"
COUNTS = ("step", "steps", "parameters", "peak_memory_mb", "pictures", "training_pictures", "skipped")
TOLD: dict[str, type] = dict.fromkeys(COUNTS, int) | dict.fromkeys(("seconds", "images_per_second"), float)
TOLD |= {"interrupted": bool, "precision": str, "device": str, "torch": str}
JUDGED: dict[str, type] = dict.fromkeys(("test_mse", "test_psnr", "pca_mse", "pca_psnr"), float) | {"numbers": int}
LOCK = ".lock"


def read_config(folder: Path) -> RunConfig:
    """The configuration of a run."""
    if not folder.is_dir():
        raise LatentdialError(
            f"there is no run at {folder}: train one with {command('train', 'RECIPE', 'DATA', '--out', folder)}"
        )
    return from_json(storage.read_bytes(folder / CONFIG, storage.MAX_JSON_BYTES))


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """Every record of the terms, training and validation; the same bytes for the same run, so it holds no times."""
    return _read_lines(folder / METRICS)


def read_times(folder: Path) -> list[dict[str, Any]]:
    """Seconds of training and images/s at every training record."""
    return _read_lines(folder / TIMES)


def read_summary(folder: Path) -> dict[str, Any] | None:
    """The final figures of a run; None where training has not ended yet or was killed, and of a damaged file."""
    try:
        summary = storage.read_json(folder / SUMMARY)
        storage.need(summary, TOLD | (JUDGED if JUDGED.keys() & summary.keys() else {}))
    except (LatentdialError, ValueError):
        return None
    return summary


def _read_lines(path: Path) -> list[dict[str, Any]]:
    """The JSON objects of a file, one a line; none where there is no file yet."""
    try:
        return storage.read_lines(path)
    except storage.Missing:
        return []
