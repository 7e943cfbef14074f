"""latentdial: train an image autoencoder, then see, measure and steer what every latent dimension does."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from latentdial.errors import LatentdialError
from latentdial.shown import Shown
from latentdial.version import VERSION as __version__

if TYPE_CHECKING:
    from latentdial.anomaly.detecting import anomalies
    from latentdial.codes.decoding import decode_codes
    from latentdial.codes.reading import read_codes
    from latentdial.codes.writing import encode
    from latentdial.discovery.study import directions, disentanglement
    from latentdial.explorer import explore
    from latentdial.exporting import export
    from latentdial.latent.codec import Codec, wrap
    from latentdial.latent.editing import edit
    from latentdial.latent.effect import dimensions
    from latentdial.latent.likelihood import likelihood
    from latentdial.latent.paths import analogy, average, interpolate
    from latentdial.latent.relabelling import relabel
    from latentdial.latent.sampling import fit_prior, sample
    from latentdial.latent.traversing import traverse
    from latentdial.report.compare import compare
    from latentdial.report.evaluate import evaluate
    from latentdial.report.grids import interpolation_grid
    from latentdial.report.look import look
    from latentdial.report.many import edit_many
    from latentdial.report.neighbours import nearest
    from latentdial.runs.importing import import_weights
    from latentdial.runs.listing import list_runs
    from latentdial.runs.loading import load
    from latentdial.runs.reordering import reorder
    from latentdial.sharing import push
    from latentdial.training import train


_HOMES = {
    "Codec": "latentdial.latent.codec",
    "analogy": "latentdial.latent.paths",
    "anomalies": "latentdial.anomaly.detecting",
    "average": "latentdial.latent.paths",
    "compare": "latentdial.report.compare",
    "decode_codes": "latentdial.codes.decoding",
    "dimensions": "latentdial.latent.effect",
    "directions": "latentdial.discovery.study",
    "disentanglement": "latentdial.discovery.study",
    "edit": "latentdial.latent.editing",
    "edit_many": "latentdial.report.many",
    "encode": "latentdial.codes.writing",
    "evaluate": "latentdial.report.evaluate",
    "explore": "latentdial.explorer",
    "export": "latentdial.exporting",
    "fit_prior": "latentdial.latent.sampling",
    "import_weights": "latentdial.runs.importing",
    "interpolate": "latentdial.latent.paths",
    "interpolation_grid": "latentdial.report.grids",
    "likelihood": "latentdial.latent.likelihood",
    "list_runs": "latentdial.runs.listing",
    "load": "latentdial.runs.loading",
    "look": "latentdial.report.look",
    "nearest": "latentdial.report.neighbours",
    "push": "latentdial.sharing",
    "read_codes": "latentdial.codes.reading",
    "relabel": "latentdial.latent.relabelling",
    "reorder": "latentdial.runs.reordering",
    "sample": "latentdial.latent.sampling",
    "train": "latentdial.training",
    "traverse": "latentdial.latent.traversing",
    "wrap": "latentdial.latent.codec",
}

__all__ = [
    "Codec",
    "LatentdialError",
    "__version__",
    "analogy",
    "anomalies",
    "average",
    "compare",
    "decode_codes",
    "dimensions",
    "directions",
    "disentanglement",
    "edit",
    "edit_many",
    "encode",
    "evaluate",
    "explore",
    "export",
    "fit_prior",
    "import_weights",
    "interpolate",
    "interpolation_grid",
    "likelihood",
    "list_runs",
    "load",
    "look",
    "nearest",
    "push",
    "read_codes",
    "relabel",
    "reorder",
    "sample",
    "train",
    "traverse",
    "wrap",
]


def __getattr__(name: str) -> Any:
    """Import public names on first use, so that `import latentdial` does not wait for torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'latentdial' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """The public names, and nothing else."""
    return sorted(__all__)


def _html_of(value: object) -> str:
    from latentdial.displays import html_of

    return html_of(value)


def _text_of(value: object) -> str:
    from latentdial.displays import text_of

    return text_of(value)


Shown.html_of, Shown.text_of = staticmethod(_html_of), staticmethod(_text_of)
