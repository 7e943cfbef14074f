"""How well does the safe range tell broken pictures from sound ones?

Command:  python benchmarks/flag.py RUN JUDGE
          (RUN: latentdial train fcn-ae avatars --epochs 16 --out RUN; JUDGE: another net on other avatars, by
          latentdial train conv-vae avatars --limit 10000 --epochs 12 --batch 64 --out JUDGE)
Time:     about half a minute a seed on one core, and as long to begin with
Expected: AUROC of the flag 0.95 to 0.96, of the rule "more than 3 sd from the mean" 0.70 to 0.74

Held-out pictures are edited by random amounts (within +-8 sd) along random directions of every kind. A picture counts
as broken where an independent judge says so: its distance to the nearest real training picture (HOG and coarse colour),
or the reconstruction error of the judge's net, is above the 99% point of plain reconstructions of held-out pictures.
"""

import argparse

import numpy as np
from skimage.feature import hog
from sklearn.metrics import roc_auc_score

from latentdial.latent.naming import axis_directions, canonical_directions
from latentdial.latent.safe_range import reach
from latentdial.latent.support import fit_support
from latentdial.runs.loading import load
from latentdial.runs.pictures import run_pictures

EDITS, REACH = 800, 8.0


def features(pictures: np.ndarray) -> np.ndarray:
    """Shape (HOG) and coarse colour of pictures (N, H, W, 3), scaled to comparable size."""
    shape = [hog(p, pixels_per_cell=(8, 8), cells_per_block=(1, 1), channel_axis=-1) for p in pictures]
    coarse = pictures.reshape(len(pictures), 8, pictures.shape[1] // 8, 8, pictures.shape[2] // 8, 3)
    return np.concatenate([np.array(shape), coarse.mean((2, 4)).reshape(len(pictures), -1) / 64], axis=1)


def nearest(pictures: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Distance of every picture to the nearest of the real features."""
    found = features(pictures)
    squared = np.square(found).sum(1)[:, None] + np.square(real).sum(1) - 2 * found @ real.T
    return np.sqrt(np.maximum(squared, 0).min(1))


def judged(pictures, judge, real):
    """The two independent measures of pictures, (N, 2)."""
    error = np.square(pictures.astype(float) - judge.reconstruct(pictures)).mean((1, 2, 3))
    return np.stack([nearest(pictures, real), error], axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("judge")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    codec, judge = load(options.run), load(options.judge)
    training, held_out = run_pictures(codec)
    half = len(held_out) // 2
    support = fit_support(codec, codec.encode(held_out.pixels[:half]))
    starts = codec.encode(held_out.pixels[half:]).astype(float)
    real = features(training.pixels[:])
    limits = np.quantile(judged(codec.decode(starts), judge, real), 0.99, axis=0)
    kinds = [axis_directions(codec), canonical_directions(codec)[: codec.canonical.telling]]
    kinds += [[d for d in codec.directions if d.kind == "attribute"] or kinds[1]]
    rows = []
    for seed in range(options.seeds):
        rng = np.random.default_rng(seed)
        picks = [kinds[i % len(kinds)][rng.integers(len(kinds[i % len(kinds)]))] for i in range(EDITS)]
        amounts = rng.uniform(-REACH, REACH, EDITS)
        codes = starts[rng.integers(0, len(starts), EDITS)] + amounts[:, None] * np.stack([d.step for d in picks])
        broken = (judged(codec.decode(codes), judge, real) / limits).max(1) > 1
        sds = np.abs([(d.along(z) - d.mean) / d.sd for z, d in zip(codes, picks, strict=True)])
        raw = support.raw(codec, codes)
        flag = support.excess(raw).sum(1) / support.limit
        scores = {"flag": flag, "3 sd rule": sds > 3, "sd as a score": sds}
        scores |= {f"score {i} alone": raw[:, i] for i in range(raw.shape[1])}
        row = {f"AUROC {name}": roc_auc_score(broken, values) for name, values in scores.items()}
        ends = np.array([reach(codec, d) for d in picks])
        along = np.array([d.along(z) for z, d in zip(codes, picks, strict=True)])
        either = (flag > 1) | (along < ends[:, 0]) | (along > ends[:, 1])
        row |= {"share broken": broken.mean()}
        for name, warned in (("flag", flag > 1), ("flag or beyond the codes", either), ("3 sd rule", sds > 3)):
            row |= {f"broken, warned by {name}": warned[broken].mean(), f"sound, by {name}": warned[~broken].mean()}
        rows.append(row)
    for name in rows[0]:
        values = np.array([row[name] for row in rows])
        print(f"{name:44s} {values.mean():.3f}  ({values.min():.3f} to {values.max():.3f} over {len(rows)} seeds)")


if __name__ == "__main__":
    main()
