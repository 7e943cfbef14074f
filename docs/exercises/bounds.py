# %% [markdown]
# # Bounds of the likelihood
#
# *Stanford CS236, homework 2: a VAE, a VAE whose prior is a mixture, and the importance-weighted bound.*
#
# The ELBO is below log p(x) by the KL between q(z|x) and the true posterior. With K codes a picture, the importance-weighted
# bound (arXiv 1509.00519, eq. 8) comes nearer with K.

# %% tags=["parameters"]
DATA, PICTURES, SIZE, EPOCHS, SAMPLES = "avatars", 1500, 16, 20, 64

# %%
from PIL import Image

import latentdial
from latentdial.images.montage import montage

common = {"limit": PICTURES, "size": SIZE, "epochs": EPOCHS, "overwrite": True}
net = {"latent": 8, "net": "fcn", "layers": [128]}
latentdial.train("fcn-vae", DATA, "runs/vae", options={"latent": 8, "widths": [128]}, **common)
latentdial.train("mixture-vae", DATA, "runs/mixture", options=net, **common)
latentdial.train("iwae", DATA, "runs/iwae", options={**net, "k": 5}, **common)

# %% [markdown]
# Nats of an unseen picture in levels of 255, beside probabilistic PCA with as many numbers, whose likelihood is exact. The ELBO is
# better when higher; the negative log likelihood, by the importance-weighted bound with `SAMPLES` codes, when lower.

# %%
for run in ("vae", "mixture", "iwae"):
    table = latentdial.evaluate(f"runs/{run}", samples=SAMPLES, n=100, features="pixels-pca")
    for row in table.rows:
        if row.key in ("elbo", "nll", "bits_per_dim"):
            values = ", ".join(f"{name} {value:.4g}" for name, value in row.values.items() if value is not None)
            print(f"{row.key}: {values}")

# %% [markdown]
# A likelihood is not how good samples look. A row for each: VAE, mixture, IWAE.

# %%
codecs = [latentdial.load(f"runs/{run}") for run in ("vae", "mixture", "iwae")]
sheet = Image.fromarray(montage([codec.sample(8, prior="model") for codec in codecs]))
sheet.resize((sheet.width * 4, sheet.height * 4), Image.Resampling.NEAREST)

# %% [markdown]
# **Your turn.** How does the gap between both bounds change with `SAMPLES`? Why is the gap of the IWAE wider at K = 1?
