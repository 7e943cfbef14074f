"""The commands by what people want: those that most need first, then the others."""

from __future__ import annotations

from importlib import import_module
from typing import Any

GROUPS = {
    "first steps": {
        "train": "train a recipe on pictures and write a run",
        "dimensions": "rank every dimension by what it does to the picture",
        "edit": "change chosen dimensions of a picture, or of many, and see what happens",
        "traverse": "turn dimensions and directions as far as can be seen: strips, moving, or a page",
        "report": "show what runs do on the same pictures, AE and VAE beside PCA, in one page",
        "explore": "turn the dimensions in a page: served here, or written as one file",
        "sample": "draw new pictures",
    },
    "pictures and codes": {
        "look": "see what a set of pictures holds: sizes, labels, duplicates, skipped files",
        "encode": "write the codes of a whole set of pictures, resumable, shared by processes",
        "decode": "make pictures of codes: of encode's folder, a CSV, .npy or safetensors",
        "nearest": "find the pictures of a set that are most like one, by code and by pixels",
        "interpolate": "go from one picture to another through the code space, or between pairs by label",
        "average": "decode the mean code of groups of pictures",
        "analogy": "make D so that A : B :: C : D",
        "relabel": "see pictures of one label as pictures of others, for a model that learnt from labels",
    },
    "directions": {
        "directions": "find, measure and name directions that change one thing",
        "reorder": "make the same run with its own dimensions in order",
        "disentanglement": "score how far each dimension carries one known factor",
    },
    "figures": {
        "evaluate": "measure reconstruction, samples, likelihood and codes, beside PCA",
        "anomalies": "score which pictures do not belong, with a threshold from normal ones",
        "fit-prior": "fit densities to the codes of a run, so that it can be sampled",
        "tune": "search the settings of a recipe for your pictures",
        "reproduce": "make a paper's table or figure again, measured beside published",
    },
    "runs and files": {
        "recipes": "list what can be trained, with its paper",
        "runs": "list the runs below a directory with their settings and results, or follow them",
        "clean": "remove what finished runs do not need any more, such as checkpoints",
        "cache": "list or clear the decoded pictures",
        "export": "write a run for other programs: ONNX, a plain state dict, TensorBoard's projector",
        "push": "put a run on a hub, with a card, and the explorer as a page there",
        "import": "make a run of weights trained elsewhere",
        "completion": "print what lets bash, zsh or fish complete commands and options",
    },
}
COMMANDS = {name: about for group in GROUPS.values() for name, about in group.items()}


def module_of(name: str) -> Any:
    """The file of a command: `add_options(parser)` and `run(options)`; `FIRST` options and `EXAMPLES` where it has."""
    return import_module(f"latentdial.cli.{'importing' if name == 'import' else name.replace('-', '_')}")
