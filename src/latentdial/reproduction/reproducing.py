"""Run a protocol: train its rows, measure them, and hold the figures against what is published."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from latentdial import storage
from latentdial.config import Geometry, ModelSettings, RunConfig, TrainSettings
from latentdial.errors import LatentdialError
from latentdial.images import open_parts
from latentdial.latent.codec import Codec
from latentdial.latent.likelihood import likelihood
from latentdial.measure.reconstruction import reconstruction
from latentdial.progress import Show
from latentdial.report.evaluate import evaluate
from latentdial.report.evaluation import PCA
from latentdial.reproduction.pictures import source
from latentdial.reproduction.protocol import BUDGETS, Budget, Order, Protocol, Published, Row, read_protocol
from latentdial.runs.loading import load
from latentdial.runs.records import read_metrics, read_summary
from latentdial.texts import suggestion
from latentdial.training.start import train_run

RECORD, SPENT = "reproduction.json", "spent.json"
STEPS = 16  # pictures along each side of a manifold
PLAIN = "avatars"
PLACE = {"split", "step", "epoch"}  # of a record

Figures = dict[str, float]


@dataclass(frozen=True)
class Compared:
    """A published number beside ours."""

    published: Published
    measured: float | None
    verdict: str


@dataclass(frozen=True)
class Ordered:
    """What is said to be better, and whether it was so here; None where it was not measured."""

    order: Order
    holds: bool | None
    better: float | None
    worse: float | None

    def words(self) -> str:
        """Such as "yes: 10.1 against 12.3"."""
        if self.better is None or self.worse is None:
            return "not measured at this budget"
        return f"{'yes' if self.holds else 'no'}: {self.better:.4g} against {self.worse:.4g}"


@dataclass(frozen=True)
class Reproduction:
    """What came of a protocol."""

    name: str
    protocol: Protocol
    budget: str
    data: str
    rows: dict[str, Figures]
    core_seconds: dict[str, float]  # of training
    compared: list[Compared]
    ordered: list[Ordered]
    curves: dict[str, dict[str, list[tuple[float, float]]]]  # row -> part -> (samples seen, bound)
    manifold: np.ndarray | None  # uint8 (STEPS, STEPS, H, W, C)
    notes: list[str]

    def table(self) -> tuple[list[str], list[list[str]]]:
        """The head, and a row of texts for every run."""
        head = ["", *self.protocol.figures, "core-seconds"]
        extra = {row.name for row in self.protocol.rows if row.extra}
        rows = []
        for name, values in self.rows.items():
            cells = [_text(values.get(figure)) for figure in self.protocol.figures]
            spent = self.core_seconds.get(name)
            rows.append([f"{name} (not in the paper)" if name in extra else name, *cells, _text(spent, "{:.0f}")])
        return head, rows

    def against(self) -> tuple[list[str], list[list[str]]]:
        """The head, and a row for every published number."""
        rows = [
            [
                f"{one.published.row}: {one.published.figure}",
                _text(one.measured),
                f"{one.published.value:g} +-{one.published.tolerance:g}",
                one.verdict,
                one.published.source,
            ]
            for one in self.compared
        ]
        return ["", "measured", "published", "", "source"], rows

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        return {
            "reproduction": self.name,
            "budget": self.budget,
            "data": self.data,
            "figures": self.rows,
            "core_seconds": self.core_seconds,
            "published": [
                {**vars(one.published), "measured": one.measured, "verdict": one.verdict} for one in self.compared
            ],
            "orders": [
                {"says": one.order.says, "holds": one.holds, "better": one.better, "worse": one.worse}
                for one in self.ordered
            ],
            "curves": self.curves,
            "notes": self.notes,
        }


def reproduce(
    name: str,
    out: str | Path,
    *,
    budget: str = "15m",
    data: str | None = None,
    rows: list[str] | None = None,
    show: Show | None = None,
) -> Reproduction:
    """Make a paper's figures again, in a directory that holds a run for every row, and go on with what is there.

    `budget` says how long is trained: "15m" and "1h" of one core, or "full", what the paper did; "tiny" only checks
    that all runs. `data` is a folder with MNIST's files, or any set; without it avatars stand in, and nothing is
    held against published numbers. An unknown name, budget or row is a LatentdialError.
    """
    show, out, protocol = show or Show(), Path(out), read_protocol(name)
    if budget not in protocol.budgets:
        raise LatentdialError(f"there is no budget {budget!r}: {suggestion(budget, protocol.budgets)}")
    chosen = _rows(protocol, protocol.budgets[budget], rows)
    out.mkdir(parents=True, exist_ok=True)
    figures: dict[str, Figures] = {}
    codecs: dict[str, Codec] = {}
    for done, row in enumerate(chosen):
        show.advance(f"reproducing {name}", done, len(chosen), row.name)
        codecs[row.name] = _trained(protocol, protocol.budgets[budget], row, data, out, show)
        figures[row.name] = _measured(protocol, protocol.budgets[budget], codecs[row.name], out / slug(row), show)
    show.advance(f"reproducing {name}", len(chosen), len(chosen))
    official = data is not None
    found = Reproduction(
        name=name,
        protocol=protocol,
        budget=budget,
        data=data or PLAIN,
        rows=figures,
        core_seconds={row.name: seconds for row in chosen if (seconds := _spent(out).get(slug(row))) is not None},
        compared=[compare(one, figures, budget, official) for one in protocol.published if one.row in figures],
        ordered=[_ordered(one, figures) for one in protocol.orders],
        curves={row.name: _curves(out / slug(row)) for row in chosen} if "bounds" in protocol.draws else {},
        manifold=_manifold(codecs) if "manifold" in protocol.draws else None,
        notes=_notes(protocol, budget, official),
    )
    storage.write_json(out / RECORD, found.as_dict())
    return found


def _text(value: float | None, style: str = "{:.4g}") -> str:
    return "-" if value is None else style.format(value)


def slug(row: Row) -> str:
    """The name of a row's directory."""
    return re.sub("[^a-z0-9]+", "-", row.name.lower()).strip("-")


