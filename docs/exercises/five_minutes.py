# %% [markdown]
# # A VAE in five minutes
#
# *UBC CPEN 455 asks for this first: train a variational autoencoder, look at reconstructions, samples and the latent space.*
#
# `avatars` are drawn faces. For your own pictures, put the name of a folder in place of it.

# %% tags=["parameters"]
DATA, PICTURES, SIZE, EPOCHS = "avatars", 2000, 32, 15

# %%
import numpy as np
from PIL import Image

import latentdial
from latentdial.images.montage import montage
from latentdial.runs.pictures import run_pictures

codec = latentdial.train(
    "fcn-vae",
    DATA,
    "runs/vae",
    limit=PICTURES,
    size=SIZE,
    epochs=EPOCHS,
    options={"latent": 16, "widths": [256, 64]},
    overwrite=True,
)


def show(*rows, scale=3):
    sheet = Image.fromarray(montage(list(rows)))
    return sheet.resize((sheet.width * scale, sheet.height * scale), Image.Resampling.NEAREST)


# %% [markdown]
# Pictures that it was not trained on (above) and what it makes of them (below). They are blurred, because 16 numbers
# cannot hold everything and a squared error prefers the mean of what it cannot tell apart.

# %%
unseen = run_pictures(codec)[1].pixels[np.arange(8)]
show(unseen, codec.reconstruct(unseen))

# %% [markdown]
# New pictures: codes drawn from N(0, I), the model's own prior (above), and from the density that fits the codes best.

# %%
show(codec.sample(8, prior="model"), codec.sample(8))

# %% [markdown]
# What the dimensions do. `c0`, `c1`, ... are the dimensions in order of what they do to pictures.

# %%
for row in latentdial.dimensions(codec).rows[:5]:
    print(f"{row.name}: {row.effect:.1f} levels of 255 for one standard deviation")

# %%
code = codec.encode(unseen[:1])[0]
show(
    *(codec.decode(np.stack([code + step * codec.canonical.steps[k] for step in (-2, -1, 0, 1, 2)])) for k in range(4))
)

# %% [markdown]
# **Your turn.** What changes with `options={"beta": 4.0}`? With 4 numbers in place of 16?
