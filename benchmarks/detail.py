"""Whether the detail of a photograph survives an edit: sharpness, identity, and the error against true edits.

Command:  python benchmarks/detail.py avatars RUN --out results.json
          python benchmarks/detail.py photographs RUN --faces FOLDER --out results.json --sheet sheet.png
Time:     2 core-minutes each
Expected: against true edits a quarter of the plain error; photographs at +-3 sd at 0.8 of their sharpness or more

Avatars: the same avatar drawn with one factor changed is what an edit should give, and its own reconstruction is what
the codec gives. Error is the squared one against the drawing, in units of the plain picture's (geometric mean).
Photographs: test faces of FOLDER as in quality.py, whose runs these are, moved by 3 sd along age, gender (mean
differences of codes) and c0 to c3. Sharpness is the mean absolute second difference in units of the photograph's;
identity the cosine of its features to the photograph's (EfficientNet-Lite0, extra `features`), and how often the
photograph nearest to an edited picture is its own; "read" what a judge of those features, fitted to training
photographs, sees change: log odds of being male for gender, years for age.
Four ways: off; all of the residual in place; in place where the edit changed less than 3 levels, fading out up to 16
(`preserve_detail` before it moved); and as it is now.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from PIL import Image, ImageFilter
from sklearn.linear_model import LogisticRegression, Ridge

import latentdial
import quality
from latentdial.discovery.finding import examples_direction
from latentdial.features import efficientnet_features
from latentdial.images.avatars import CHOICES, RANGES, draw_all, draw_factors
from latentdial.latent.codec import Codec
from latentdial.latent.detail import preserve
from latentdial.latent.naming import direction_of
from latentdial.measure.generation import nearest
from latentdial.report.figures import Cell, Row, Sheet

WAYS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
    "off": lambda sources, before, after: after,
    "all, in place": lambda sources, before, after: np.clip(after + sources - before, 0, 255),
    "where little changed": lambda sources, before, after: np.stack(
        [fading(*one) for one in zip(sources.astype(float), before, after, strict=True)]
    ),
    "moved along": preserve,
}
JUDGED = 1500  # training photographs that directions and judges are fitted to
EDITS = ("age", "gender", "c0", "c1", "c2", "c3")


def fading(source: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The residual in place, by a softened mask of where the edit changed little."""
    share = np.clip((16 - np.abs(after - before).max(-1)) / 13, 0, 1)
    mask = Image.fromarray((255 * share).round().astype(np.uint8)).filter(ImageFilter.GaussianBlur(len(share) / 48))
    return np.clip(after + np.asarray(mask, float)[..., None] / 255 * (source - before), 0, 255)


def sharpness(pictures: np.ndarray) -> np.ndarray:
    """Mean absolute second difference of each picture (N, H, W, C)."""
    levels = np.asarray(pictures, float)
    return sum(np.abs(np.diff(levels, 2, axis)).mean((1, 2, 3)) for axis in (1, 2))


