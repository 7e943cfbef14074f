"""What the page holds: a manifest for JSON, the arrays it speaks of, and the two nets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from latentdial.discovery.file import fingerprint
from latentdial.explorer.dials import Dial, find_dials
from latentdial.explorer.nets import Nets, Weights, export_nets
from latentdial.exporting.graphs import NotExportable
from latentdial.latent.codec import Codec
from latentdial.latent.effect import alike, real_codes
from latentdial.latent.naming import said_of_code
from latentdial.latent.novelty import FLAT
from latentdial.latent.sampling import fit_of
from latentdial.progress import Progress, quiet
from latentdial.runs.card import named
from latentdial.version import VERSION

GALLERY = 60
CLOUD = 400
DRAWN = 512  # codes that Random takes from


@dataclass(frozen=True)
class Content:
    """One explorer page: `manifest` describes it and where in `blob` each array lies; `nets` decode in the page."""

    manifest: dict[str, Any]
    blob: bytes
    nets: Nets | None  # None: the page asks the local server to decode

    @property
    def parts(self) -> dict[str, bytes]:
        """The binary parts by name."""
        nets = {} if self.nets is None else {"encoder": self.nets.encoder, "decoder": self.nets.decoder}
        return {"arrays": self.blob, **nets}


def gather(
    codec: Codec,
    pictures: np.ndarray | None = None,
    labels: list[str] | None = None,
    weights: Weights = "auto",
    need_nets: bool = True,
    progress: Progress = quiet,
    title: str = "Pictures",
) -> Content:
    """Measure and export what the page of a codec shows.

    `pictures`, uint8 (N, H, W, C), fill the gallery; without them it shows decoded training codes. Without
    `need_nets`, a net that cannot be exported gives a page that decodes on the server.
    """
    codes = real_codes(codec, GALLERY) if pictures is None else codec.encode(pictures[:GALLERY])
    shown = codec.decode(codes) if pictures is None else pictures[:GALLERY]
    dials = find_dials(codec, progress)
    progress("exporting the nets", 0, 1)
    try:
        nets = export_nets(codec, codes, shown, weights)
    except NotExportable:
        if need_nets:
            raise
        nets = None
    progress("exporting the nets", 1, 1)
    mean, sd = codec.moments
    arrays = {
        "codes": codes,
        "pictures": shown,
        "mean": mean.astype(np.float32),
        "sd": sd.astype(np.float32),
        **_vectors(dials, codec.latent),
        "sampler": _sampler(codec),
        "drawn": codec.sample_codes(DRAWN),
        **_maps(codec, codes),
        **_held_out(codec),
    }
    table, blob = _pack(arrays)
    manifest = _about(codec, nets) | {
        "fingerprint": fingerprint(codec),
        "labels": (labels or [])[:GALLERY],
        "gallery": "Training codes, decoded" if pictures is None else title,
        "dials": [_dial(dial) for dial in dials],
        "arrays": table,
    }
    return Content(manifest, blob, nets)


def _vectors(dials: list[Dial], latent: int) -> dict[str, np.ndarray]:
    """Vectors and readers of the dials that are no bare dimensions, in their order, each (K, D)."""
    turned = [dial for dial in dials if dial.kind != "axis"]
    rows = {"vectors": [dial.vector for dial in turned], "readers": [dial.reader for dial in turned]}
    return {name: np.array(some or [np.zeros(latent)], np.float32) for name, some in rows.items()}


def _about(codec: Codec, nets: Nets | None) -> dict[str, Any]:
    geometry = codec.geometry
    return {
        "format": 1,
        "version": VERSION,
        "name": codec.name,
        "recipe": codec.config.model.recipe if codec.config else "wrapped nets",
        "source": named(codec.config.data.source) if codec.config else "",
        "latent": codec.latent,
        "code": _said(codec),
        "size": geometry.size,
        "channels": geometry.channels,
        "fit": geometry.fit,
        "background": geometry.background,
        "training_codes": len(codec.codes),
        "random": _random(codec),
        "novelty": _novelty(codec),
        "weights": nets.weights if nets else None,
        "error": nets.error if nets else None,
    }


def _said(codec: Codec) -> str:
    """What the code is made of, and what a hand that turns it must know."""
    words = ", words: small steps do nothing" if codec.quantiser else ""
    return f"{said_of_code(codec)}{words}{', all pictures alike' if alike(codec) else ''}"


def _random(codec: Codec) -> dict[str, str]:
    """What random codes are drawn from, and what is wrong with it where it does not fit."""
    fit = fit_of(codec)
    return {"prior": fit.prior, "note": fit.sentence()}


def _dial(dial: Dial) -> dict[str, Any]:
    return {
        "name": dial.name,
        "kind": dial.kind,
        "origin": dial.origin,
        "mean": dial.mean,
        "sd": dial.sd,
        "effect": dial.effect,
        "low": dial.low,
        "high": dial.high,
        "reads": dial.reads,
    }


def _novelty(codec: Codec) -> dict[str, Any] | None:
    """What tells in the page how unlike the training pictures one is; see `latent.novelty`."""
    known = codec.novelty
    if known is None:
        return None
    return {"middle": known.middle.tolist(), "spread": known.spread.tolist(), "limit": known.limit, "flat": FLAT}


def _held_out(codec: Codec) -> dict[str, np.ndarray]:
    return {} if codec.novelty is None else {"strange": codec.novelty.normal.astype(np.float32)}


def _sampler(codec: Codec) -> np.ndarray:
    """A matrix (D, D) that turns standard normal noise into deviations with the covariance of the training codes."""
    values, vectors = np.linalg.eigh(codec.covariance)
    return (vectors * np.sqrt(values.clip(0))).astype(np.float32)


def _maps(codec: Codec, codes: np.ndarray) -> dict[str, np.ndarray]:
    """2-D positions of the gallery and of a cloud of training codes: c0 and c1, and UMAP where it is installed."""
    cloud = real_codes(codec, CLOUD)
    place = codec.canonical.coordinates
    maps = {"map_canonical": place(codes)[:, :2], "cloud_canonical": place(cloud)[:, :2]}
    try:
        from umap import UMAP
    except ImportError:
        return {name: _two_columns(points) for name, points in maps.items()}
    both = UMAP(random_state=0, n_jobs=1).fit_transform(np.concatenate([codes, cloud]))
    maps |= {"map_umap": both[: len(codes)], "cloud_umap": both[len(codes) :]}
    return {name: _two_columns(points) for name, points in maps.items()}


def _two_columns(points: np.ndarray) -> np.ndarray:
    return np.pad(points, ((0, 0), (0, 2 - points.shape[1]))).astype(np.float32)


def _pack(arrays: dict[str, np.ndarray]) -> tuple[dict[str, Any], bytes]:
    """Arrays one after the other, each from a multiple of 8 bytes, and the table that finds them."""
    table, parts, offset = {}, [], 0
    for name, array in arrays.items():
        data = np.ascontiguousarray(array).tobytes()
        table[name] = {"dtype": str(array.dtype), "shape": list(array.shape), "offset": offset}
        parts.append(data + bytes(-len(data) % 8))
        offset += len(parts[-1])
    return table, b"".join(parts)
