# %% [markdown]
# # What does not belong
#
# *NTU machine learning, homework 8: train on faces, score anomalies by reconstruction error (graded by AUC), change at least
# two latent dimensions and describe what happens.*
#
# Here faces without sunglasses are normal, and sunglasses are what should be found. Labels are used for the AUC alone.

# %% tags=["parameters"]
PICTURES, SIZE, EPOCHS = 2000, 32, 15

# %%
import csv

import numpy as np
from sklearn.metrics import roc_auc_score

import latentdial
from latentdial.images.avatars import CHOICES, render
from latentdial.report.figures import edit_sheet

pixels, factors = render(PICTURES, SIZE)
odd = factors["glasses"] == CHOICES["glasses"].index("sunglasses")
normal, rest = np.flatnonzero(~odd)[: PICTURES // 2], np.flatnonzero(~odd)[PICTURES // 2 :]
np.save("normal.npy", pixels[normal])
test = np.concatenate([rest, np.flatnonzero(odd)])

codec = latentdial.train(
    "fcn-ae",
    "normal.npy",
    "runs/normal",
    size=SIZE,
    epochs=EPOCHS,
    options={"latent": 16, "widths": [256]},
    overwrite=True,
)

# %% [markdown]
# The homework's score is the root of the squared error. latentdial's combines errors, colours, structure and codes, each
# as its tail probability among normal pictures that the net was not trained on, and comes with a threshold.

# %%
error = np.sqrt(((codec.levels(codec.encode(pixels[test])) - pixels[test]) ** 2).mean((1, 2, 3)))
found = latentdial.anomalies(codec, np.ascontiguousarray(pixels[test]), normal=np.ascontiguousarray(pixels[rest]))
for name, score in {"root of squares": error, "latentdial": found.score}.items():
    print(f"{name}: AUC {roc_auc_score(odd[test], score):.3f}")

# %% [markdown]
# The file to hand in: an id and a score a line.

# %%
with open("submission.csv", "w", newline="") as file:
    csv.writer(file).writerows([["ID", "score"], *((i, f"{score:.6f}") for i, score in enumerate(found.score))])
print("\n".join(f"{i},{score:.6f}" for i, score in enumerate(found.score[:4])))

# %% [markdown]
# Two dimensions changed: `1*=2` doubles raw dimension 1, `c0+=2` moves the coordinate that changes pictures most by two
# standard deviations. The sentences say how far each is from real codes.

# %%
sheet = latentdial.edit(codec, np.asarray(pixels[rest[0]]), "1*=2", "c0+=2")
print(*sheet.sentences(), sep="\n")

# %%
edit_sheet(sheet)

# %% [markdown]
# **Your turn.** Why does `1*=2` often show nothing? (Look at `latentdial.dimensions(codec, raw=True)`.) Is PCA, recipe
# `pca`, any worse at finding sunglasses?
