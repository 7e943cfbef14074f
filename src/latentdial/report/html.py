"""Templates of this room to files: one HTML file with all pictures in it, or Markdown with pictures beside."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from latentdial import outputs
from latentdial.images.montage import moving_picture, to_picture
from latentdial.texts import counted

QUALITY, FRAME_MS = 82, 90  # of moving pictures
KINDS = {3: ("png", "image/png"), 4: ("webp", "image/webp")}


def render(template: str, content: dict[str, Any], out: Path) -> None:
    """Fill a template and write it to one file; pictures are kept in it."""
    outputs.write(out, filled(template, content))


def render_beside(template: str, content: dict[str, Any], out: Path) -> None:
    """Fill a template and write it to one file; pictures go to a folder beside it, named after it."""
    folder = out.with_name(f"{out.stem}-pictures")
    count = iter(range(1, 10**6))

    def saved(pixels: np.ndarray) -> str:
        name = f"{next(count):03d}.{KINDS[pixels.ndim][0]}"
        outputs.write(folder / name, encoded(pixels))
        return f"{folder.name}/{name}"

    outputs.write(out, filled(template, content, saved))


def data_uri(pixels: np.ndarray) -> str:
    """A picture, uint8 (H, W, C), or a moving one (T, H, W, C), as a data: address."""
    return f"data:{KINDS[pixels.ndim][1]};base64,{base64.b64encode(encoded(pixels)).decode()}"


def encoded(pixels: np.ndarray) -> bytes:
    """A picture, uint8 (H, W, C), as PNG; a moving one (T, H, W, C), there and back, as WebP."""
    if pixels.ndim == 3:
        return png(to_picture(pixels))
    file = io.BytesIO()
    first, *rest = moving_picture(pixels, pixels.shape[1])
    how = {"save_all": True, "append_images": rest, "duration": FRAME_MS, "loop": 0, "quality": QUALITY}
    first.convert("RGB").save(file, "WEBP", **how)
    return file.getvalue()


def png(picture: Image.Image) -> bytes:
    """A Pillow picture as PNG."""
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()


def breakable(name: str) -> str:
    """A name that may go on in the next line after a dot or an underscore."""
    return name.replace(".", ".\u200b").replace("_", "_\u200b")


def filled(template: str, content: dict[str, Any], uri: Callable[[np.ndarray], str] = data_uri) -> str:
    """A filled template; `uri` gives the address of a picture."""
    environment = Environment(
        loader=PackageLoader("latentdial.report"),
        autoescape=not template.endswith(".md.j2"),  # noqa: S701 - Markdown is no HTML
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["uri"] = uri
    environment.filters["breakable"] = breakable
    environment.filters["counted"] = counted
    return environment.get_template(template).render(**content)
