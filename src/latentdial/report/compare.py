"""Measure runs on the same test pictures, in the same units, and write the report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from latentdial.config import DataSettings, RunConfig
from latentdial.errors import LatentdialError
from latentdial.features import FeatureNet, efficientnet_features, has_efficientnet, pixel_features
from latentdial.images import ImageSet, lasting_source, open_for, open_parts, spread
from latentdial.latent.codec import Codec, Picture
from latentdial.latent.editing import edit
from latentdial.latent.effect import dimensions
from latentdial.latent.likelihood import likelihood
from latentdial.latent.naming import canonical_directions, raw_directions
from latentdial.latent.sampling import fit_of
from latentdial.measure.cost import milliseconds
from latentdial.measure.generation import kernel_distances
from latentdial.measure.reconstruction import squared_errors
from latentdial.outputs import REPORT, check_file
from latentdial.progress import Show, showing
from latentdial.report.attributes import one_at_a_time
from latentdial.report.comparison import Comparison, Measured, Sampled
from latentdial.report.odd import Oddest, has_detector, oddest
from latentdial.report.page import write_report
from latentdial.report.pca_codec import PcaCodec, fit_pca
from latentdial.runs.loading import load
from latentdial.runs.records import read_metrics, read_summary

MAX_TEST = 1_000
MAX_TRAINING = 10_000  # pictures that PCA is found on
CLASSIC_EDITS = ((1, "*=2"), (0, "*=10"))  # of what the net itself turns, and of the canonical coordinates
SHOWN = 24  # samples
REPEATS = 25  # of the times of a picture
LIKELY, DRAWN = 128, 16  # test pictures whose likelihood is found, and codes drawn for each
TELLING = (
    0.5,
    1.2,
)  # sd of c0 and c1 of the picture that is edited: neither is near zero, ten times c0 is still a picture

Seen = tuple[FeatureNet, np.ndarray]
"""A net, and the features (N, F) of the test pictures."""


@dataclass(frozen=True, eq=False)
class Material:
    """The pictures that runs are measured on."""

    images: ImageSet
    test: ImageSet  # seen by no run in training as far as is known
    training: np.ndarray | None  # rows of the images; None where they are of another set
    notes: list[str]


def compare(
    runs: Sequence[str | Path],
    out: str | Path | None = "report.html",
    *,
    data: str | None = None,
    edits: Sequence[str] | None = None,
    picture: Picture | None = None,
    explorer: str | None = None,
    show: Show | bool = True,
) -> Comparison:
    """Measure runs on the test pictures of the first (or on `data`) and write one report, `.html` or `.md`.

    `edits` are shown on `picture`, or on a test picture; `explorer` is the address of a page to link. Runs of different
    geometry, data that is gone, and codecs in place of their directories are a LatentdialError.

    >>> latentdial.compare(["runs/ae", "runs/vae"], "report.html")  # doctest: +SKIP
    """
    folders = _folders(runs, out)
    if out is not None:
        check_file(out, REPORT)
    with showing(show) as shown:
        comparison = _compared(folders, data, edits, picture, shown)
        if out is not None:
            shown.advance("writing the report", 0, 1)
            write_report(comparison, Path(out), explorer)
            shown.advance("writing the report", 1, 1)
    return comparison


def _folders(runs: Any, out: Any) -> list[Path]:
    """The directories of runs; what else people give is told from them."""
    given = [runs, out] if isinstance(runs, Codec) else [runs] if isinstance(runs, str | Path) else list(runs)
    if any(isinstance(one, Codec) for one in given):
        raise LatentdialError(
            'compare takes the directories of runs, as in compare(["runs/ae", "runs/vae"]): '
            "a codec does not say how it was trained"
        )
    if isinstance(runs, str | Path) and isinstance(out, str | Path) and Path(out).is_dir():
        raise LatentdialError(f'runs go into one list: compare(["{runs}", "{out}"], "report.html")')
    if not given:
        raise LatentdialError('there is no run to compare: give some, as in compare(["runs/ae", "runs/vae"])')
    return [Path(run) for run in given]


def _compared(
    folders: list[Path], data: str | None, edits: Sequence[str] | None, picture: Picture | None, show: Show
) -> Comparison:
    codecs = _with_different_names([load(folder) for folder in folders], folders)
    if any(codec.geometry != codecs[0].geometry for codec in codecs):
        raise LatentdialError("these runs take pictures of different size or colour: report on runs of one geometry")
    material = _material(codecs, data, show)
    test = material.test.pixels[:]
    net = efficientnet_features() if has_efficientnet() else pixel_features(test)
    real = net.features(test)
    chosen = codecs[0].pictures(picture)[0] if picture is not None else test[_telling(codecs, test)]
    measured = [
        _measure(codec, folder, test, (net, real), chosen, list(edits or classic_edits(codec)), show)
        for codec, folder in zip(codecs, folders, strict=True)
    ]
    pca = _pca(measured, material)
    likely = _with_likelihoods(measured, test, pca)
    return Comparison(
        _timed_together(likely, test),
        material.images,
        test,
        [*material.notes, *_unlikely(likely, pca)],
        net.name,
        _pca_errors(measured, test, pca),
        0 if material.training is None else len(material.training),
        one_at_a_time(codecs, test),
        None if pca is None else _bits_under(pca, test),
        _oddest(measured, material, show),
    )


def _with_different_names(codecs: list[Codec], folders: list[Path]) -> list[Codec]:
    names = [codec.name for codec in codecs]
    if len(set(names)) == len(names):
        return codecs
    return [replace(codec, name=str(folder)) for codec, folder in zip(codecs, folders, strict=True)]


def _material(codecs: list[Codec], data: str | None, show: Show) -> Material:
    """The pictures that the first run never saw in training, or all of `data`."""
    config = codecs[0].config
    if config is None or not (data or config.data.source):
        raise LatentdialError(f"{codecs[0].name} was trained elsewhere: name test pictures with --data")
    if data:
        images = open_for(config, show.advance, data)
        return Material(images, images.take(spread(len(images), MAX_TEST)), None, [f"Test pictures are from {data}."])
    parts = open_parts(config, show.advance)
    notes = [
        f"{codec.name} was trained on other data or another split, and may have seen test pictures."
        for codec in codecs[1:]
        if codec.config is None or _split_by(codec.config) != _split_by(config)
    ]
    test = parts.test.take(spread(len(parts.test), MAX_TEST))
    return Material(parts.images, test, parts.split.train, notes)


def _split_by(config: RunConfig) -> tuple[DataSettings, int]:
    """What says which pictures a run was trained on."""
    return replace(config.data, source=lasting_source(config.data.source)), config.train.seed


def _telling(codecs: list[Codec], test: np.ndarray) -> int:
    """The test picture whose first coordinates are far enough from zero, in the last run, to be multiplied."""
    codec, some = codecs[-1], test[:128]
    found = np.abs(codec.canonical.coordinates(codec.encode(some))[:, :2])
    return int(np.abs(found - TELLING[: found.shape[1]]).sum(1).argmin())


def classic_edits(codec: Codec) -> list[str]:
    """Those that a code has dimensions for, such as 1*=2 and c1*=2; ch1*=2 where it lies over a grid."""
    own = (raw_directions(codec), canonical_directions(codec))
    return [f"{found[i].name}{change}" for found in own for i, change in CLASSIC_EDITS if i < len(found)]


def _measure(
    codec: Codec, folder: Path, test: np.ndarray, seen: Seen, chosen: np.ndarray, edits: list[str], show: Show
) -> Measured:
    table = dimensions(codec, progress=lambda done, total: show.advance(f"measuring {codec.name}", done, total))
    return Measured(
        codec=codec,
        folder=str(folder),
        summary=read_summary(folder) or {},
        records=read_metrics(folder),
        errors=squared_errors(test, codec.reconstruct(test)),
        encode_ms=np.zeros(1),
        decode_ms=np.zeros(1),
        samples=[_sampled(codec, prior, seen) for prior in _priors(codec)],
        dimensions=table,
        edits=edit(codec, chosen, *edits),
    )


def _priors(codec: Codec) -> list[str]:
    """The model's own prior where there is one, and the best of those fitted to its codes."""
    best = codec.prior_named()
    return ([] if codec.prior is None else ["model"]) + [best if best != "model" else "gaussian"]


