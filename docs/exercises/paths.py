# %% [markdown]
# # The shortest way
#
# *DTU advanced machine learning: straight lines in the code space are not straight in pictures. Compare the lengths of paths as
# they are decoded, and see how much two decoders agree about them.*

# %% tags=["parameters"]
DATA, PICTURES, SIZE, EPOCHS, PAIRS = "avatars", 1500, 16, 20, 6

# %%
import numpy as np
from PIL import Image

import latentdial
from latentdial.images.montage import montage
from latentdial.latent.paths import interpolate
from latentdial.runs.pictures import run_pictures

codecs = [
    latentdial.train(
        "fcn-vae",
        DATA,
        f"runs/seed{seed}",
        limit=PICTURES,
        size=SIZE,
        epochs=EPOCHS,
        seed=seed,
        options={"latent": 8, "widths": [128]},
        overwrite=True,
    )
    for seed in (0, 1)
]
unseen = run_pictures(codecs[0])[1]
pixels = np.ascontiguousarray(unseen.pixels[np.arange(2 * PAIRS)])


def length(codec, codes):
    """The length of a path as it is decoded: root mean squared levels of 255, summed over the steps."""
    return float(np.sqrt(np.square(np.diff(codec.levels(codes), axis=0)).mean((1, 2, 3))).sum())


# %% [markdown]
# Three paths between the same faces. `density` is pulled towards where real codes are dense.

# %%
for kind in ("linear", "spherical", "density"):
    lengths = []
    for codec in codecs:
        codes = codec.encode(pixels)
        lengths.append(
            [length(codec, interpolate(codec, codes[2 * i], codes[2 * i + 1], 20, kind)) for i in range(PAIRS)]
        )
    agree = np.corrcoef(*lengths)[0, 1]
    print(f"{kind}: {np.mean(lengths):.1f} levels long; both decoders agree with r = {agree:.2f}")

# %% [markdown]
# The same three paths between two faces, as the first decoder draws them.

# %%
codec = codecs[0]
first, last = codec.encode(pixels[:2])
rows = [codec.decode(interpolate(codec, first, last, 8, kind)) for kind in ("linear", "spherical", "density")]
sheet = Image.fromarray(montage(rows))
sheet.resize((sheet.width * 4, sheet.height * 4), Image.Resampling.NEAREST)

# %% [markdown]
# **Your turn.** Distances in the code space depend on the net's arbitrary choice of axes; decoded lengths hardly do. Show it: take
# `latentdial reorder` of an autoencoder and compare both distances before and after.
