# %% [markdown]
# # Noise, few active units, and a threshold
#
# *TensorFlow's and Keras' tutorials: a denoising autoencoder, a sparse one, and anomalies by a threshold on the error.*

# %% tags=["parameters"]
DATA, PICTURES, SIZE, EPOCHS = "avatars", 1500, 32, 12

# %%
import numpy as np
from PIL import Image

import latentdial
from latentdial.images.montage import montage
from latentdial.runs.pictures import run_pictures

common = {"limit": PICTURES, "size": SIZE, "epochs": EPOCHS, "overwrite": True}
net = {"net": "fcn", "layers": [256]}
plain = latentdial.train("fcn-ae", DATA, "runs/plain", options={"latent": 64, "widths": [256]}, **common)
denoising = latentdial.train("denoising-ae", DATA, "runs/denoising", options={"latent": 64, **net}, **common)
sparse = latentdial.train("sparse-ae", DATA, "runs/sparse", options={"latent": 128, "k": 16, **net}, **common)

# %% [markdown]
# Noise is added to unseen pictures; who takes it away? PSNR in dB against the clean pictures, higher is better.

# %%
held_out = run_pictures(plain)[1].pixels
clean = held_out[np.arange(min(60, len(held_out)))]
noisy = np.clip(clean + np.random.default_rng(0).normal(0, 40, clean.shape), 0, 255).astype(np.uint8)


def psnr(pictures):
    return 10 * np.log10(255**2 / np.square(pictures.astype(float) - clean).mean())


print(f"noisy pictures: {psnr(noisy):.1f} dB")
for codec in (plain, denoising, sparse):
    print(
        f"{codec.name}: {psnr(codec.reconstruct(noisy)):.1f} dB; clean pictures {psnr(codec.reconstruct(clean)):.1f} dB"
    )

# %%
sheet = Image.fromarray(montage([noisy[:8], denoising.reconstruct(noisy[:8]), clean[:8]]))
sheet.resize((sheet.width * 2, sheet.height * 2), Image.Resampling.NEAREST)

# %% [markdown]
# The sparse code: how many of 128 numbers are not zero in one picture, and how many are used by any.

# %%
codes = sparse.encode(clean)
print(
    f"{(codes != 0).sum(1).mean():.0f} of {codes.shape[1]} in one picture, {(codes != 0).any(0).sum()} in some picture"
)

# %% [markdown]
# The tutorials' threshold is the mean error and one standard deviation. latentdial's is set by a share of false alarms that is
# stated, on normal pictures that the net has not seen.

# %%
half = 2 * len(clean) // 3
turned = np.ascontiguousarray(clean[half:, ::-1])
tried = np.concatenate([clean[half:], turned])
odd = latentdial.anomalies(plain, tried, normal=np.ascontiguousarray(clean[:half]), false_alarms=0.1).odd
print(f"upside down: {odd[len(turned) :].mean():.0%} found, with {odd[: len(turned)].mean():.0%} false alarms")

# %% [markdown]
# **Your turn.** With noise of another strength than in training, who is best? What do 4 active numbers keep of a face?
