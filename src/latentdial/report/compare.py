"""Compare runs on the same test pictures, in the same units, in one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from latentdial.errors import LatentdialError
from latentdial.images import ImageSet, open_images, split_images, spread
from latentdial.latent.codec import Codec, Picture
from latentdial.latent.editing import edit
from latentdial.latent.effect import dimensions
from latentdial.measure.cost import milliseconds
from latentdial.measure.reconstruction import reconstruction
from latentdial.progress import Show
from latentdial.report.comparison import Comparison, Measured
from latentdial.report.html import write_report
from latentdial.runs.loading import load, read_metrics, read_summary

MAX_TEST = 1_000
CLASSIC_EDITS = ("1*=2", "0*=10")


def compare(
    runs: Sequence[str | Path],
    out: str | Path | None = "compare.html",
    *,
    data: str | None = None,
    edits: Sequence[str] = CLASSIC_EDITS,
    picture: Picture | None = None,
    show: Show | None = None,
) -> Comparison:
    """Measure runs on the test pictures of the first (or on `data`) and write one HTML report.

    Runs of different geometry, and data that is gone, are a LatentdialError.
    """
    show = show or Show()
    folders = [Path(run) for run in runs]
    codecs = _with_different_names([load(folder) for folder in folders], folders)
    if any(codec.geometry != codecs[0].geometry for codec in codecs):
        raise LatentdialError("these runs take pictures of different size or colour: compare runs of one geometry")
    images, test, notes = _test_pictures(codecs, data, show)
    chosen = codecs[0].pictures(picture)[0] if picture is not None else test[_typical(codecs[0], test)]
    measured = [
        _measure(codec, folder, test, chosen, list(edits), show) for codec, folder in zip(codecs, folders, strict=True)
    ]
    comparison = Comparison(_timed_together(measured, test), images, test, notes)
    if out is not None:
        write_report(comparison, Path(out))
    return comparison


def _with_different_names(codecs: list[Codec], folders: list[Path]) -> list[Codec]:
    names = [codec.name for codec in codecs]
    if len(set(names)) == len(names):
        return codecs
    return [replace(codec, name=str(folder)) for codec, folder in zip(codecs, folders, strict=True)]


def _test_pictures(codecs: list[Codec], data: str | None, show: Show) -> tuple[ImageSet, np.ndarray, list[str]]:
    """The pictures that the first run never saw in training, or all of `data`."""
    config = codecs[0].config
    if config is None or not (data or config.data.source):
        raise LatentdialError(f"{codecs[0].name} was trained elsewhere: name test pictures with --data")
    notes = []
    if data:
        images = open_images(replace(config.data, source=data, limit=None), config.geometry, show.advance)
        return images, images.pixels[spread(len(images), MAX_TEST)], [f"Test pictures are from {data}."]
    images = open_images(config.data, config.geometry, show.advance)
    parts = split_images(images, config.data.holdout, config.train.seed)
    for codec in codecs[1:]:
        if codec.config is None or (codec.config.data, codec.config.train.seed) != (config.data, config.train.seed):
            notes.append(f"{codec.name} was trained on other data or another split, and may have seen test pictures.")
    return images, images.pixels[parts.test[spread(len(parts.test), MAX_TEST)]], notes


def _typical(codec: Codec, test: np.ndarray) -> int:
    """The test picture whose reconstruction error is the median: neither an easy nor a hard face."""
    some = test[:64]
    error = np.square(codec.reconstruct(some).astype(float) - some).mean((1, 2, 3))
    return int(np.argsort(error)[len(error) // 2])


def _measure(
    codec: Codec, folder: Path, test: np.ndarray, chosen: np.ndarray, edits: list[str], show: Show
) -> Measured:
    table = dimensions(codec, progress=lambda done, total: show.advance(f"measuring {codec.name}", done, total))
    return Measured(
        codec=codec,
        folder=str(folder),
        summary=read_summary(folder) or {},
        records=read_metrics(folder),
        quality=reconstruction(test, codec.reconstruct(test)),
        encode_ms=0.0,
        decode_ms=0.0,
        dimensions=table,
        edits=edit(codec, chosen, *edits),
    )


def _timed_together(runs: list[Measured], test: np.ndarray) -> list[Measured]:
    """Encode and decode times of one picture, all runs taking turns."""
    calls: dict[str, Callable[[], object]] = {}
    for i, run in enumerate(runs):
        calls[f"encode {i}"] = partial(run.codec.encode, test[:1])
        calls[f"decode {i}"] = partial(run.codec.decode, run.codec.encode(test[:1]))
    times = milliseconds(calls)
    return [replace(run, encode_ms=times[f"encode {i}"], decode_ms=times[f"decode {i}"]) for i, run in enumerate(runs)]
