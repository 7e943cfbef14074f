"""One picture file -> one fitted uint8 array, the same way for training and for every picture given later."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageColor, ImageOps, UnidentifiedImageError

from latentdial.config import Geometry
from latentdial.images.endings import ENDINGS

MAX_PIXELS = 89_000_000
TOO_LARGE = f"it has more than {MAX_PIXELS // 1_000_000} megapixels"
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM")  # no format that starts another program
SUFFIXES = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"}
GREY_MODES = {"1", "L", "LA", "I", "F"}
NARROW = 20  # times longer than wide
WHITE = 65535  # in pictures of 16 bits


class Unreadable(Exception):
    """A file that is no picture; the message is the reason. `passing` reasons may be gone at the next try."""

    def __init__(self, reason: str, passing: bool = False) -> None:
        super().__init__(" ".join(reason.split())[:160])
        self.passing = passing


@dataclass(frozen=True)
class Original:
    """A picture as it was in its file."""

    width: int
    height: int
    mode: str
    format: str
    note: str = ""

    @property
    def pixels(self) -> int:
        return self.width * self.height


def is_grey(mode: str) -> bool:
    """Whether pictures of this Pillow mode hold no colour."""
    return mode.split(";")[0] in GREY_MODES


def decode(file: BinaryIO, geometry: Geometry) -> tuple[np.ndarray, Original]:
    """Decode a file into uint8 (H, W, C) and say what it was; whatever a decoder raises becomes `Unreadable`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picture: Image.Image = Image.open(file, formats=FORMATS)
            original = _original(picture)
            if original.pixels <= MAX_PIXELS:
                picture = _whole(picture, file)
            return fit_picture(picture, geometry), original
    except Unreadable:
        raise
    except UnidentifiedImageError:
        raise Unreadable("it holds no picture of a known format" if _size(file) else "it is empty") from None
    except Image.DecompressionBombError:
        raise Unreadable(TOO_LARGE) from None
    except MemoryError:
        raise Unreadable("it needs too much memory to decode") from None
    except Exception as error:  # decoders raise nearly everything on damaged files
        alike = re.sub(r" \(\d+ bytes not processed\)", "", str(error))  # so that files can be counted by their reason
        raise Unreadable(alike or type(error).__name__) from None


def _whole(picture: Image.Image, file: BinaryIO) -> Image.Image:
    """The picture to decode; one that Pillow decodes although its file is cut short or damaged is `Unreadable`."""
    if picture.format == "PNG":
        picture.verify()  # without it Pillow passes wrong checksums
    if picture.format in ENDINGS:
        if not ENDINGS[picture.format](picture, file):
            raise Unreadable("image file is truncated: its end is missing")
        file.seek(0)
        return Image.open(file, formats=FORMATS)
    return picture


def fit_picture(picture: Image.Image, geometry: Geometry) -> np.ndarray:
    """Fit a Pillow picture to the geometry: uint8 (H, W, C)."""
    if picture.width * picture.height > MAX_PIXELS:
        raise Unreadable(TOO_LARGE)
    mode = "RGB" if geometry.channels == 3 else "L"
    if picture.format in {"JPEG", "MPO"}:
        picture.draft(mode, (geometry.size, geometry.size))  # decodes at 1/2, 1/4 or 1/8: 49 dB from the full decode
    flat = _on_background(ImageOps.exif_transpose(_in_levels(picture, geometry)), geometry).convert(mode)
    size, background = (geometry.size, geometry.size), ImageColor.getcolor(geometry.background, mode)
    if flat.size == size:
        fitted = flat
    elif geometry.fit == "crop":
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


def _original(picture: Image.Image) -> Original:
    """What can be told of an opened picture before its pixels are read."""
    notes = []
    if picture.format in {"GIF", "WEBP", "PNG"} and getattr(picture, "is_animated", False):
        notes.append("animated: the first frame is used")
    if picture.mode == "RGB" and any("16" in str(tile[3]) for tile in getattr(picture, "tile", [])):
        notes.append("16 bits a channel: the upper 8 are used")
    if max(picture.size) > NARROW * min(picture.size):
        notes.append(f"very narrow ({picture.width}x{picture.height}): little of it is left")
    return Original(*picture.size, picture.mode, picture.format or "", "; ".join(notes))


def _in_levels(picture: Image.Image, geometry: Geometry) -> Image.Image:
    """Pictures of more than 8 bits a pixel as 8-bit grey, not clipped."""
    if picture.mode != "F" and not picture.mode.startswith("I"):
        return picture
    values = np.asarray(picture)
    if picture.mode == "F" and geometry.levels is None:
        raise Unreadable("a float picture has no stated range: give --levels, such as [0,1]")
    if not np.isfinite(values).all():
        raise Unreadable("it holds values that are not finite")
    if geometry.levels is None and values.max() > WHITE:
        raise Unreadable(f"it holds whole numbers above {WHITE}: give --levels, such as [0,1000000]")
    black, white = geometry.levels or (0, WHITE)
    grey = Image.fromarray(((values - black) / (white - black) * 255).clip(0, 255).round().astype(np.uint8))
    grey.info = dict(picture.info)
    return grey


def _on_background(picture: Image.Image, geometry: Geometry) -> Image.Image:
    if "A" in picture.getbands() or "a" in picture.getbands() or "transparency" in picture.info:
        front = picture.convert("RGBA")
        behind = Image.new("RGBA", front.size, geometry.background)
        return Image.alpha_composite(behind, front)
    return picture


def _size(file: BinaryIO) -> int:
    return file.seek(0, 2)


def settle_colour(geometry: Geometry, files: Callable[[], Iterable[str | bytes]]) -> Geometry:
    """Turn the colour "keep" into "grey" where every readable file is grey, else into "rgb"."""
    if geometry.colour != "keep":
        return geometry
    modes = (_mode_of(io.BytesIO(file) if isinstance(file, bytes) else file) for file in files())
    coloured = any(mode is not None and not is_grey(mode) for mode in modes)
    return replace(geometry, colour="rgb" if coloured else "grey")


def _mode_of(file: str | BinaryIO) -> str | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(file, formats=FORMATS) as picture:
                return picture.mode
    except Exception:  # what cannot be opened has no say
        return None
