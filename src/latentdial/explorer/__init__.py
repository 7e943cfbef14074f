"""The explorer: one page in which anybody can turn the dimensions. Built from web/ in the repository."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from latentdial.explorer.content import Content, gather
from latentdial.explorer.dials import Dial, find_dials
from latentdial.explorer.nets import MAX_INT8_ERROR, Nets, Weights, export_nets
from latentdial.explorer.notebook import make_widget
from latentdial.explorer.page import page, write_page
from latentdial.explorer.server import address, make_server
from latentdial.explorer.sources import gallery_of
from latentdial.exporting.graphs import NotExportable
from latentdial.latent.codec import Codec
from latentdial.outputs import PAGE, check_file
from latentdial.progress import Progress, quiet

__all__ = [
    "MAX_INT8_ERROR",
    "Content",
    "Dial",
    "Nets",
    "NotExportable",
    "address",
    "explore",
    "export_nets",
    "find_dials",
    "gather",
    "make_content",
    "make_server",
    "page",
    "write_page",
]


def explore(
    codec: Codec, images: np.ndarray | None = None, out: str | Path | None = None, weights: Weights = "auto"
) -> Any:
    """Explore a codec in a notebook: returns a widget; with `out`, writes one HTML file instead and returns None.

    `images`, uint8 (N, H, W, C), fill the gallery; a run shows pictures held out from its training. A codec without
    training codes, and with `out` a net that has no ONNX form, are a LatentdialError.

    >>> latentdial.explore(latentdial.load("runs/ae"))  # doctest: +SKIP
    """
    if out is not None:
        check_file(out, PAGE)
    content = make_content(codec, images, weights=weights, need_nets=out is not None)
    return make_widget(codec, content) if out is None else write_page(content, out)


def make_content(
    codec: Codec,
    images: np.ndarray | None = None,
    source: str | None = None,
    weights: Weights = "auto",
    need_nets: bool = True,
    progress: Progress = quiet,
) -> Content:
    """What the page of a codec shows; the gallery is of `images`, else of `source`, else held out from the run."""
    given: Any = None if images is None else (codec.pictures(images), [], "Pictures")
    pictures, labels, title = given or gallery_of(codec, source, progress)
    return gather(codec, pictures, labels, weights, need_nets, progress, title)
