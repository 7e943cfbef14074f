"""latentdial: train an image autoencoder, then see, measure and steer what every latent dimension does."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from latentdial.errors import LatentdialError
from latentdial.version import VERSION as __version__

if TYPE_CHECKING:
    from latentdial.anomaly.detecting import anomalies
    from latentdial.codes.decoding import decode_codes
    from latentdial.codes.reading import read_codes
    from latentdial.explorer import explore
    from latentdial.exporting import export
    from latentdial.latent.codec import Codec, wrap
    from latentdial.latent.editing import edit
    from latentdial.latent.effect import dimensions
    from latentdial.latent.traversing import traverse
    from latentdial.report.compare import compare
    from latentdial.report.evaluate import evaluate
    from latentdial.report.grids import interpolation_grid
    from latentdial.report.many import edit_many
    from latentdial.report.neighbours import nearest
    from latentdial.runs.importing import import_weights
    from latentdial.runs.loading import load
    from latentdial.sharing import push
    from latentdial.training import train


_HOMES = {
    "Codec": "latentdial.latent.codec",
    "anomalies": "latentdial.anomaly.detecting",
    "compare": "latentdial.report.compare",
    "decode_codes": "latentdial.codes.decoding",
    "dimensions": "latentdial.latent.effect",
    "edit": "latentdial.latent.editing",
    "edit_many": "latentdial.report.many",
    "evaluate": "latentdial.report.evaluate",
    "explore": "latentdial.explorer",
    "export": "latentdial.exporting",
    "import_weights": "latentdial.runs.importing",
    "interpolation_grid": "latentdial.report.grids",
    "load": "latentdial.runs.loading",
    "nearest": "latentdial.report.neighbours",
    "push": "latentdial.sharing",
    "read_codes": "latentdial.codes.reading",
    "train": "latentdial.training",
    "traverse": "latentdial.latent.traversing",
    "wrap": "latentdial.latent.codec",
}

__all__ = [
    "Codec",
    "LatentdialError",
    "__version__",
    "anomalies",
    "compare",
    "decode_codes",
    "dimensions",
    "edit",
    "edit_many",
    "evaluate",
    "explore",
    "export",
    "import_weights",
    "interpolation_grid",
    "load",
    "nearest",
    "push",
    "read_codes",
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
    return sorted([*globals(), *_HOMES])
