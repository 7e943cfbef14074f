"""A folder as it goes to a hub."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from latentdial import storage
from latentdial.latent.codec import Codec
from latentdial.latent.effect import dimensions
from latentdial.latent.sampling import fit_of
from latentdial.report.figures import dimension_sheet
from latentdial.report.strips import sample_sheet
from latentdial.runs.card import card, named
from latentdial.runs.hub import Address, parse_address, travelling
from latentdial.runs.records import CARD, CONFIG, read_config, read_summary

SHOWN, SAMPLES = 8, 24
PICTURES = """## Pictures

What the first coordinates do to one picture, and where:

![Each row turns one coordinate](dimensions.png)

New pictures, drawn from the prior that fits best:

![Samples](samples.png)"""


def stage(codec: Codec, folder: Path, out: Path, address: str, license: str = "") -> Path:
    """Copy what may travel of a run into the new folder `out`, with its card and pictures."""
    out.mkdir()
    for path in travelling(folder):
        if path.name not in (CARD, CONFIG):  # are made anew
            storage.copy(path, out / path.name)
    config = read_config(folder)
    config = replace(config, data=replace(config.data, source=named(config.data.source)))
    storage.write(out / CONFIG, config.to_json())
    dimension_sheet(codec, dimensions(codec), codec.codes[0], SHOWN).save(out / "dimensions.png")
    sample_sheet(codec.sample(SAMPLES), codec.name, fit_of(codec), 1.0, 0).save(out / "samples.png")
    name = parse_address(address).repository.split("/")[1]
    text = card(config, read_summary(folder) or {}, name, address, PICTURES)
    storage.write(out / CARD, _front(config.model.recipe, license) + text)
    return out


def space_card(address: Address) -> str:
    """The README.md of a static page that belongs to a run."""
    name = address.repository.split("/")[1]
    lines = ["---", f'title: "{name}"', "sdk: static", "models:", f"- {address.repository}", "---", ""]
    return "\n".join(lines) + f"Turn what {address} has learnt: the nets run in your browser, and nothing leaves it.\n"


def _front(recipe: str, license: str) -> str:
    kind = "variational-autoencoder" if "vae" in recipe else "autoencoder"
    lines = ["---", "library_name: latentdial", "tags:", "- latentdial", f"- {kind}", "- latent-space", "- image"]
    return "\n".join([*lines, *([f"license: {license}"] if license else []), "---", "", ""])
