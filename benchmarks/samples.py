"""How near to real pictures what each prior of a run draws is, and how new.

Command:  python benchmarks/samples.py RUN [RUN ...] [--steps 1000 6000] [--draws 3]

Time:     2 core-minutes a run with a diffusion of 1,000 steps, 6 with one of 6,000
Expected: on the nets of `make demo` 1.9 (gaussian), 1.6 (mixture), 1.4 and 1.2 (diffusion of 1,000 and 6,000 steps)
          and 1.1 (neighbours), which are half as new as unseen pictures

Frechet distance of EfficientNet-Lite0's features to the test pictures, over that of reconstructions of the validation
pictures, as many as are drawn. How new: the median distance of a code to the nearest training code, in canonical
coordinates times their levels, over that of unseen pictures. Nats are of the validation pictures' codes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

import latentdial
from latentdial.features import efficientnet_features
from latentdial.images import open_parts
from latentdial.latent.sampling import fit_prior
from latentdial.measure.generation import frechet

Judge = Callable[[latentdial.Codec, str, int], tuple[float, float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--steps", type=int, nargs="*", default=[1000])
    parser.add_argument("--draws", type=int, default=3)
    options = parser.parse_args()
    print(f"{'run':20s} {'prior':24s} {'Frechet':>8s} {'new':>6s} {'nats':>8s} {'core-s':>7s}")
    for run in options.runs:
        codec, unseen, judged = prepared(run)
        own = [] if codec.prior is None else ["model"]
        rows = [(name, codec, name, 0.0) for name in [*own, "neighbours"]]
        rows += [fitted(codec, unseen, kind, 1) for kind in ("gaussian", "mixture")]
        rows += [fitted(codec, unseen, "diffusion", steps) for steps in options.steps]
        for title, one, prior, seconds in rows:
            found = np.mean([judged(one, prior, seed) for seed in range(options.draws)], 0)
            nats = np.nan if one.fitted is None else one.fitted.nats[prior]
            print(f"{codec.name:20s} {title:24s} {found[0]:8.3f} {found[1]:6.2f} {nats:8.1f} {seconds:7.0f}")


def prepared(run: str) -> tuple[latentdial.Codec, np.ndarray, Judge]:
    """The codec, the codes of its validation pictures, and what judges draws."""
    codec = replace(latentdial.load(run), fitted=None)
    assert codec.config is not None  # as it is of every run
    parts, features = open_parts(codec.config), efficientnet_features().features
    validation, real = parts.validation.pixels[:], features(parts.test.pixels[:])
    unseen = codec.encode(validation)
    near, usual = frechet(features(codec.reconstruct(validation)), real), distance(codec, unseen)

    def judged(one: latentdial.Codec, prior: str, seed: int) -> tuple[float, float]:
        drawn = one.sample_codes(len(validation), seed, prior=prior)
        return frechet(features(one.decode(drawn)), real) / near, distance(codec, drawn) / usual

    return codec, unseen, judged


def fitted(
    codec: latentdial.Codec, unseen: np.ndarray, kind: str, steps: int
) -> tuple[str, latentdial.Codec, str, float]:
    """A title, the codec with this prior, its name and the core-seconds that it took."""
    start = time.process_time()
    found = fit_prior(codec, unseen, ["gaussian"] if kind == "gaussian" else ["gaussian", kind], steps=steps)
    title = f"{kind}, {steps:,} steps" if kind == "diffusion" else kind
    return title, replace(codec, fitted=found), kind, time.process_time() - start


def distance(codec: latentdial.Codec, codes: np.ndarray) -> float:
    """The median distance of codes to the nearest training code, in levels."""
    given, known = (codec.canonical.coordinates(some) * codec.canonical.levels for some in (codes, codec.codes))
    squares = np.square(given).sum(1)[:, None] + np.square(known).sum(1) - 2 * given @ known.T
    return float(np.median(np.sqrt(squares.min(1).clip(0))))


if __name__ == "__main__":
    main()