def _sampled(codec: Codec, prior: str, seen: Seen) -> Sampled:
    """As many samples as there are test pictures, and how far they are from these."""
    net, real = seen
    drawn = codec.sample(max(len(real), SHOWN), seed=1, prior=prior)
    note = fit_of(codec, prior).sentence()
    distances = kernel_distances(real, net.features(drawn[: len(real)]))
    return Sampled(prior, drawn[:SHOWN], distances, note and f"{note[0].upper()}{note[1:]}.")


def _pca(runs: list[Measured], material: Material) -> PcaCodec | None:
    """PCA with as many numbers as any decoder sees, where the training pictures are known."""
    if material.training is None:
        return None
    rows = material.training[spread(len(material.training), MAX_TRAINING)]
    return fit_pca(material.images.pixels[rows], max(run.codec.seen for run in runs))


def _pca_errors(runs: list[Measured], test: np.ndarray, pca: PcaCodec | None) -> np.ndarray | None:
    """Errors (N,) of PCA on the test pictures, where no run is PCA."""
    if pca is None or any(run.kind == "PCA" for run in runs):
        return None
    return squared_errors(test, pca.reconstruct(test))


def _with_likelihoods(runs: list[Measured], test: np.ndarray, pca: PcaCodec | None) -> list[Measured]:
    """Runs with the likelihood of the first test pictures, where they give one; that of PCA is exact."""
    some, found = test[:LIKELY], list[Measured]()
    for run in runs:
        if run.kind == "PCA" and pca is not None:
            bits = _bits_under(pca.first(run.codec.seen), test)
        else:
            likely = _nats(run.codec, some)
            bits = None if likely is None else _bits(likely, test[0].size)
        found.append(replace(run, bits=bits))
    return found


