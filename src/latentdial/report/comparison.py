"""What a comparison of runs holds: figures with what they are means of, and which differ by more than noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from latentdial.images import ImageSet
from latentdial.latent.codec import Codec
from latentdial.latent.editing import EditSheet
from latentdial.latent.effect import DimensionTable, active_units, alike
from latentdial.measure.paired import Interval, paired_difference
from latentdial.measure.reconstruction import decibels
from latentdial.report.attributes import Attributed
from latentdial.report.odd import Oddest
from latentdial.shown import Shown, frame
from latentdial.texts import Brief

if TYPE_CHECKING:
    from pandas import DataFrame

Kind = Literal["PCA", "AE", "VAE", "other"]
"""A plain autoencoder has no prior, a VAE has one and draws its codes; others are drawn to a prior by other means."""


@dataclass(frozen=True, eq=False, repr=False)
class Sampled(Brief):
    """Pictures drawn from a prior, (n, H, W, C), and how far blocks of them are from test pictures, (B,)."""

    prior: str
    pictures: np.ndarray
    distances: np.ndarray
    note: str = ""  # what is wrong with the prior

    @property
    def distance(self) -> float:
        """The kernel distance; near zero where samples are like test pictures."""
        return float(self.distances.mean())


@dataclass(frozen=True, eq=False)
class Figure:
    """A value, and what it is the mean or median of: pictures, blocks or repeats, the same ones for every run."""

    value: float | str | None = None
    each: np.ndarray | None = None


@dataclass(frozen=True, eq=False, repr=False)
class Measured(Brief):
    """What was measured of one run on the shared test pictures."""

    codec: Codec
    folder: str
    summary: dict[str, Any]
    records: list[dict[str, Any]]
    errors: np.ndarray  # (N,) mean squared error of each test picture, in [0, 1]
    encode_ms: np.ndarray  # (R,)
    decode_ms: np.ndarray
    samples: list[Sampled]  # from the prior of its own first, where it has one
    dimensions: DimensionTable
    edits: EditSheet
    bits: np.ndarray | None = None  # (M,) bits a value of the first test pictures; a bound but for PCA

    @property
    def name(self) -> str:
        return self.codec.name

    @property
    def kind(self) -> Kind:
        if self.codec.config is not None and self.codec.config.model.recipe == "pca":
            return "PCA"
        if self.codec.prior is None:
            return "AE"
        return "VAE" if self.codec.model is None or "z" in getattr(self.codec.model, "draws", {}) else "other"

    @property
    def decibels(self) -> np.ndarray:
        """PSNR (N,) of each test picture."""
        return decibels(self.errors)

    @property
    def kl(self) -> float | None:
        """Mean KL of a picture's posterior against the prior, in nats."""
        return None if self.codec.kl is None else float(self.codec.kl.sum())

    @property
    def drawn(self) -> Sampled:
        """What is drawn where no prior is named."""
        return self.samples[0 if self.codec.prior_named() == "model" else -1]

    @cached_property
    def figures(self) -> dict[str, Figure]:
        """The row values of the comparison, by row name."""
        own = self.samples[0] if self.codec.prior is not None else None
        fitted = self.samples[-1]
        return {
            "psnr": Figure(float(self.decibels.mean()), self.decibels),
            "mse": Figure(float(self.errors.mean()), self.errors),
            "own_distance": Figure() if own is None else Figure(own.distance, own.distances),
            "fitted_distance": Figure(fitted.distance, fitted.distances),
            "fitted_prior": Figure(fitted.prior),
            "bits": Figure() if self.bits is None else Figure(float(self.bits.mean()), self.bits),
            "latent": Figure(self.codec.latent),
            "seen": Figure(self.codec.seen if self.codec.seen != self.codec.latent else None),
            "needed": Figure(self.codec.canonical.needed(0.95)),
            "active": Figure(active_units(self.codec)),
            "kl": Figure(self.kl),
            "parameters": Figure(self.summary.get("parameters")),
            "train_seconds": Figure(self.summary.get("seconds")),
            "peak_memory_mb": Figure(self.summary.get("peak_memory_mb")),
            "encode_ms": Figure(float(np.median(self.encode_ms)), self.encode_ms),
            "decode_ms": Figure(float(np.median(self.decode_ms)), self.decode_ms),
        }


