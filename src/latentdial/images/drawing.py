"""A process that draws avatars: people as JSON on standard input, uint8 RGB pixels on standard output."""

from __future__ import annotations

import io
import json
import sys
from functools import cache
from importlib.resources import files

import numpy as np
from dicebear import Avatar, Style
from PIL import Image
from resvg_py import svg_to_bytes

from latentdial.images.avatars import DRAWN

SCALE, DOWN = 1.3, 7.0


def main() -> None:
    """Draw everybody on standard input."""
    size = int(sys.argv[1])
    for person in json.load(sys.stdin):
        sys.stdout.buffer.write(_draw(person, size).tobytes())
        sys.stdout.buffer.flush()


def _draw(person: dict[str, float], size: int) -> np.ndarray:
    svg = Avatar(_style(), {"seed": "0", "size": size, **_options(person)}).to_string()
    png = bytes(svg_to_bytes(svg_string=svg, width=size, height=size, skip_system_fonts=True))
    with Image.open(io.BytesIO(png)) as picture:
        return np.asarray(picture.convert("RGB"))


def _options(person: dict[str, float]) -> dict[str, object]:
    chosen = {name: list(words.values())[int(person[name])] for name, words in DRAWN.items()}
    glasses, beard = chosen["glasses"], chosen["beard"]
    return {
        "skinColor": [chosen["skin"]],
        "topVariant": chosen["hair"],
        "hairColor": [chosen["hair_colour"]],
        "facialHairColor": [chosen["hair_colour"]],
        "mouthVariant": chosen["mouth"],
        "eyesVariant": chosen["eyes"],
        "eyebrowsVariant": chosen["eyebrows"],
        "accessoriesProbability": 0 if glasses == "none" else 100,
        "accessoriesVariant": "round" if glasses == "none" else glasses,
        "accessoriesColor": ["#262e33"],
        "facialHairProbability": 0 if beard == "none" else 100,
        "facialHairVariant": "beardMedium" if beard == "none" else beard,
        "clothesVariant": "shirtCrewNeck",
        "clothesColor": [chosen["clothes"]],
        "backgroundColor": [chosen["background"]],
        "translateX": person["x"],
        "translateY": DOWN + person["y"],
        "scale": SCALE * person["scale"],
    }


@cache
def _style() -> Style:
    return Style(json.loads(files("dicebear_styles").joinpath("avataaars.json").read_text()))


if __name__ == "__main__":
    main()