def compare(published: Published, figures: Mapping[str, Figures], budget: str, official: bool = True) -> Compared:
    """Hold a measured figure against a published one, where the budget and the pictures allow it."""
    measured = figures[published.row].get(published.figure)
    if measured is None:
        return Compared(published, None, "not measured")
    if not official:
        return Compared(published, measured, "other pictures: not compared")
    if BUDGETS.index(budget) < BUDGETS.index(published.budget):
        return Compared(published, measured, f"not compared below --budget {published.budget}")
    short = measured - published.value if published.better == "lower" else published.value - measured
    if abs(short) <= published.tolerance:
        return Compared(published, measured, "within tolerance")
    if published.better == "same":
        return Compared(published, measured, f"differs by {abs(short):.3g}")
    return Compared(published, measured, f"short by {short:.3g}" if short > 0 else f"better by {-short:.3g}")


def _rows(protocol: Protocol, budget: Budget, wanted: list[str] | None) -> list[Row]:
    known = {row.name: row for row in protocol.rows}
    for name in wanted or []:
        if name not in known:
            raise LatentdialError(f"there is no row {name!r}: {suggestion(name, known)}")
    chosen = wanted or budget.rows or list(known)
    return [row for row in protocol.rows if row.name in chosen]


def _trained(protocol: Protocol, budget: Budget, row: Row, data: str | None, out: Path, show: Show) -> Codec:
    """The codec of a row, trained here, or gone on with where it was left."""
    geometry = Geometry(size=protocol.size, colour=protocol.colour)
    most = min((n for n in (row.pictures, budget.pictures) if n is not None), default=None)
    train: dict[str, Any] = {"epochs": budget.epochs, **protocol.train, **budget.train, **row.train}
    config = RunConfig(
        ModelSettings(row.recipe, {**row.options, **budget.options}),
        geometry,
        source(data, most, geometry, out, show),
        TrainSettings(**train),
    )
    folder = out / slug(row)
    if not (read_summary(folder) or {"interrupted": True}).get("interrupted"):
        codec = load(folder)
        if codec.config is None or (codec.config.model, codec.config.data) != (config.model, config.data):
            raise LatentdialError(f"{folder} was made with another budget or other pictures: use another --out")
        return codec
    begin = time.process_time()
    finished = train_run(config, folder, "resume", show)
    spent = _spent(out)
    spent[slug(row)] = round(spent.get(slug(row), 0.0) + time.process_time() - begin, 1)
    storage.write_json(out / SPENT, spent)
    if finished.codec is None or finished.stopped:
        raise LatentdialError(f"stopped: the same command goes on with {row.name}")
    return finished.codec


