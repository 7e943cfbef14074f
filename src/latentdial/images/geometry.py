"""One picture file -> one fitted uint8 array, the same way for training and for every picture given later."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageColor, ImageOps

from latentdial.config import Geometry
from latentdial.errors import LatentdialError

MAX_PIXELS = 89_000_000
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}


def read_picture(path: str | Path, geometry: Geometry) -> np.ndarray:
    """Read one picture file into uint8 (H, W, C); a file that is no picture is a LatentdialError."""
    if not Path(path).is_file():
        raise LatentdialError(f"there is no picture file {path}: check the path")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as picture:
                return fit_picture(picture, geometry)
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError, Warning) as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise LatentdialError(f"{path} cannot be read as a picture ({reason}): give a JPEG, PNG or WebP file") from None


def fit_picture(picture: Image.Image, geometry: Geometry) -> np.ndarray:
    """Fit a Pillow picture to the geometry: uint8 (H, W, C)."""
    if picture.width * picture.height > MAX_PIXELS:
        raise ValueError(f"{picture.width}x{picture.height} is more than {MAX_PIXELS // 1_000_000} megapixels")
    mode = "RGB" if geometry.colour == "rgb" else "L"
    if picture.format == "JPEG":
        picture.draft(mode, (2 * geometry.size, 2 * geometry.size))
    flat = _on_background(ImageOps.exif_transpose(picture), geometry).convert(mode)
    size, background = (geometry.size, geometry.size), ImageColor.getcolor(geometry.background, mode)
    if geometry.fit == "crop":
        fitted = ImageOps.fit(flat, size, Image.Resampling.LANCZOS)
    elif geometry.fit == "pad":
        fitted = ImageOps.pad(flat, size, Image.Resampling.LANCZOS, color=background)
    else:
        fitted = flat.resize(size, Image.Resampling.LANCZOS)
    return np.asarray(fitted, np.uint8).reshape(geometry.size, geometry.size, geometry.channels)


def fit_arrays(pixels: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Fit uint8 pictures (N, H, W, C) with C of 1, 3 or 4; pictures that fit already are returned as they are."""
    if pixels.shape[1:] == (geometry.size, geometry.size, geometry.channels):
        return pixels
    return np.stack([fit_picture(Image.fromarray(p.squeeze(-1) if p.shape[-1] == 1 else p), geometry) for p in pixels])


def _on_background(picture: Image.Image, geometry: Geometry) -> Image.Image:
    if picture.mode.startswith("I"):
        deep = np.asarray(picture).clip(0, 65535)
        return Image.fromarray((deep / 257).round().astype(np.uint8))
    if picture.mode == "F":
        raise ValueError("a float picture has no stated range; save it as 8 or 16 bit")
    if "A" in picture.getbands() or "transparency" in picture.info:
        front = picture.convert("RGBA")
        behind = Image.new("RGBA", front.size, geometry.background)
        return Image.alpha_composite(behind, front)
    return picture
