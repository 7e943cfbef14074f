"""Scores of how odd a picture is to a codec: fitted to normal pictures, higher for odder ones.

A scorer is fitted in two steps. Densities (of codes, colours, layers) come from the pictures that the codec was trained
on; what is normal for a map at every place comes from held-out pictures, as new to the codec as those scored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from latentdial.anomaly.densities import Density, fit_density
from latentdial.anomaly.evidence import has_evidence, has_regret, regret, surplus
from latentdial.anomaly.places import Places, colours, fit_places
from latentdial.anomaly.views import View, in_chunks, look
from latentdial.errors import LatentdialError
from latentdial.images import spread
from latentdial.latent.codec import Codec
from latentdial.measure.anomaly import outline_mismatch, regions, root_of_squares, ssim_map, worst
from latentdial.progress import Steps

MAPS = {
    "error": 1 / 20,
    "ssim": 1 / 64,
    "colours": 1 / 64,
    "layers": 1 / 64,
}  # with the blur that makes regions of them
ABOUT = {
    "error": "error at each pixel against its own distribution, worst region",
    "ssim": "structural similarity against its own distribution, worst region",
    "colours": "colours and errors at each place against their joint distribution there, worst region",
    "overall": "the same over the whole picture, too usual as well as too odd",
    "outlines": "mismatch of the outlines of picture and reconstruction, whatever the contrast",
    "layers": "layers of the encoder at each place against their joint distribution there, worst region",
    "neighbours": "distance of the code to the nearest codes of training pictures",
    "squares": "root of the summed squared error",
    "code": "Mahalanobis distance of the code",
    "mixture": "surprise of the code under a mixture of Gaussians, nats",
    "elbo": "negative evidence lower bound, nats",
    "regret": "likelihood regret: what the bound gains by a posterior of the picture's own, nats (arXiv 2003.02977)",
}
COMBINED = ("colours", "overall", "outlines", "layers")
MAP_OF = {**dict(zip(MAPS, MAPS, strict=True)), "overall": "colours", "outlines": "error"}  # that says where
SLOW = ("regret",)
MAP_SIDE = 64  # at most
FLOOR = 0.2  # of the median sd: what varies less from picture to picture counts as varying so much
MOST = 30.0  # standard deviations: a place that never varies, as in sprites on white, is as odd as others at most
FIT_PICTURES = 1000  # for densities at places


@dataclass(frozen=True, eq=False)
class Measured:
    """What scores need of N pictures, before it is known what is normal at every place."""

    flat: dict[str, np.ndarray]  # scores without a place, each (N,)
    maps: dict[str, np.ndarray]  # each float32 (N, G, G), with a G of its own

    def __len__(self) -> int:
        return len(next(iter({**self.flat, **self.maps}.values())))


@dataclass(frozen=True, eq=False)
class Sums:
    """What the mean and sd of maps are made from, so that some pictures can be taken out again."""

    count: int
    values: np.ndarray  # (G, G)
    squares: np.ndarray  # (G, G)

    def __sub__(self, other: Sums) -> Sums:
        return Sums(self.count - other.count, self.values - other.values, self.squares - other.squares)

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and sd of every place, with a floor under the sd."""
        count = max(self.count, 1)
        mean = self.values / count
        sd = np.sqrt(np.maximum(self.squares / count - mean**2, 0))
        return mean, sd + FLOOR * np.median(sd) + 1e-6


def sums_of(measured: Measured) -> dict[str, Sums]:
    """The sums of every kind of map."""
    found = {name: maps.astype(np.float64) for name, maps in measured.maps.items()}
    return {name: Sums(len(maps), maps.sum(0), np.square(maps).sum(0)) for name, maps in found.items()}


