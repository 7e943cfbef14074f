"""Whether a picture's file goes on to its end, for formats that Pillow decodes without it."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import BinaryIO

from PIL import Image

PNG_END = struct.pack(">I", 0xAE426082)  # checksum of IEND, at which Pillow's look at checksums stops
EXTENSION, IMAGE, TRAILER = b"!", b",", b";"  # of GIF


def _png(_picture: Image.Image, file: BinaryIO) -> bool:
    return file.read(4) == PNG_END


def _gif(_picture: Image.Image, file: BinaryIO) -> bool:
    """Whether the blocks lead to the trailer (GIF89a specification, sections 18 to 27)."""
    file.seek(10)
    flags = file.read(3)[0]
    _skip_colours(file, flags)
    while (kind := file.read(1)) in (EXTENSION, IMAGE) and kind:
        if kind == IMAGE:
            _skip_colours(file, file.read(9)[8])
        file.read(1)  # an extension's label, or the least size of an image's words
        while size := file.read(1):
            if size == b"\0":
                break
            file.seek(size[0], 1)
    return kind == TRAILER


def _skip_colours(file: BinaryIO, flags: int) -> None:
    if flags & 0x80:
        file.seek(3 << (flags & 7) + 1, 1)


def _bmp(picture: Image.Image, file: BinaryIO) -> bool:
    """Whether the last row is there with its padding, where rows are stored as they are."""
    end = file.seek(0, 2)
    rows = [tile for tile in picture.tile if tile[0] == "raw"]  # type: ignore[attr-defined]
    return all(start + (box[3] - box[1]) * options[1] <= end for _, box, start, options in rows)


ENDINGS: dict[str | None, Callable[[Image.Image, BinaryIO], bool]] = {"PNG": _png, "GIF": _gif, "BMP": _bmp}
