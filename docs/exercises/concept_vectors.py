# %% [markdown]
# # Concept vectors
#
# *Chollet, Deep Learning with Python, 8.4: a direction in the code space that adds a concept, such as glasses, to any picture.*

# %% tags=["parameters"]
PICTURES, SIZE, EPOCHS = 3000, 32, 20

# %%
import numpy as np

import latentdial
from latentdial.discovery.study import Request, study
from latentdial.progress import quiet
from latentdial.report.figures import edit_sheet
from latentdial.runs.pictures import run_pictures

latentdial.train(
    "fcn-vae",
    "avatars",
    "runs/vae",
    limit=PICTURES,
    size=SIZE,
    epochs=EPOCHS,
    options={"latent": 32, "widths": [256]},
    overwrite=True,
)

# %% [markdown]
# The vector of a concept is the mean code of pictures that have it, minus the mean code of those that have not. Where concepts
# come together in the data (beards and short hair), that vector carries both, so latentdial balances over all other attributes.

# %%
stored = study("runs/vae", Request(labels="data"), False, quiet)
codec = latentdial.load("runs/vae")
names = [one.name for one in codec.directions if "." in one.name]
print(*names[:12], sep=", ")

# %% [markdown]
# Three concepts added to a face, each alone; the others are held with `keep`.

# %%
face = np.asarray(run_pictures(codec)[1].pixels[np.arange(1)][0])
concepts = ["glasses.clear", "beard.full", "hair.bob"]
held = [name for name in names if name.startswith("skin")][:1]
sheet = latentdial.edit(codec, face, *(f"{name}+=3s" for name in concepts), keep=held)
print(*sheet.sentences(), sep="\n")

# %%
edit_sheet(sheet)

# %% [markdown]
# The textbook's vector by hand, for comparison: the cosine to the balanced one.

# %%
training = run_pictures(codec)[0]
codes = codec.encode(np.ascontiguousarray(training.pixels[np.arange(len(training))]))
has = training.factors["beard"] == 1
by_hand = codes[has].mean(0) - codes[~has].mean(0)
balanced = next(one for one in codec.directions if one.name.startswith("beard")).vector
print(f"cosine {by_hand @ balanced / np.linalg.norm(by_hand) / np.linalg.norm(balanced):.2f}")

# %% [markdown]
# **Your turn.** In these faces attributes are drawn independently, so both vectors nearly agree. Build a set in which beards come
# with short hair only, and compare again.
