# %% [markdown]
# # Rare faces
#
# *MIT 6.S191, lab 2: a training set has many pictures of some kinds and few of others. Find the rare ones by their latent
# density, without labels, and draw them more often.*

# %% tags=["parameters"]
PICTURES, SIZE, EPOCHS = 2000, 32, 15

# %%
import numpy as np
from PIL import Image

import latentdial
from latentdial.images.avatars import CHOICES
from latentdial.images.montage import montage
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
training = run_pictures(codec)[0]
codes = codec.encode(np.ascontiguousarray(training.pixels[np.arange(len(training))]))

# %% [markdown]
# The density that fits the codes best says how likely a face is. Its inverse, tempered so that no face counts more than a few
# times, is how often a face should be drawn.

# %%
kind = codec.prior_named() if codec.prior_named() != "model" else "gaussian"
nats = codec.priors[kind].log_prob(codes)
weight = np.exp(-(nats - nats.mean()) / nats.std())
weight /= weight.sum()
print(f"density: {kind}; faces that count for half of all draws: {(np.sort(weight)[::-1].cumsum() < 0.5).mean():.0%}")

# %% [markdown]
# Shares of each kind of glasses in the training set, and after drawing by rarity.

# %%
for index, name in enumerate(CHOICES["glasses"]):
    has = training.factors["glasses"] == index
    print(f"{name}: {has.mean():.1%} of the set, {weight[has].sum():.1%} of the draws")

# %% [markdown]
# The faces that would be drawn least often, and below them those that would be drawn most often.

# %%
order = weight.argsort()
sheet = Image.fromarray(montage([training.pixels[order[:8]], training.pixels[order[-8:]]]))
sheet.resize((sheet.width * 2, sheet.height * 2), Image.Resampling.NEAREST)

# %% [markdown]
# **Your turn.** Train again on a set drawn by `weight` (save the pictures with `np.save`) and compare the errors for sunglasses.
# Does rarity find what you would call rare?