def true_edits(count: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Avatars, the same with one factor changed, and which: no training avatar has their seed."""
    factors = draw_factors(count, seed=77)
    changed, rng = {name: values.copy() for name, values in factors.items()}, np.random.default_rng(77)
    names = np.array([list(factors)[i % len(factors)] for i in range(count)])
    for i, name in enumerate(names):
        if name in CHOICES:
            changed[name][i] = (factors[name][i] + rng.integers(1, len(CHOICES[name]))) % len(CHOICES[name])
        else:
            low, high = RANGES[name]
            changed[name][i] = high if factors[name][i] < (low + high) / 2 else low
    return draw_all(factors, size), draw_all(changed, size), names


def avatars(codec: Codec, count: int) -> list[list]:
    sources, truth, names = true_edits(count, codec.geometry.size)
    before, after = codec.levels(codec.encode(sources)), codec.levels(codec.encode(truth))
    plain = np.square(after - truth).mean((1, 2, 3))
    rows = []
    for way, carry in WAYS.items():
        start = time.process_time()
        made = carry(sources, before, after)
        milliseconds = (time.process_time() - start) * 1000 / count
        ratio = np.log(np.square(made - truth).mean((1, 2, 3)) / plain)
        places = np.isin(names, list(RANGES))
        errors = [float(np.exp(some.mean())) for some in (ratio, ratio[~places], ratio[places])]
        sharp = float((sharpness(made) / sharpness(truth)).mean())
        rows.append(
            ["avatars", codec.config.model.recipe, "one factor", way, *errors, sharp, *[None] * 3, milliseconds]
        )
    return rows


def photographs(codec: Codec, faces: str, count: int, sheet: str | None) -> list[list]:
    data = quality.photographs(faces)
    few = data.train[:JUDGED]
    ages, men, codes = data.known["age"][:JUDGED], data.known["gender"][:JUDGED] == "0", codec.encode(few)
    old, young = codes[ages > 50], codes[(ages > 15) & (ages < 30)]
    found = examples_direction(codec, "age", old, young), examples_direction(codec, "gender", codes[men], codes[~men])
    codec = replace(codec, directions=found)
    features = efficientnet_features().features
    read = judges(features, few, ages, men)
    sources = data.test[:count]
    own, start, before = features(sources), codec.encode(sources), codec.levels(codec.encode(sources))
    rows, shown = [], []
    for name in EDITS:
        direction = direction_of(codec, name, codec.latent)
        afters = [codec.levels(start + sds * direction.sd * direction.vector) for sds in (-3, 3)]
        for way, carry in WAYS.items():
            begun = time.process_time()
            made = [carry(sources, before, after) for after in afters]
            milliseconds = (time.process_time() - begun) * 500 / count
            seen = [features(one.round().astype(np.uint8)) for one in made]
            rows.append(["photographs", codec.config.model.recipe, f"{name} +-3 sd", way, *[None] * 3])
            rows[-1] += [float(np.mean([sharpness(one) / sharpness(sources) for one in made]))]
            rows[-1] += [float(np.mean([cosine(one, own) for one in seen]))]
            rows[-1] += [float(np.mean([nearest(one, own)[0] == np.arange(count) for one in seen]))]
            rows[-1] += [float((read[name](seen[1]) - read[name](seen[0])).mean()) if name in read else None]
            rows[-1] += [milliseconds]
            shown.append((name, way, made))
    if sheet:
        drawn(sources, before, shown).save(sheet)
    return rows


def judges(features: Callable, pixels: np.ndarray, ages: np.ndarray, men: np.ndarray) -> dict[str, Callable]:
    seen = features(pixels)
    scale = seen.std(0) + 1e-3
    age, man = Ridge(100.0).fit(seen / scale, ages), LogisticRegression(C=0.01, max_iter=300).fit(seen / scale, men)
    return {"age": lambda x: age.predict(x / scale), "gender": lambda x: man.decision_function(x / scale)}


def cosine(some: np.ndarray, others: np.ndarray) -> np.ndarray:
    unit, other = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (some, others))
    return (unit * other).sum(1)


def drawn(sources: np.ndarray, before: np.ndarray, shown: list, people: int = 3) -> Image.Image:
    """A row for each person and edit: photograph, reconstruction, and both ends of the edit, off and on."""
    rows = []
    made = {(name, way): both for name, way, both in shown}
    for n in range(people):
        for name in EDITS:
            ends = [made[name, way][end][n] for end in (0, 1) for way in ("off", "moved along")]
            cells = [Cell(x.round().astype(np.uint8)) for x in (sources[n], before[n], *ends)]
            rows.append(Row(cells, [name]))
    headings = ["photograph", "reconstruction", "-3 sd", "with detail", "+3 sd", "with detail"]
    return Sheet(rows, headings=headings).draw(112)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", choices=("avatars", "photographs"))
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--faces")
    parser.add_argument("--count", type=int, default=None)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sheet")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = json.loads(options.out.read_text())["rows"] if options.out.exists() else []
    for run in options.runs:
        codec = latentdial.load(run)
        if options.set == "avatars":
            rows += avatars(codec, options.count or 260)
        else:
            rows += photographs(codec, options.faces, options.count or 48, options.sheet)
    options.out.parent.mkdir(exist_ok=True)
    options.out.write_text(json.dumps(record(rows), indent=1) + "\n")


def record(rows: list[list]) -> dict:
    return {
        "question": "Does the detail of a photograph survive an edit, and where the edit put it?",
        "command": "python benchmarks/detail.py avatars RUN; the same with photographs RUN --faces FOLDER",
        "date": time.strftime("%Y-%m-%d"),
        "machine": "2 virtual cores, Intel Xeon with AMX, shared",
        "versions": {"torch": torch.__version__, "numpy": np.__version__},
        "columns": [
            *("set", "codec", "edit", "detail", "error against the true edit (off = 1)", "of these in place"),
            *(
                "of these moved",
                "sharpness (truth = 1)",
                "identity, cosine",
                "nearest is its own",
                "read",
                "ms a picture",
            ),
        ],
        "rows": [[round(x, 3) if isinstance(x, float) else x for x in row] for row in rows],
        "notes": [
            "Avatars: 260 true edits of one factor, of pictures that no codec was trained on.",
            "Photographs: 48 held-out UTKFace crops; both ends of each edit. Sharpness in units of the photograph's.",
            "Read: change of the judge's log odds (gender) or years (age) from -3 to +3 sd.",
        ],
    }


if __name__ == "__main__":
    main()
