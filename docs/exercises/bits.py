# %% [markdown]
# # Is z used at all?
#
# *Berkeley CS294-158, homework 3: bits per dimension, and whether the decoder listens to its code.*

# %% tags=["parameters"]
DATA, PICTURES, SIZE, EPOCHS = "avatars", 1500, 16, 20

# %%
import numpy as np
from PIL import Image

import latentdial
from latentdial.images.montage import montage
from latentdial.measure.likelihood import bits_per_dim
from latentdial.runs.pictures import run_pictures

codecs = {}
for beta in (1.0, 20.0, 100.0):
    codecs[beta] = latentdial.train(
        "fcn-vae",
        DATA,
        f"runs/beta{beta:g}",
        limit=PICTURES,
        size=SIZE,
        epochs=EPOCHS,
        options={"latent": 16, "widths": [128], "beta": beta},
        overwrite=True,
    )

# %% [markdown]
# The KL is what the code costs: nats a picture that would be sent to tell it. A dimension with a KL near zero says nothing,
# and the decoder has learnt to live without it. Bits per dimension divide by all values of a picture.

# %%
values = 3 * SIZE * SIZE
print("beta   KL, nats   bits per value   dimensions that say something")
for beta, codec in codecs.items():
    print(
        f"{beta:4g} {codec.kl.sum():10.1f} {bits_per_dim(-codec.kl.sum(), values):16.4f} {(codec.kl > 0.1).sum():10d} of 16"
    )

# %% [markdown]
# The same question put to the decoder: give it the codes of other pictures. If the error does not rise, z is not used.

# %%
held_out = run_pictures(codecs[1.0])[1].pixels
unseen = held_out[np.arange(min(60, len(held_out)))].astype(float)
for beta, codec in codecs.items():
    codes = codec.encode(unseen.astype(np.uint8))
    own, other = (np.square(codec.levels(c) - unseen).mean() for c in (codes, np.roll(codes, 1, 0)))
    print(f"beta {beta:g}: squared error {own:.0f} with its own code, {other:.0f} with another's")

# %% [markdown]
# To look at: unseen pictures, and below them what each beta, the smallest first, makes of their codes.

# %%
some = unseen[:8].astype(np.uint8)
sheet = Image.fromarray(montage([some, *(codec.reconstruct(some) for codec in codecs.values())]))
sheet.resize((sheet.width * 4, sheet.height * 4), Image.Resampling.NEAREST)

# %% [markdown]
# **Your turn.** At which beta do dimensions begin to fall silent? What does `options={"free_bits": 0.5}` change?
