"""What a comparison of runs holds: the figures of each, and which is best in a row."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from latentdial.images import ImageSet
from latentdial.latent.codec import Codec
from latentdial.latent.editing import EditSheet
from latentdial.latent.effect import DimensionTable, active_units
from latentdial.measure.reconstruction import Reconstruction


@dataclass(frozen=True)
class Measured:
    """What was measured of one run on the shared test pictures."""

    codec: Codec
    folder: str
    summary: dict
    records: list[dict]
    quality: Reconstruction
    encode_ms: float
    decode_ms: float
    dimensions: DimensionTable
    edits: EditSheet

    @property
    def name(self) -> str:
        return self.codec.name

    @property
    def kl(self) -> float | None:
        """Mean KL of a picture's posterior against the prior, in nats."""
        return None if self.codec.kl is None else float(self.codec.kl.sum())

    def figures(self) -> dict[str, float | None]:
        """The row values of the comparison, by row name; None where a figure has no meaning."""
        return {
            "mse": self.quality.mse,
            "psnr": self.quality.psnr,
            "latent": self.codec.latent,
            "active": active_units(self.codec),
            "kl": self.kl,
            "parameters": self.summary.get("parameters"),
            "train_seconds": self.summary.get("seconds"),
            "images_per_second": self.summary.get("images_per_second"),
            "peak_memory_mb": self.summary.get("peak_memory_mb"),
            "encode_ms": self.encode_ms,
            "decode_ms": self.decode_ms,
        }


@dataclass(frozen=True)
class Line:
    """One row of the table: which figure, its title, its format, and which end is better (0: neither)."""

    key: str
    title: str
    style: str
    better: int = 0


LINES = [
    Line("mse", "test MSE per pixel and channel, pictures in 0 to 1", "{:.5f}", -1),
    Line("psnr", "test PSNR, dB", "{:.2f}", 1),
    Line("latent", "latent dimensions", "{:d}"),
    Line("active", "active units (variance of the code above 0.01)", "{:d}"),
    Line("kl", "KL to the prior, nats per picture", "{:.1f}"),
    Line("parameters", "parameters", "{:,d}", -1),
    Line("train_seconds", "training, seconds", "{:.0f}", -1),
    Line("images_per_second", "training, images/s", "{:.0f}", 1),
    Line("peak_memory_mb", "peak memory in training, MB", "{:,d}", -1),
    Line("encode_ms", "encode one picture, ms", "{:.1f}", -1),
    Line("decode_ms", "decode one picture, ms", "{:.1f}", -1),
]


@dataclass(frozen=True)
class Comparison:
    """Runs measured on the same test pictures."""

    runs: list[Measured]
    images: ImageSet
    test: np.ndarray  # uint8 (N, H, W, C)
    notes: list[str]

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Names of the runs, and rows of a title and a text for each run."""
        figures = [run.figures() for run in self.runs]
        rows = [[line.title, *(_text(line, values[line.key]) for values in figures)] for line in LINES]
        return [run.name for run in self.runs], rows

    def best(self, line: Line) -> int | None:
        """The index of the run that is best in a row, where one is."""
        values = [run.figures()[line.key] for run in self.runs]
        if line.better == 0 or len(values) < 2 or any(value is None for value in values) or len(set(values)) == 1:
            return None
        return int(np.argmax(np.array(values, float) * line.better))

    def as_dict(self) -> dict:
        return {
            "test_pictures": len(self.test),
            "notes": self.notes,
            "runs": {
                run.name: {
                    **run.figures(),
                    "edits": {column.label: asdict(column.change) for column in run.edits.columns},
                    "dimensions": run.dimensions.as_dicts(),
                }
                for run in self.runs
            },
        }


def _text(line: Line, value: float | None) -> str:
    return "-" if value is None else line.style.format(value)
