"""Codes as TensorBoard's projector reads them: vectors, what is known of them, and a sheet of small pictures."""

from __future__ import annotations

from math import ceil, sqrt

import numpy as np
from PIL import Image

from latentdial.images import ImageSet
from latentdial.images.montage import montage
from latentdial.texts import printable

MAX_POINTS = 10_000
MAX_SPRITE = 8192  # pixels a side: what browsers show
CONFIG = """embeddings {{
  tensor_name: "codes"
  tensor_path: "vectors.tsv"
  metadata_path: "metadata.tsv"
  sprite {{
    image_path: "sprite.png"
    single_image_dim: {side}
    single_image_dim: {side}
  }}
}}
"""


def vectors_tsv(codes: np.ndarray) -> str:
    """Codes (N, D), a line each."""
    return "".join("\t".join(f"{value:.6g}" for value in row) + "\n" for row in codes)


def metadata_tsv(images: ImageSet) -> str:
    """The names of pictures, their labels and all attributes that are known of them, a line each under a heading."""
    columns: dict[str, list[str]] = {"name": images.names}
    if images.labels is not None:
        columns["label"] = [images.label_names[i] for i in images.labels]
    for name, values in images.factors.items():
        words = images.columns.categories.get(name)
        columns[name] = [words[int(value)] if words else f"{value:g}" for value in values]
    lines = [list(columns), *zip(*columns.values(), strict=True)]
    return "".join("\t".join(_cell(one) for one in line) + "\n" for line in lines)


def sprite(pictures: np.ndarray) -> tuple[np.ndarray, int]:
    """Pictures (N, H, W, C) row by row on a square sheet, small enough for a browser, and the side of each."""
    columns = ceil(sqrt(len(pictures)))
    side = min(pictures.shape[1], MAX_SPRITE // columns)
    small = np.stack([_resized(picture, side) for picture in pictures])
    return montage([small[i : i + columns] for i in range(0, len(small), columns)], gap=0), side


def _resized(picture: np.ndarray, side: int) -> np.ndarray:
    rgb = np.broadcast_to(picture, (*picture.shape[:2], 3))
    return np.asarray(Image.fromarray(np.ascontiguousarray(rgb)).resize((side, side), Image.Resampling.BOX))


def _cell(text: str) -> str:
    return printable(text, lines=False).replace("\t", " ")