@dataclass(frozen=True, eq=False)
class Scorer:
    """Everything that the scores of a codec's pictures need but the codec."""

    density: Density
    colours: Places
    layers: Places | None
    normal: dict[str, tuple[np.ndarray, np.ndarray]]  # mean and sd (G, G) of every map over held-out normal pictures

    def measure(
        self, codec: Codec, pictures: Any, names: Sequence[str] | None = None, progress: Steps | None = None
    ) -> Measured:
        """Measure uint8 pictures (N, H, W, C); `names` are the scores wanted, all but slow ones by default."""
        wanted = set(self.available(codec)) - set(SLOW) if names is None else set(names)
        parts = [(self._look(codec, chunk, wanted), n) for chunk, n in in_chunks(pictures, progress)]
        if not parts:
            raise LatentdialError("there are no pictures to score: give at least one")
        flat, maps = (
            {name: np.concatenate([kinds[which][name][:n] for kinds, n in parts]) for name in parts[0][0][which]}
            for which in (0, 1)
        )
        return Measured(flat, maps)

    def _look(
        self, codec: Codec, chunk: np.ndarray, wanted: set[str]
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        view = look(codec, chunk)
        maps = {MAP_OF.get(name) for name in wanted}
        flat: dict[str, Callable[[], np.ndarray]] = {
            "squares": lambda: root_of_squares(view.pictures, view.again),
            "outlines": lambda: outline_mismatch(view.pictures, view.again),
            "code": lambda: self.density.mahalanobis(view.codes),
            "mixture": lambda: self.density.surprise(view.codes),
            "neighbours": lambda: self.density.to_neighbours(view.codes),
            "elbo": lambda: surplus(codec, view.pictures),
            "regret": lambda: regret(codec, view.pictures),
        }
        places: dict[str, Callable[[], np.ndarray]] = {
            "error": lambda: _at_most(np.abs(view.pictures - view.again).mean(-1)),
            "ssim": lambda: _at_most(ssim_map(view.pictures, view.again)),
            "colours": lambda: self.colours.distances(colours(view)),
            "layers": lambda: self.layers.distances(view.features),  # type: ignore[union-attr,arg-type]
        }
        return (
            {name: make() for name, make in flat.items() if name in wanted},
            {name: make().astype(np.float32) for name, make in places.items() if name in maps},
        )

    def available(self, codec: Codec) -> list[str]:
        """The scores that this codec can give."""
        there = {"layers": self.layers is not None, "elbo": has_evidence(codec), "regret": has_regret(codec)}
        return [name for name in ABOUT if there.get(name, True)]

    def apart(self, name: str, maps: np.ndarray) -> np.ndarray:
        """How far maps (N, G, G) of one kind are from usual, either way, in standard deviations of their places.

        A part that is missing is drawn too well, and is as odd as one that is drawn badly.
        """
        mean, sd = self.normal[name]
        return np.minimum(np.abs(maps - mean) / sd, MOST)

    def regions(self, name: str, maps: np.ndarray) -> np.ndarray:
        """The same blurred over regions."""
        return regions(self.apart(name, maps), MAPS[name])

    def scores(self, measured: Measured) -> dict[str, np.ndarray]:
        """Every score of measured pictures, each (N,)."""
        found = measured.flat | {name: worst(self.regions(name, maps)) for name, maps in measured.maps.items()}
        if "colours" in measured.maps:
            found["overall"] = self.apart("colours", measured.maps["colours"]).mean((1, 2))
        return {name: found[name] for name in ABOUT if name in found}

    def with_normal(self, sums: Mapping[str, Sums]) -> Scorer:
        """The scorer for which the held-out pictures of these sums are what is normal at every place."""
        return replace(self, normal={name: one.moments() for name, one in sums.items()})


def fit_scorer(codec: Codec, training: Any, codes: np.ndarray | None = None, progress: Steps | None = None) -> Scorer:
    """Fit densities to training pictures (N, H, W, C) and, where there are more of them, training codes (M, D)."""
    few = training[spread(len(training), FIT_PICTURES)]
    views = [_first(look(codec, chunk), n) for chunk, n in in_chunks(few, progress)]
    seen = [view.features for view in views if view.features is not None]
    return Scorer(
        density=fit_density(np.concatenate([view.codes for view in views]) if codes is None else codes),
        colours=fit_places(np.concatenate([colours(view) for view in views])),
        layers=fit_places(np.concatenate(seen)) if seen else None,
        normal={},
    )


def _first(view: View, n: int) -> View:
    features = None if view.features is None else view.features[:n]
    return View(view.pictures[:n], view.again[:n], view.codes[:n], features)


def _at_most(maps: np.ndarray) -> np.ndarray:
    """Maps (N, H, W) averaged over blocks, so that they have at most twice `MAP_SIDE` places a side."""
    block = max(1, maps.shape[1] // MAP_SIDE)
    side = maps.shape[1] // block
    cut = maps[:, : side * block, : side * block].reshape(len(maps), side, block, side, block)
    return cut.mean((2, 4))
