# %% [markdown]
# # How many numbers?
#
# *UvA deep learning, tutorial 9: autoencoders with codes of different sizes compared; nearest neighbours in the latent space;
# the embedding projector.*

# %% tags=["parameters"]
DATA, PICTURES, SIZE, EPOCHS, SIZES = "avatars", 2000, 32, 12, (4, 16, 64)

# %%
from pathlib import Path

import numpy as np
from PIL import Image

import latentdial
from latentdial.images.montage import montage
from latentdial.runs.pictures import run_pictures
from latentdial.runs.records import read_summary

codecs = {}
for latent in SIZES:
    codecs[latent] = latentdial.train(
        "fcn-ae",
        DATA,
        f"runs/ae{latent}",
        limit=PICTURES,
        size=SIZE,
        epochs=EPOCHS,
        options={"latent": latent, "widths": [256]},
        overwrite=True,
    )

# %% [markdown]
# The squared error of unseen pictures, beside PCA with as many numbers: the best that a linear map can do. A net that is not
# better than PCA has learnt nothing that PCA does not know.

# %%
print("numbers   net      PCA     ratio")
for latent in SIZES:
    figures = read_summary(Path(f"runs/ae{latent}"))
    print(
        f"{latent:7d} {figures['test_mse']:.5f} {figures['pca_mse']:.5f} {figures['test_mse'] / figures['pca_mse']:8.2f}"
    )

# %%
unseen = run_pictures(codecs[SIZES[0]])[1].pixels[np.arange(8)]
rows = [unseen, *(codec.reconstruct(unseen) for codec in codecs.values())]
sheet = Image.fromarray(montage(rows))
sheet.resize((sheet.width * 3, sheet.height * 3), Image.Resampling.NEAREST)

# %% [markdown]
# Nearest neighbours of the first pictures (left), by the codes.

# %%
codec = codecs[SIZES[-1]]
training = run_pictures(codec)[0].pixels
pixels = np.ascontiguousarray(training[np.arange(len(training))])
codes, asked = codec.encode(pixels), codec.encode(unseen[:4])
spread = codes.std(0) + 1e-9
distance = (((codes[None] - asked[:, None]) / spread) ** 2).sum(-1)
rows = [np.concatenate([unseen[i : i + 1], pixels[np.argsort(distance[i])[:5]]]) for i in range(4)]
Image.fromarray(montage(rows)).resize((6 * SIZE * 3, 4 * SIZE * 3), Image.Resampling.NEAREST)

# %% [markdown]
# The projector: `tensorboard --logdir projector` shows the codes with their pictures and attributes.

# %%
print(latentdial.export(codec, "projector", "projector", overwrite=True).sentence)

# %% [markdown]
# **Your turn.** Distances are taken in standard deviations here. What do neighbours look like without that, and for 4 numbers?
