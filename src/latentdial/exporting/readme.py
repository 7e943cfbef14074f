"""The README.md of an export: what the files hold, in which shapes and units, and how they are read."""

from __future__ import annotations

from collections.abc import Sequence

from latentdial.latent.codec import Codec
from latentdial.texts import counted
from latentdial.version import VERSION


def of_onnx(codec: Codec, levels: float, sds: float, checked: int) -> str:
    geometry = codec.geometry
    shape = f"(N, {geometry.size}, {geometry.size}, {geometry.channels})"
    mode = "RGB" if geometry.channels == 3 else "L"
    picture = f'np.asarray(Image.open("picture.png").convert("{mode}").resize(({geometry.size}, {geometry.size})))'
    return _text(
        f"{codec.name} as ONNX: at most {levels:.2g} levels of 255 and {sds:.2g} sd of a code from torch",
        f"""`encoder.onnx` takes `picture`, float32 {shape} in levels from 0 to 255, and gives `encoded`, the codes
(N, {codec.latent}); `decoder.onnx` takes `code` (N, {codec.latent}) and gives `decoded`, pictures {shape} in levels.
N is free. Both were run by onnxruntime on {checked} training codes and their pictures and compared with torch.""",
        f"""import numpy as np
import onnxruntime
from PIL import Image

encoder, decoder = (onnxruntime.InferenceSession(f"{{net}}.onnx") for net in ("encoder", "decoder"))
picture = {picture}
(code,) = encoder.run(None, {{"picture": picture.reshape(1, {", ".join(map(str, _hwc(codec)))}).astype(np.float32)}})
(decoded,) = decoder.run(None, {{"code": code}})
decoded = decoded.round().astype(np.uint8)""",
    )


def of_sequential(codec: Codec, source: str) -> str:
    low, high = codec.value_range
    pixels = codec.geometry.channels * codec.geometry.size**2
    shape = ", ".join(map(str, codec.geometry.shape))
    return _text(
        f"{codec.name} as a plain state dict: a class of nn.Linear and nn.ReLU loads it",
        f"""`weights.pt` holds tensors alone, named as in a class with `self.encoder` and `self.decoder`. Pictures are
(B, {shape}) in [{low:g}, {high:g}], flattened to (B, {pixels}); codes are (B, {codec.latent}).""",
        f"""import torch
from torch import nn


{source}


model = Autoencoder()
model.load_state_dict(torch.load("weights.pt", weights_only=True))""",
    )


def of_safetensors(codec: Codec, names: Sequence[str]) -> str:
    again = ""
    if codec.config is not None:
        again = f"""
`latentdial import model.safetensors --recipe {codec.config.model.recipe} --out RUN` makes a run of it again, with the
--size, --latent and --set that the run was trained with."""
    return _text(
        f"{codec.name} as safetensors: {counted(len(names), 'tensor')} under the net's own names",
        f"`model.safetensors` holds all weights, among them `{names[0]}`, and no code.{again}",
        """from safetensors.torch import load_file

weights = load_file("model.safetensors")""",
    )


def of_projector(codec: Codec, points: int) -> str:
    codes = f"{counted(points, 'code')} of {counted(codec.latent, 'dimension')}"
    return _text(
        f"{codec.name} in TensorBoard's projector: {codes} with their pictures",
        """`vectors.tsv` holds a code a line, `metadata.tsv` the names of the pictures and all that is known of them,
`sprite.png` the pictures. `tensorboard --logdir .` shows them under Projector; https://projector.tensorflow.org takes
the two tables under Load, which reads them in your browser.""",
        """import numpy as np

codes = np.loadtxt("vectors.tsv", ndmin=2)""",
    )


def first_line(text: str) -> str:
    """What the heading says."""
    return text.splitlines()[0].removeprefix("# ")


def _hwc(codec: Codec) -> tuple[int, int, int]:
    return codec.geometry.size, codec.geometry.size, codec.geometry.channels


def _text(heading: str, holds: str, code: str) -> str:
    return f"# {heading}\n\n{holds}\n\n```python\n{code}\n```\n\nWritten by latentdial {VERSION}.\n"
