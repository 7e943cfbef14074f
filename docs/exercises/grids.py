# %% [markdown]
# # Between two faces
#
# *UIUC CS 498, homework 9: grids of interpolations between pairs of pictures, of the same label and of different ones.*

# %% tags=["parameters"]
PICTURES, SIZE, EPOCHS, PAIRS, STEPS = 2000, 32, 15, 10, 9

# %%
import numpy as np
from PIL import Image

import latentdial
from latentdial.images.montage import montage
from latentdial.latent.paths import interpolate
from latentdial.runs.pictures import run_pictures

codec = latentdial.train(
    "fcn-vae",
    "avatars",
    "runs/vae",
    limit=PICTURES,
    size=SIZE,
    epochs=EPOCHS,
    options={"latent": 32, "widths": [256]},
    overwrite=True,
)
unseen = run_pictures(codec)[1]
beard = unseen.factors["beard"]
pixels = np.ascontiguousarray(unseen.pixels[np.arange(len(unseen))])


def grid(first, last):
    """A row a pair: the pictures of the path between the codes of both."""
    rows = []
    for a, b in list(zip(first, last))[:PAIRS]:
        ends = codec.encode(pixels[[a, b]])
        rows.append(codec.decode(interpolate(codec, ends[0], ends[1], STEPS)))
    return Image.fromarray(montage(rows)).resize((STEPS * SIZE * 2, len(rows) * SIZE * 2), Image.Resampling.NEAREST)


# %% [markdown]
# Ten pairs that share a label: nobody has a beard.

# %%
without = np.flatnonzero(beard == 0)
grid(without[0::2], without[1::2])

# %% [markdown]
# Pairs of different labels: no beard on the left, a beard on the right. Half a beard is no picture that was ever seen: look for
# ghosts in the middle.

# %%
grid(without, np.flatnonzero(beard == 1))

# %% [markdown]
# How far out of real codes each path goes; 1 is the border of the safe range.

# %%
for name, first, last in (("same", without[0::2], without[1::2]), ("different", without, np.flatnonzero(beard == 1))):
    paths = [interpolate(codec, *codec.encode(pixels[[a, b]]), STEPS) for a, b in list(zip(first, last))[:PAIRS]]
    print(f"{name}: {np.median([codec.support.score(codec, path).max() for path in paths]):.2f}")

# %% [markdown]
# **Your turn.** `interpolate(..., path="density")` goes along real codes. Are there fewer ghosts?
