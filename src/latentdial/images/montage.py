"""Pictures side by side, as one array or PNG, or one after the other."""

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
    picture = to_picture(pixels)
    with writing(path, root) as file:
        picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST).save(file, "PNG")


def moving_picture(pictures: np.ndarray, side: int = 192) -> list[Image.Image]:
    """Frames of pictures (N, H, W, C), there and back, of about `side` pixels."""
    scale = max(1, round(side / pictures.shape[1]))
    there = [to_picture(p).resize((p.shape[1] * scale, p.shape[0] * scale), Image.Resampling.NEAREST) for p in pictures]
    return there + there[-2:0:-1]


def to_picture(pixels: np.ndarray) -> Image.Image:
    """uint8 (H, W, C) with C of 1 or 3 as a Pillow picture."""
    return Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels)
