"""Picture files for the tests, good and hostile."""

from __future__ import annotations

import io
import os
import struct
import zlib
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image


def photo(seed: int = 0, width: int = 60, height: int = 50) -> Image.Image:
    """A smooth colour picture with some texture, so that JPEGs have bytes to damage."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 255, (6, 6, 3), np.uint8)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    texture = rng.integers(-12, 13, (height, width, 3))
    return Image.fromarray((np.asarray(coarse, np.int64) + texture).clip(0, 255).astype(np.uint8))


def encoded(picture: Image.Image, kind: str = "JPEG", **options) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def flipped(data: bytes, place: int, bit: int = 4) -> bytes:
    damaged = bytearray(data)
    damaged[place] ^= bit
    return bytes(damaged)


def png(width: int, height: int, data: bytes = b"", chunks: list[tuple[bytes, bytes]] | None = None) -> bytes:
    """A PNG with any header, however untrue."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), *(chunks or []), (b"IDAT", zlib.compress(data)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    )


def write_folder(root: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def good_folder(root: Path, count: int = 12) -> Path:
    """Good JPEGs in two sub-folders."""
    return write_folder(root, {f"{'ab'[i % 2]}/{i:03d}.jpg": encoded(photo(i)) for i in range(count)})


@cache
def hostile_files() -> dict[str, tuple[bytes, str]]:
    """Rows 1-23 of the bad inputs that are skipped: file name -> bytes, and a part of the reason."""
    jpeg, whole = encoded(photo(1)), encoded(photo(2), "PNG")
    bomb = zlib.compress(b"\0" * 80_000_000)
    return {
        "01-zero.jpg": (b"", "empty"),
        "02-text.jpg": (b"<!doctype html><p>404 not found</p>" * 20, "no picture"),
        "03-truncated.jpg": (jpeg[: len(jpeg) // 2], "truncated"),
        "04-last-bytes.jpg": (jpeg[:-2], "truncated"),
        "05-header.jpg": (jpeg[:40], ""),
        "06-truncated.png": (whole[: len(whole) // 2], ""),
        "06-no-end.png": (whole[:-12], ""),
        "07-bit-flip.png": (flipped(whole, len(whole) // 2), ""),
        "09-60000.png": (png(60_000, 60_000), "megapixels"),
        "10-121-megapixels.png": (png(11_000, 11_000, b"\0" * 1000), "megapixels"),
        "11-two-to-31.png": (png(2**31 - 1, 2**31 - 1), "megapixels"),
        "12-zero-width.png": (png(0, 10), ""),
        "13-text-bomb.png": (png(20, 20, b"\0" * 1220, [(b"zTXt", b"a\0\0" + bomb)]), ""),
        "17-float.tif": (
            encoded(Image.fromarray(np.random.default_rng(0).random((20, 20), np.float32)), "TIFF"),
            "--levels",
        ),
        "23-drawing.svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not supported"),
    }


def odd_but_good_files() -> dict[str, bytes]:
    """Rows of the bad inputs that are accepted."""
    grey16 = (np.arange(400).reshape(20, 20) * 160).astype(np.uint16)
    frames = [photo(i) for i in range(3)]
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned 90 degrees clockwise
    return {
        "08-bit-flip.jpg": flipped(encoded(photo(3)), 900),
        "14-cmyk.jpg": encoded(photo(4).convert("CMYK")),
        "15-alpha.png": encoded(Image.new("RGBA", (20, 20), (255, 0, 0, 0)), "PNG"),
        "15-la.png": encoded(Image.new("LA", (20, 20), (0, 0)), "PNG"),
        "15-palette.gif": encoded(Image.new("P", (20, 20), 0), "GIF", transparency=0),
        "16-grey.png": encoded(Image.fromarray(grey16), "PNG"),
        "18-rgb16.png": rgb16(),
        "19-one-bit.png": encoded(photo(5).convert("1"), "PNG"),
        "19-grey.jpg": encoded(photo(6).convert("L")),
        "20-animated.gif": encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        "20-animated.webp": encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:]),
        "21-turned.jpg": encoded(half_dark(), exif=exif),
        "22-png-inside.jpg": encoded(photo(7), "PNG"),
        "24-one.png": encoded(Image.new("RGB", (1, 1), (9, 200, 30)), "PNG"),
        "25-narrow.png": encoded(Image.new("RGB", (1, 5000), (9, 20, 30)), "PNG"),
        "26-ünïcödé-顔.jpg": encoded(photo(8)),
    }


def half_dark() -> Image.Image:
    """Left half dark, right half bright: after a quarter turn clockwise the top is dark."""
    pixels = np.zeros((40, 40, 3), np.uint8)
    pixels[:, 20:] = 255
    return Image.fromarray(pixels)


def rgb16() -> bytes:
    rows = np.random.default_rng(1).integers(0, 2**16, (8, 8, 3)).astype(">u2")
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    parts = [(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0)), (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    )


NOT_UTF8 = os.fsdecode(b"26-\xff\xfe.jpg")
