"""Error on test pictures by how many numbers of a code are kept: one net ordered by training, nets of each size, PCA.

Command:  python benchmarks/ordered.py [--size 32] [--pictures 2000] [--epochs 100] [--lr 1e-3] [--set NAME=VALUE ...]

Time:     10 to 20 core-minutes
Expected: the ordered net below PCA for every number kept, and at 1.26 to 1.55 times the nets of that number

Every net has the same widths and sees the same pictures in the same order; MSE per value, pictures in 0 to 1.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA

import latentdial
from latentdial.images import split_images
from latentdial.images.sources import open_images
from latentdial.recipes import parse_options
from latentdial.runs.pictures import run_pictures

KEPT = (4, 8, 16, 32, 64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--epochs", type=float, default=100)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--part", choices=("validation", "test"), default="test")
    parser.add_argument("--set", nargs="+", default=[])
    parser.add_argument("--only-ordered", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ordered = trained(options, max(KEPT), Path(folder) / "ordered", ordered=True)
        training, test = pictures(ordered, options.part)
        rows = {"ordered, first k": [error(test, cut(ordered, test, k)) for k in KEPT]}
        rows["ordered, first k canonical"] = [error(test, cut_canonical(ordered, test, k)) for k in KEPT]
        if not options.only_ordered:
            plain = [trained(options, k, Path(folder) / f"plain{k}") for k in KEPT]
            rows["a net of k numbers"] = [error(test, codec.reconstruct(test)) for codec in plain]
            rows["the net of 64, first k canonical"] = [error(test, cut_canonical(plain[-1], test, k)) for k in KEPT]
        rows["PCA of k"] = [error(test, principal(training, test, k)) for k in KEPT]
    print(f"{'numbers kept':34s}" + "".join(f"{k:>10d}" for k in KEPT))
    for name, values in rows.items():
        print(f"{name:34s}" + "".join(f"{value:10.5f}" for value in values))
    if not options.only_ordered:
        ratios = np.divide(rows["ordered, first k"], rows["a net of k numbers"])
        print(f"{'ordered against a net of k':34s}" + "".join(f"{ratio:10.3f}" for ratio in ratios))


def trained(options: argparse.Namespace, latent: int, out: Path, ordered: bool = False) -> latentdial.Codec:
    chosen = {"widths": [512, 256], **parse_options(options.set), "latent": latent}
    return latentdial.train(
        "fcn-ae",
        "avatars",
        out,
        options=chosen | ({"ordered": True} if ordered else {}),
        limit=options.pictures,
        size=options.size,
        epochs=options.epochs,
        lr=options.lr,
        seed=options.seed,
        checkpoint=0,
    )


def pictures(codec: latentdial.Codec, part: str) -> tuple[np.ndarray, np.ndarray]:
    training, _ = run_pictures(codec)
    images = open_images(codec.config.data, codec.geometry)
    parts = split_images(images, codec.config.data.holdout, codec.config.train.seed)
    return training.pixels[:], images.pixels[getattr(parts, part)]


def error(pictures: np.ndarray, made: np.ndarray) -> float:
    return float(np.square((pictures.astype(float) - made) / 255).mean())


def cut(codec: latentdial.Codec, pictures: np.ndarray, count: int) -> np.ndarray:
    """Pictures decoded from the first numbers of their codes, the others at zero."""
    codes = codec.encode(pictures)
    codes[:, count:] = 0
    return codec.decode(codes)


def cut_canonical(codec: latentdial.Codec, pictures: np.ndarray, count: int) -> np.ndarray:
    """Pictures decoded from the first canonical coordinates of their codes, the others at their mean."""
    coordinates = codec.canonical.coordinates(codec.encode(pictures))
    coordinates[:, count:] = 0
    return codec.decode(codec.canonical.codes(coordinates))


def principal(training: np.ndarray, pictures: np.ndarray, count: int) -> np.ndarray:
    """Pictures from as many principal components of the training pictures, clipped to what a picture can be."""
    fitted = PCA(count, svd_solver="randomized", random_state=0).fit(training.reshape(len(training), -1))
    made = fitted.inverse_transform(fitted.transform(pictures.reshape(len(pictures), -1)))
    return made.clip(0, 255).round().reshape(pictures.shape)


if __name__ == "__main__":
    main()
