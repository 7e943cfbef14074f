"""latentdial: train an image autoencoder, then see, measure and steer what every latent dimension does."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from latentdial.errors import LatentdialError

if TYPE_CHECKING:
    from latentdial.codes import read_codes
    from latentdial.explorer import explore
    from latentdial.latent.codec import Codec, wrap
    from latentdial.latent.editing import edit
    from latentdial.latent.effect import dimensions
    from latentdial.report.compare import compare
    from latentdial.run import load
    from latentdial.training import train
    from latentdial.weights import import_weights

__version__ = "0.1.0"

_HOMES = {
    "Codec": "latentdial.latent.codec",
    "compare": "latentdial.report.compare",
    "dimensions": "latentdial.latent.effect",
    "edit": "latentdial.latent.editing",
    "explore": "latentdial.explorer",
    "import_weights": "latentdial.weights",
    "load": "latentdial.run",
    "read_codes": "latentdial.codes",
    "train": "latentdial.training",
    "wrap": "latentdial.latent.codec",
}

__all__ = [
    "Codec",
    "LatentdialError",
    "compare",
    "dimensions",
    "edit",
    "explore",
    "import_weights",
    "load",
    "read_codes",
    "train",
    "wrap",
]


def __getattr__(name: str) -> Any:
    """Import public names on first use, so that `import latentdial` does not wait for torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'latentdial' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
