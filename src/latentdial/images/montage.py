"""Pictures side by side, as one array or PNG."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from latentdial.storage import writing

GAP = 2


def montage(rows: list[np.ndarray], gap: int = GAP, background: int = 255) -> np.ndarray:
    """Rows of pictures, each uint8 (N, H, W, C), as one uint8 picture (rows, columns, 3)."""
    height, width = rows[0].shape[1:3]
    columns = max(len(row) for row in rows)
    size = (len(rows) * (height + gap) - gap, columns * (width + gap) - gap, 3)
    sheet = np.full(size, background, np.uint8)
    for i, row in enumerate(rows):
        for j, picture in enumerate(row):
            top, left = i * (height + gap), j * (width + gap)
            sheet[top : top + height, left : left + width] = picture
    return sheet


def save_png(path: Path, pixels: np.ndarray, scale: int = 1, root: Path | None = None) -> None:
    """Write a picture, enlarged by a whole factor without smoothing, into a folder of `root`."""
    picture = Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels)
    with writing(path, root) as file:
        picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST).save(file, "PNG")