def _bits_under(pca: PcaCodec, test: np.ndarray) -> np.ndarray | None:
    """Bits a value of the first test pictures under probabilistic PCA, where it has a likelihood."""
    return None if pca.unlikely else _bits(pca.likelihood(test[:LIKELY]).log_px, test[0].size)


def _unlikely(runs: list[Measured], pca: PcaCodec | None) -> list[str]:
    """Why PCA has no likelihood, where another has one that would stand beside it."""
    if pca is None or all(run.bits is None for run in runs):
        return []
    own = [pca.first(run.codec.seen) for run in runs if run.kind == "PCA"]
    return [f"{one.unlikely}." for one in own or [pca] if one.unlikely]


def _nats(codec: Codec, pictures: np.ndarray) -> np.ndarray | None:
    """log p (N,) of pictures' levels in nats; None for a model that gives none: an AE, or one of binary pixels."""
    try:
        found = likelihood(codec, pictures, DRAWN)
    except LatentdialError:
        return None
    return None if found.unlikely or found.kind == "binary" else found.log_px


def _bits(nats: np.ndarray, values: int) -> np.ndarray:
    """Bits a value (M,) of pictures of so many values, whose log likelihoods (M,) are in nats."""
    return -nats / (values * np.log(2))


def _oddest(runs: list[Measured], material: Material, show: Show) -> Oddest | None:
    """The oddest test pictures as the net sees them that has a detector, or else that draws them best."""
    nets = [run for run in runs if run.kind != "PCA"] or runs
    known = [run for run in nets if has_detector(Path(run.folder))]
    run = known[0] if known else min(nets, key=lambda run: run.errors.mean())
    return oddest(run.codec, Path(run.folder), material.test, show)


def _timed_together(runs: list[Measured], test: np.ndarray) -> list[Measured]:
    """Encode and decode times of one picture, all runs taking turns."""
    calls: dict[str, Callable[[], object]] = {}
    for i, run in enumerate(runs):
        calls[f"encode {i}"] = partial(run.codec.encode, test[:1])
        calls[f"decode {i}"] = partial(run.codec.decode, run.codec.encode(test[:1]))
    times = {name: np.array(repeats) for name, repeats in milliseconds(calls, REPEATS).items()}
    return [replace(run, encode_ms=times[f"encode {i}"], decode_ms=times[f"decode {i}"]) for i, run in enumerate(runs)]