@dataclass(frozen=True)
class Line:
    """One row of the table: which figure, its title and format, and which end is better (0: neither is said)."""

    key: str
    title: str
    style: str
    better: int = 0


LINES = [
    Line("psnr", "PSNR of unseen pictures, dB", "{:.2f}", 1),
    Line("mse", "their squared error, values from 0 to 1", "{:.5f}", -1),
    Line("own_distance", "samples of its own prior: kernel distance to unseen pictures", "{:.3f}", -1),
    Line("fitted_distance", "samples of a prior fitted to its codes: kernel distance", "{:.3f}", -1),
    Line("fitted_prior", "which prior that is", "{}"),
    Line("bits", "likelihood of unseen pictures, bits a value", "{:.2f}", -1),
    Line("latent", "numbers in a code", "{:d}"),
    Line("seen", "numbers that the decoder sees", "{:d}"),
    Line("needed", "of them, in order, for 95% of what pictures vary by", "{:d}"),
    Line("active", "raw dimensions that vary at all", "{:d}"),
    Line("kl", "KL to the prior, nats a picture", "{:.0f}"),
    Line("parameters", "parameters", "{:,d}"),
    Line("train_seconds", "training, seconds (one run)", "{:.0f}"),
    Line("peak_memory_mb", "memory in training, MB (one run)", "{:,d}"),
    Line("encode_ms", "encode one picture, ms", "{:.1f}", -1),
    Line("decode_ms", "decode one picture, ms", "{:.1f}", -1),
]


@dataclass(frozen=True)
class Claim:
    """Something that is often said, and what these runs say to it; `difference` is above zero where they agree."""

    text: str
    difference: Interval | None
    unit: str = "dB"

    @property
    def holds(self) -> bool | None:
        """None where the difference is not beyond noise, or too little was measured to say."""
        return self.difference.low > 0 if self.difference is not None and self.difference.clear else None

    @property
    def answer(self) -> str:
        if self.difference is None:
            return "cannot be said"
        return {True: "yes", False: "no, the opposite", None: "no difference beyond noise"}[self.holds]

    def numbers(self) -> tuple[str, str]:
        """The difference and its 95% interval, as texts."""
        if self.difference is None:
            return "too few pictures", "-"
        style = {"": "{:+z.3f}", "%": "{:+z.0f}"}.get(self.unit, "{:+z.2f}")
        mean, low, high = (style.format(v) for v in vars(self.difference).values())
        return f"{mean} {self.unit}".strip(), f"{low} to {high}"


