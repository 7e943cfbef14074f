"""Whether conditional-vae draws what a label says, and shows unseen pictures as other labels.

Command:  python benchmarks/labels.py PICTURES [--label NAME] [--size 32] [--colour grey] [--steps 300] [--seeds 0 1]
Time:     35 core-seconds for 2,000 digits of 32 pixels, and as long for judging
Expected: 0.7 of PCA's squared error on digits of MNIST, 0.93 of a Gaussian's drawings and 0.9 of relabelled unseen
          digits read as asked

The judge is a support vector machine of 60 principal components, which learns from the training pictures and is right
on the share of test pictures that is told first. Shares are means over labels.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

import latentdial
from latentdial.images import open_parts

DRAWN, SHOWN = 100, 200
PRIORS = ("gaussian", "neighbours", "model")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures")
    parser.add_argument("--label")
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--colour", default="grey")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    options = parser.parse_args()
    how = {"label": options.label, "size": options.size, "colour": options.colour, "steps": options.steps}
    print(" ".join(f"{name:>10s}" for name in ("seed", "of PCA", "judge", *PRIORS, "relabelled")))
    for seed in options.seeds:
        print(f"{seed:10d} " + " ".join(f"{value:10.3f}" for value in measured(options.pictures, seed, how)))


def measured(pictures: str, seed: int, how: dict[str, object]) -> list[float]:
    """Squared error over PCA's, how often the judge is right, and how often it reads what was asked for."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        codec = latentdial.train("conditional-vae", pictures, run, seed=seed, priors=False, show=False, **how)
    assert codec.config is not None  # as it is of every run
    parts = open_parts(codec.config)
    train, test = (part.pixels[:] for part in (parts.training, parts.test))
    truth, known = np.asarray(parts.training.labels), np.asarray(parts.test.labels)
    judge = make_pipeline(PCA(60, random_state=0), SVC(C=10)).fit(flat(train), truth)
    labels = codec.label_names
    given = [codec.given(i) for i in range(len(labels))]
    asked = [
        np.mean([share(judge, one.sample(DRAWN, prior=prior), i) for i, one in enumerate(given)]) for prior in PRIORS
    ]
    shown = [latentdial.relabel(codec, test[known == i][:SHOWN], i) for i in range(len(labels))]
    others = [
        share(judge, made[:, j], j) for i, made in enumerate(shown) for j in range(len(labels)) if j != i and len(made)
    ]
    linear = PCA(codec.latent, random_state=0).fit(flat(train))
    made = linear.inverse_transform(linear.transform(flat(test)))
    own = [flat(given[label].reconstruct(one[None]))[0] for one, label in zip(test, known, strict=True)]
    error = np.square(own - flat(test)).sum() / np.square(made - flat(test)).sum()
    return [error, judge.score(flat(test), known), *asked, np.mean(others)]


def share(judge: SVC, pictures: np.ndarray, label: int) -> float:
    """Of the pictures that the judge reads as this label."""
    return float((judge.predict(flat(pictures)) == label).mean())


def flat(pictures: np.ndarray) -> np.ndarray:
    return pictures.reshape(len(pictures), -1) / 255.0


if __name__ == "__main__":
    main()