def _spent(out: Path) -> dict[str, float]:
    try:
        return storage.read_json(out / SPENT)
    except storage.Missing:
        return {}


def _measured(protocol: Protocol, budget: Budget, codec: Codec, folder: Path, show: Show) -> Figures:
    found: Figures = {}
    if "likelihood" in protocol.measures:
        found |= _likelihood(budget, codec, show)
    if "reconstruction" in protocol.measures:
        found |= _reconstruction(budget, codec, folder, show)
    if "samples" in protocol.measures:
        table = evaluate(folder, n=budget.test, samples=budget.samples, features=budget.features, show=show).as_dict()[
            "figures"
        ]
        for key, values in table.items():
            names = {codec.name: "reconstructions", PCA: "PCA's reconstructions", "real pictures": "real pictures"}
            found |= {f"{key}, {names.get(name, name)}": value for name, value in values.items()}
    return found


def _likelihood(budget: Budget, codec: Codec, show: Show) -> Figures:
    assert codec.config is not None  # noqa: S101 - it was trained just now
    test = open_parts(codec.config, show.advance).test.pixels[: budget.test]
    found = likelihood(codec, test, budget.samples, 0, show.advance)
    nll = {} if found.unlikely else {"nll": found.nll, "standard error": found.error}  # grey pixels have none
    return nll | {
        "elbo": float(found.elbo.mean()),
        "rate": float(found.rate.mean()),
        "distortion": float(found.distortion.mean()),
        "active units": float(found.active),
        "information, at least": found.informed[0],
        "codes a picture": float(found.samples),
        "test pictures": float(len(test)),
    }


def _reconstruction(budget: Budget, codec: Codec, folder: Path, show: Show) -> Figures:
    """The error of test pictures, and the validation terms of the weights that are published."""
    assert codec.config is not None  # noqa: S101 - it was trained just now
    test = open_parts(codec.config, show.advance).test.pixels[: budget.test]
    step = (read_summary(folder) or {}).get("published_step")
    records = [one for one in read_metrics(folder) if one["split"] == "validation" and one["step"] == step]
    terms = {name: float(value) for one in records for name, value in one.items() if name not in PLACE}
    return {"mse": reconstruction(test, codec.reconstruct(test)).mse, "test pictures": float(len(test)), **terms}


def _ordered(order: Order, figures: Mapping[str, Figures]) -> Ordered:
    better, worse = (figures.get(row, {}).get(figure) for row, figure in (order.better, order.worse))
    if better is None or worse is None:
        return Ordered(order, None, better, worse)
    gain = worse - better if order.lower else better - worse
    return Ordered(order, gain > order.by, better, worse)


def _curves(folder: Path) -> dict[str, list[tuple[float, float]]]:
    """The bound over the number of pictures seen, of training and of validation pictures."""
    batch = load(folder).config.train.batch  # type: ignore[union-attr]
    curves: dict[str, list[tuple[float, float]]] = {"train": [], "validation": []}
    for record in read_metrics(folder):
        if record["step"]:
            curves[record["split"]].append((float(record["step"] * batch), -float(record["loss"])))
    return curves


def _manifold(codecs: Mapping[str, Codec]) -> np.ndarray | None:
    """What the first codec with two dimensions decodes at the quantiles of its prior (arXiv 1312.6114, appendix A)."""
    from statistics import NormalDist

    flat = next((codec for codec in codecs.values() if codec.latent == 2), None)
    if flat is None:
        return None
    along = [NormalDist().inv_cdf((i + 0.5) / STEPS) for i in range(STEPS)]
    codes = np.array([[x, y] for y in along[::-1] for x in along], np.float32)
    return flat.decode(codes).reshape(STEPS, STEPS, *flat.geometry.shape[1:], flat.geometry.channels)


def _notes(protocol: Protocol, budget: str, official: bool) -> list[str]:
    notes = [] if official else ["Avatars stand in for the paper's pictures: nothing here confirms its numbers."]
    cannot = protocol.budgets[budget].cannot
    return [*notes, *([cannot] if cannot else []), *protocol.differences]
