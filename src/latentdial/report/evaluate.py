"""Measure a run: reconstruction beside PCA, samples of every prior, likelihood, and what codes hold and withstand."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from latentdial.errors import LatentdialError
from latentdial.features import FeatureNet, efficientnet_features, has_efficientnet, pixel_features
from latentdial.images import ImageSet, open_for, open_parts
from latentdial.images.cache import cache_folder
from latentdial.latent.codec import Codec
from latentdial.latent.likelihood import Likelihood, likelihood
from latentdial.latent.sampling import fit_of
from latentdial.measure.codes import displacement, linear_probe
from latentdial.measure.generation import coverage, frechet, kid, memory, nearest
from latentdial.measure.reconstruction import reconstruction
from latentdial.progress import Show, showing
from latentdial.report.evaluation import PCA, REAL, Evaluation, Row
from latentdial.report.pca_codec import PcaCodec, fit_pca
from latentdial.runs.loading import load
from latentdial.storage import Missing, new_folder, read_tensors, remove, save_tensors, tensor_shapes

NETS = ("auto", "efficientnet-lite0", "own", "pixels-pca")
PICTURES, REFERENCE, TRAINING = 500, 1000, 10_000
LIKELIHOOD_PICTURES = 128
PROBES, PROBE_LABELS = 6, 20
NOISE, SHIFT = 10.0, 2  # levels of 255; pixels
SHOWN, NEIGHBOURS = 24, 8
COUNTS = 1, 2, 4, 8, 16, 32, 64, 128, 256, 512  # of coordinates that are kept
CACHED = 64  # sets of features that are kept
FEW = 300  # pictures, below which distances are told to be rough


@dataclass(frozen=True)
class Material:
    """What is measured on: the codec, PCA beside it, and uint8 pictures, each (N, H, W, C)."""

    codec: Codec
    pca: PcaCodec
    training: ImageSet
    test: ImageSet
    notes: list[str]

    @property
    def both(self) -> dict[str, Codec | PcaCodec]:
        return {self.codec.name: self.codec, PCA: self.pca}


def evaluate(
    run: str | Path,
    data: str | None = None,
    *,
    features: str = "auto",
    n: int = PICTURES,
    samples: int = 32,
    seed: int = 0,
    show: Show | bool = True,
) -> Evaluation:
    """Measure a run on its test pictures, or on `data`, and PCA with as many numbers as its decoder sees on the same.

    Frechet distances and their like are between `n` pictures and training pictures, in the features of a net:
    "efficientnet-lite0", "pixels-pca", "own" (the run's encoder), the directory of another run, or "auto", the first
    that is installed. `samples` codes a picture are drawn for likelihoods. Data that is gone is a LatentdialError.
    """
    if n < 2 or samples < 1:
        raise LatentdialError("an evaluation needs at least two pictures and one sample a picture")
    with showing(show) as shown:
        return _evaluated(load(run), data, features, n, samples, seed, shown)


def _evaluated(
    codec: Codec, data: str | None, features: str, n: int, samples: int, seed: int, show: Show
) -> Evaluation:
    show.advance("evaluating", 0, 4, "reading pictures")
    material = _material(codec, data, n, show)
    net = _net(features, material)
    show.advance("evaluating", 1, 4, "reconstructions and codes")
    rows = [*_reconstruction(material), *_likelihood(material, samples, seed), *_of_codes(material)]
    show.advance("evaluating", 2, 4, "samples and their features")
    count = len(material.test)
    drawn = {kind: material.codec.sample(count, seed, prior=kind) for kind in _kinds(material.codec)}
    generation, neighbours = _generation(material, net, drawn)
    show.advance("evaluating", 4, 4)
    columns = [REAL, material.codec.name, PCA, *(f"samples: {kind}" for kind in drawn)]
    return Evaluation(
        run=material.codec.name,
        rows=[*rows[:2], *generation, *rows[2:]],
        columns=columns,
        test=len(material.test),
        reference=min(REFERENCE, len(material.training)),
        features=net.name,
        notes=[*material.notes, *_said_of_priors(material.codec, list(drawn))],
        samples={f"samples: {kind}": pictures[:SHOWN] for kind, pictures in drawn.items()},
        neighbours=neighbours,
    )


# what is measured on --------------------------------------------------------------------------------------------------


def _material(codec: Codec, data: str | None, n: int, show: Show) -> Material:
    config = codec.config
    if config is None:
        raise LatentdialError(f"{codec.name} is no run: evaluate the directory of one")
    notes: list[str] = []
    if data is not None:
        test = open_for(config, show.advance, data)
    try:
        parts = open_parts(config, show.advance)
        training = parts.training
        test = parts.test if data is None else test
    except LatentdialError:
        if data is None:
            raise
        every = np.arange(len(test))
        training, test = test.take(every[::2]), test.take(every[1::2])
        notes.append("The training pictures are gone: every second picture given stands in for them.")
    if len(test) < 2:
        raise LatentdialError("one test picture is too few to measure on: give DATA, or train with more --holdout")
    test = test.take(np.linspace(0, len(test) - 1, min(n, len(test))).astype(int))
    training = training.take(np.arange(min(TRAINING, len(training))))
    if len(test) < FEW:
        notes.append(
            f"{len(test)} test pictures are few: distances of so few are too high, all alike; compare them with each "
            "other and with those of real pictures, not with figures from elsewhere."
        )
    return Material(codec, fit_pca(training.pixels[:], codec.seen), training, test, notes)


def _kinds(codec: Codec) -> list[str]:
    """The priors of a codec: its own, then those fitted."""
    if codec.words is not None:
        return ["words"]
    return [*(["model"] if codec.prior is not None else []), *codec.priors.priors]


def _said_of_priors(codec: Codec, kinds: list[str]) -> list[str]:
    if codec.fitted is None and codec.quantiser is None:
        return [
            f"No prior was fitted to the codes of {codec.name} but a Gaussian: latentdial fit-prior RUN fits others."
        ]
    said = [fit_of(codec, kind).sentence() for kind in kinds]
    return [f"{sentence[0].upper()}{sentence[1:]}." for sentence in said if sentence]


# reconstruction and codes ---------------------------------------------------------------------------------------------


def _reconstruction(material: Material) -> list[Row]:
    test = material.test.pixels[:]
    found = {name: reconstruction(test, one.reconstruct(test)) for name, one in material.both.items()}
    mse = {name: quality.mse for name, quality in found.items()}
    psnr = {name: quality.psnr for name, quality in found.items()}
    rows = [
        Row("mse", "reconstruction: MSE per value, pictures in 0 to 1", mse, "{:.5f}", -1),
        Row("psnr", "reconstruction: PSNR, dB", psnr, "{:.2f}", 1),
    ]
    return [*rows, *_rate_distortion(material, test)]


def _rate_distortion(material: Material, test: np.ndarray) -> list[Row]:
    """The error when only the first k coordinates of the codes are kept, in order of what they do to pictures."""
    codec, pca = material.codec, material.pca
    ours, theirs = codec.canonical.coordinates(codec.encode(test)), pca.encode(test)
    rows = []
    for k in (k for k in COUNTS if k < ours.shape[1]):
        first, leading = (np.where(np.arange(one.shape[1]) < k, one, 0) for one in (ours, theirs))
        made = {codec.name: codec.decode(codec.canonical.codes(first)), PCA: pca.decode(leading)}
        errors = {name: reconstruction(test, pictures).mse for name, pictures in made.items()}
        title = f"MSE with the first {f'{k} coordinates' if k > 1 else 'coordinate'} of the code"
        rows.append(Row(f"mse_{k}", title, errors, "{:.5f}", -1))
    return rows


def _of_codes(material: Material) -> list[Row]:
    test = material.test.pixels[:]
    noise = np.random.default_rng(0).normal(0, NOISE, test.shape)
    changes = {
        "noise": ("noise of 10 levels", (test + noise).clip(0, 255).round().astype(np.uint8)),
        "shift": ("a shift of 2 pixels", np.roll(np.pad(test, _edges(), mode="edge"), SHIFT, axis=2)[:, :, _inner()]),
        "flip": ("mirroring", test[:, :, ::-1]),
    }
    rows = []
    for key, (title, changed) in changes.items():
        moved = {
            name: displacement(one.encode(test), one.encode(np.ascontiguousarray(changed)))
            for name, one in material.both.items()
        }
        rows.append(Row(f"moved_by_{key}", f"{title} moves a code, against two pictures' distance", moved, "{:.0%}"))
    return [*_probes(material), *rows]


def _edges() -> list[tuple[int, int]]:
    return [(0, 0), (0, 0), (SHIFT, SHIFT), (0, 0)]


def _inner() -> slice:
    return slice(SHIFT, -SHIFT)


def _probes(material: Material) -> list[Row]:
    """How well labels are read from codes by a linear model."""
    pictures = material.training.pixels[:REFERENCE], material.test.pixels[:]
    codes = {name: tuple(map(one.encode, pictures)) for name, one in material.both.items()}
    rows = []
    for label, (training, test) in _labels(material).items():
        try:
            probes = {name: linear_probe(mine, training, judged, test) for name, (mine, judged) in codes.items()}
        except ValueError:
            continue
        chance = next(iter(probes.values())).chance
        values = {name: probe.accuracy for name, probe in probes.items()}
        rows.append(Row(f"probe_{label}", f"{label} read from the code (commonest: {chance:.0%})", values, "{:.1%}", 1))
    return rows[:PROBES]


def _labels(material: Material) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Labels of the training and the test pictures by name, where they have few values."""
    training, test = material.training.take(np.arange(min(REFERENCE, len(material.training)))), material.test
    found = {}
    if training.labels is not None and test.labels is not None and training.label_names == test.label_names:
        found["label"] = training.labels, test.labels
    for name in training.factors:
        if name in test.factors and training.factors[name].dtype.kind in "iub":
            found[name] = training.factors[name], test.factors[name]
    return {name: pair for name, pair in found.items() if 2 <= len(np.unique(pair[0])) <= PROBE_LABELS}


# likelihood -----------------------------------------------------------------------------------------------------------


def _likelihood(material: Material, samples: int, seed: int) -> list[Row]:
    """What the model makes of pictures, by importance sampling; exact for probabilistic PCA."""
    test = material.test.pixels[:LIKELIHOOD_PICTURES]
    try:
        found = likelihood(material.codec, test, samples, seed)
    except LatentdialError:
        return []
    if found.unlikely:
        material.notes.append(f"No likelihood: {found.unlikely}.")
    both = {material.codec.name: found}
    if found.kind != "binary" and material.pca.unlikely:
        material.notes.append(f"{material.pca.unlikely}.")
    elif found.kind != "binary":
        both[PCA] = material.pca.likelihood(test, seed)

    def row(key: str, title: str, value: Callable[[Likelihood], float | None], style: str, better: int = 0) -> Row:
        return Row(key, title, {name: value(one) for name, one in both.items()}, style, better)

    drawn = f"{samples} codes a picture{'; PCA: exact' if PCA in both else ''}"
    of_pictures = [
        row("nll", f"negative log likelihood, nats ({drawn})", lambda one: one.nll, "{:.2f}", -1),
        row("nll_error", "its standard error over pictures", lambda one: one.error, "{:.2f}"),
        row("bits_per_dim", "the same, bits a value", lambda one: one.bits_per_dim, "{:.3f}", -1),
        row("elbo", "ELBO, nats", lambda one: float(one.elbo.mean()), "{:.2f}"),
        row("distortion", "distortion: -log p(x|z), nats", lambda one: float(one.distortion.mean()), "{:.2f}"),
    ]
    return [
        *([] if found.unlikely else of_pictures),
        row("rate", "rate: KL of a code from the prior, nats", lambda one: float(one.rate.mean()), "{:.2f}"),
        row(
            "information_least",
            "what a code tells of its picture, at least, nats",
            lambda one: one.informed[0],
            "{:.2f}",
        ),
        row("information_most", "the same, at most", lambda one: one.informed[1], "{:.2f}"),
        row("active_units", f"active dimensions, of {found.latent}", lambda one: one.active, "{:.0f}"),
    ]


# generation -----------------------------------------------------------------------------------------------------------


def _net(name: str, material: Material) -> FeatureNet:
    if name == "auto":
        name = "efficientnet-lite0" if has_efficientnet() else "pixels-pca"
    if name == "efficientnet-lite0":
        return efficientnet_features()
    if name == "pixels-pca":
        return pixel_features(material.training.pixels[:REFERENCE])
    if name == "own":
        return FeatureNet("FD-own", material.codec.encode)
    if not Path(name).is_dir():
        raise LatentdialError(f"there are no features {name!r}: use {', '.join(NETS)}, or the directory of a run")
    other = load(name)
    if other.geometry != material.codec.geometry:
        raise LatentdialError(f"{name} takes pictures of another size or colour: use features of one geometry")
    return FeatureNet(f"FD-{other.name}", other.encode)


def _generation(
    material: Material, net: FeatureNet, drawn: dict[str, np.ndarray]
) -> tuple[list[Row], tuple[str, np.ndarray, np.ndarray] | None]:
    """Distances to training pictures: of test pictures, reconstructions, and samples, each of as many pictures."""
    test = material.test.pixels[:]
    training = material.training.pixels[:REFERENCE]
    target, real = cached(net, training), cached(net, test)
    found = {REAL: real}
    found |= {name: net.features(one.reconstruct(test)) for name, one in material.both.items()}
    found |= {f"samples: {kind}": net.features(pictures) for kind, pictures in drawn.items()}
    kids = {name: kid(target, one) for name, one in found.items()}
    shares = {name: coverage(target[: len(test)], one) for name, one in found.items()}
    kept = {name: memory(one, target, real) for name, one in found.items()}

    def row(key: str, title: str, value: Callable[[str], float], style: str, better: int) -> Row:
        return Row(key, title, {name: value(name) for name in found}, style, better)

    rows = [
        row("frechet", f"Frechet distance, {net.name}", lambda name: frechet(target, found[name]), "{:.4g}", -1),
        row("kid", f"kernel distance, {net.name}", lambda name: kids[name].value, "{:.3g}", -1),
        row("kid_error", "its standard error", lambda name: kids[name].error, "{:.2g}", 0),
        row("precision", "precision", lambda name: shares[name].precision, "{:.2f}", 1),
        row("recall", "recall", lambda name: shares[name].recall, "{:.2f}", 1),
        row("density", "density", lambda name: shares[name].density, "{:.2f}", 1),
        row("coverage", "coverage", lambda name: shares[name].coverage, "{:.2f}", 1),
        row("nearest", "distance to the nearest training picture", lambda name: kept[name].generated, "{:.3g}", 0),
        row("copies", "nearer to one than 99% of test pictures", lambda name: kept[name].copies, "{:.1%}", 0),
    ]
    kind = material.codec.prior_named()
    if kind not in drawn:
        return rows, None
    shown = drawn[kind][:NEIGHBOURS]
    closest = nearest(found[f"samples: {kind}"][:NEIGHBOURS], target)[0]
    return rows, (kind, shown, training[closest])


def cached(net: FeatureNet, pictures: np.ndarray) -> np.ndarray:
    """Features of real pictures, kept in the cache for nets that do not come from a run."""
    if net.name != "FD-EfficientNetLite0":
        return net.features(pictures)
    folder = cache_folder() / "features"
    digest = hashlib.blake2b(np.ascontiguousarray(pictures).tobytes(), digest_size=16).hexdigest()
    path = folder / f"{net.name}-{len(pictures)}-{digest}.safetensors"
    try:
        (width,) = {shape[1:] for shape in tensor_shapes(path).values()}
        return read_tensors(path, {"features": (len(pictures), *width)})["features"]
    except Missing:
        pass
    except (LatentdialError, ValueError):
        remove(path)
    features = np.ascontiguousarray(net.features(pictures), np.float32)
    folder.parent.mkdir(parents=True, exist_ok=True)
    save_tensors(new_folder(folder, folder.parent) / path.name, {"features": features})
    for old in sorted(folder.glob("*.safetensors"), key=lambda one: one.stat().st_mtime)[:-CACHED]:
        remove(old)
    return features