@dataclass(frozen=True)
class Advice:
    """Which of two runs to take for a purpose, by a claim for the first, with the value of each."""

    purpose: str
    claim: Claim
    runs: Sequence[str]
    values: Sequence[str]
    style: str

    def sentence(self) -> str:
        if self.claim.holds is None:
            values = self.style.format(" and ".join(self.values))
            return f"{self.purpose}, {' and '.join(self.runs)} are equally good: {values}."
        best, rest = (0, 1) if self.claim.holds else (1, 0)
        values = self.style.format(f"{self.values[best]} against {self.values[rest]}")
        return f"{self.purpose}, take {self.runs[best]}: {values}."

    def short(self) -> str:
        best = {True: self.runs[0], False: self.runs[1], None: "either"}[self.claim.holds]
        return f"{self.purpose}: {best}."


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Brief, Shown):
    """Runs measured on the same test pictures, beside PCA with as many numbers as a decoder sees."""

    runs: list[Measured]
    images: ImageSet
    test: np.ndarray  # uint8 (N, H, W, C)
    notes: list[str]
    features: str  # the net whose features kernel distances are in
    pca_errors: np.ndarray | None = None  # (N,) of PCA's reconstructions
    training: int = 0  # pictures
    attributes: list[Attributed] = field(default_factory=list)
    pca_bits: np.ndarray | None = None  # (M,) of the same pictures under probabilistic PCA
    odd: Oddest | None = None

    @property
    def silent(self) -> list[str]:
        """What is to be known of runs whose codes say nothing."""
        return [f"{run.name}: {said}." for run in self.runs if (said := alike(run.codec))]

    @property
    def columns(self) -> list[tuple[str, dict[str, Figure]]]:
        """Names and figures of the runs; after them those of PCA with as many numbers, where no run is that."""
        runs = [(run.name, run.figures) for run in self.runs]
        if self.pca_errors is None:
            return runs
        each = decibels(self.pca_errors)
        known = {
            "psnr": Figure(float(each.mean()), each),
            "mse": Figure(float(self.pca_errors.mean()), self.pca_errors),
            "bits": Figure() if self.pca_bits is None else Figure(float(self.pca_bits.mean()), self.pca_bits),
            "latent": Figure(max(run.codec.seen for run in self.runs)),
        }
        return [*runs, ("PCA", {line.key: known.get(line.key, Figure()) for line in LINES})]

    def best(self, line: Line) -> int | None:
        """The column that is better in a row than every other by more than noise, where one is."""
        figures = [column[line.key] for _, column in self.columns]
        known = [i for i, figure in enumerate(figures) if figure.each is not None]
        if not line.better or len(known) < 2:
            return None
        best = max(known, key=lambda i: line.better * float(figures[i].value or 0))
        gaps = [paired_difference(figures[best].each, figures[i].each) for i in known if i != best]  # type: ignore[arg-type]
        return best if all(gap is not None and gap.clear for gap in gaps) else None

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Names of the columns, and rows of a title and a text for each column."""
        names, figures = zip(*self.columns, strict=True)
        shown = [line for line in LINES if any(column[line.key].value is not None for column in figures)]
        return list(names), [
            [line.title, *(_text(line, column[line.key].value) for column in figures)] for line in shown
        ]

    def to_frame(self) -> DataFrame:
        """Every figure of every run, a row for each run, and one for PCA where no run is that."""
        rows = [
            dict[str, Any](run=name) | {k: one.value for k, one in figures.items()} for name, figures in self.columns
        ]
        return frame(rows, "run")

    def lines(self) -> list[dict[str, Any]]:
        """The rows of the table with the run that is best in each."""
        best = {line.title: self.best(line) for line in LINES}
        return [{"title": row[0], "values": row[1:], "best": best[row[0]]} for row in self.table()[1]]

    def first(self, kind: Kind) -> Measured | None:
        """The first run of a kind."""
        return next((run for run in self.runs if run.kind == kind), None)

    def claims(self) -> list[Claim]:
        """What is commonly said of these runs, tested."""
        ae, vae = self.first("AE"), self.first("VAE")
        pair = [] if ae is None or vae is None else [*_classic(ae, vae)]
        return [*pair, *self._beside_pca(), *self._likelier(), *([] if pair else self._ranked())]

    def _beside_pca(self) -> list[Claim]:
        pca = self.first("PCA")
        errors = self.pca_errors if pca is None else pca.errors
        if errors is None:
            return []
        return [
            Claim(
                f"{run.name} compresses better than PCA{self._against(run)}",
                paired_difference(run.decibels, decibels(errors)),
            )
            for run in self.runs
            if run is not pca
        ]

    def _against(self, run: Measured) -> str:
        """With how many numbers a run is held against PCA with how many, where these are not the same."""
        pca = self.first("PCA")
        theirs = max(one.codec.seen for one in self.runs) if pca is None else pca.codec.seen
        return "" if run.codec.seen == theirs else f" ({run.codec.seen} numbers against {theirs})"

    def _likelier(self) -> list[Claim]:
        """Whether pictures are likelier under a model than under probabilistic PCA, that of a run if there is one."""
        run = self.first("PCA")
        pca = self.pca_bits if run is None else run.bits
        return [
            Claim(
                f"Pictures are likelier under {run.name} than under PCA{self._against(run)}",
                paired_difference(pca, run.bits),
                "bits",
            )
            for run in self.runs
            if pca is not None and run.bits is not None and run.kind != "PCA"
        ]

    def _ranked(self) -> list[Claim]:
        """The net that compresses best beside every other, and the one whose samples are best."""
        nets = [run for run in self.runs if run.kind != "PCA"]
        store = sorted(nets, key=lambda run: run.errors.mean())
        draw = sorted(nets, key=lambda run: run.drawn.distance)
        return [
            *(
                Claim(
                    f"{store[0].name} compresses better than {run.name}",
                    paired_difference(store[0].decibels, run.decibels),
                )
                for run in store[1:]
            ),
            *(
                Claim(
                    f"{draw[0].name} generates better than {run.name}",
                    paired_difference(run.drawn.distances, draw[0].drawn.distances),
                    "",
                )
                for run in draw[1:]
            ),
        ]

    def conclusion(self) -> list[str]:
        """AE or VAE, in sentences with their figures; none where there is not one of each."""
        ae, vae = self.first("AE"), self.first("VAE")
        if ae is None or vae is None:
            return []
        store, *others = (one.sentence() for one in self._advised(ae, vae))
        likely = "" if vae.bits is None else f"{vae.bits.mean():.2f} bits a value"
        only = likely and f"Only {vae.name} says how likely a picture is: {likely}."
        return [one for one in (store, self._better_than_pca(ae, vae), *others, only) if one]

    def short(self) -> str:
        """AE or VAE, in a line."""
        ae, vae = self.first("AE"), self.first("VAE")
        return "" if ae is None or vae is None else " ".join(one.short() for one in self._advised(ae, vae))

    def _advised(self, ae: Measured, vae: Measured) -> list[Advice]:
        compresses, generates, _, quicker = _classic(ae, vae)
        psnr = [f"{one.decibels.mean():.2f}" for one in (ae, vae)]
        times = [f"{np.median(one.encode_ms + one.decode_ms):.1f}" for one in (ae, vae)]
        distances = [f"{one.drawn.distance:.2f}" for one in (vae, ae)]
        return [
            Advice("To store pictures", compresses, (ae.name, vae.name), psnr, "{} dB"),
            Advice("To draw new ones", generates, (vae.name, ae.name), distances, "kernel distance {}"),
            Advice("For speed", quicker, (ae.name, vae.name), times, "{} ms a picture there and back"),
        ]

    def _better_than_pca(self, *nets: Measured) -> str:
        """Which nets store pictures better than PCA with as many numbers."""
        pca = self.first("PCA")
        errors = self.pca_errors if pca is None else pca.errors
        if errors is None:
            return ""
        pca_decibels = decibels(errors)
        gaps = [paired_difference(net.decibels, pca_decibels) for net in nets]
        better = [net.name for net, gap in zip(nets, gaps, strict=True) if gap is not None and gap.low > 0]
        who = "neither is" if not better else "both are" if len(better) == len(nets) else f"only {better[0]} is"
        return f"PCA stores them at {pca_decibels.mean():.2f} dB: {who} better."

    def as_dict(self) -> dict[str, Any]:
        return {
            "test_pictures": len(self.test),
            "notes": self.notes,
            "features": self.features,
            "pca_mse": None if self.pca_errors is None else float(self.pca_errors.mean()),
            "claims": [
                {
                    "claim": claim.text,
                    "holds": claim.holds,
                    "unit": claim.unit,
                    "difference": None if claim.difference is None else asdict(claim.difference),
                }
                for claim in self.claims()
            ],
            "conclusion": self.conclusion(),
            "runs": {
                run.name: {
                    **{key: figure.value for key, figure in run.figures.items()},
                    "edits": {column.label: asdict(column.change) for column in run.edits.columns},
                    "dimensions": run.dimensions.as_dicts(),
                }
                for run in self.runs
            },
        }


def _classic(ae: Measured, vae: Measured) -> list[Claim]:
    """What every course says: an AE compresses better, a VAE generates better, and by its own prior.

    Each generates by the prior that it is drawn from where none is named.
    """
    own, fitted = vae.samples[0], vae.samples[-1]
    return [
        Claim("An AE compresses better than a VAE", paired_difference(ae.decibels, vae.decibels)),
        Claim("A VAE generates better than an AE", paired_difference(ae.drawn.distances, vae.drawn.distances), ""),
        Claim("A VAE's own prior is better than one fitted", paired_difference(fitted.distances, own.distances), ""),
        Claim("An AE is quicker than a VAE", paired_difference(_times(vae), _times(ae)), "%"),
    ]


def _times(run: Measured) -> np.ndarray:
    """The logarithm, in hundredths, of the time (R,) that a picture takes there and back: slow moments weigh little."""
    return 100 * np.log(np.maximum(run.encode_ms + run.decode_ms, 1e-6))


def _text(line: Line, value: float | str | None) -> str:
    return "-" if value is None else line.style.format(value)
